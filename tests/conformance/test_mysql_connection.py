"""The way to a server of MySQL's protocol: TLS that is verified, servers without it, accounts whose plugin needs it, and a
server that starts anew while it is read."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dativo.errors import DativoError
from dativo.sources.mysql import session
from tests.conformance.test_mysql_source import INCREMENTAL, RECIPE, Shop, field
from tests.project import Project
from tests.services.mariadb import MariaDb, recipe
from tests.services.process import free_port, running


@dataclass
class Secure:
    """A server that speaks TLS under the name `localhost`, and the authority that signed its certificate."""

    server: MariaDb
    authority: Path
    stranger: Path
    """An authority that signed nothing of it."""
    client: Path
    """A certificate of a client, with its key."""


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def authority(folder: Path, name: str) -> Path:
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip
    return folder / f"{name}.pem"


def signed(folder: Path, ca: Path, name: str, key: Path, certificate: Path) -> None:
    (folder / "names").write_text(f"subjectAltName=DNS:{name}")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
            "-out", folder / f"{name}.csr")  # fmt: skip
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", ca, "-CAkey", ca.with_suffix(".key"),
            "-CAcreateserial", "-days", "2", "-extfile", folder / "names", "-out", certificate)  # fmt: skip


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("secure")
    ca, stranger = authority(folder, "ours"), authority(folder, "theirs")
    port = free_port()
    made = recipe(folder / "server", port)
    assert made.data is not None
    signed(folder, ca, "localhost", made.data / "server.key", made.data / "server.pem")
    signed(folder, ca, "client", folder / "own.key", folder / "own.pem")
    client = folder / "client.pem"
    client.write_text((folder / "own.pem").read_text() + (folder / "own.key").read_text())
    (made.data / "ca.pem").write_text(ca.read_text())
    # The server is another user of the system, and the key is one of a test.
    (made.data / "server.key").chmod(0o644)
    keys = [f"--ssl-cert={made.data}/server.pem", f"--ssl-key={made.data}/server.key", f"--ssl-ca={made.data}/ca.pem"]
    with running(replace(made, command=[*made.command, *keys])) as process:
        server = MariaDb(port, process=process)
        server.sql("CREATE TABLE people (id INT PRIMARY KEY, t VARCHAR(200)) ENGINE = InnoDB;"
                   "INSERT INTO people SELECT seq, REPEAT('x', 200) FROM seq_1_to_100000")  # fmt: skip
        yield Secure(server, ca, stranger, client)


def job(project: Project, server: MariaDb, source: dict[str, Any] | None = None, **settings: Any) -> Any:
    """A job that reads `people`; what `sync` says of it."""
    project.asset([field("id", "bigint"), field("t", "string")])
    project.write(RECIPE, "name: mysql\ntype: mysql\nroles: [source, target]\ndefault_engine: {type: native}\n")
    connection = {"host": server.host, "port": server.port, "user": server.user, "password": server.password,
                  "database": server.database, **settings}  # fmt: skip
    source = {"connection": connection, "tables": [{"name": "people"}], **(source or {})}
    project.job(source_connector_path=RECIPE, source=source)
    return project.sync().streams[0]


@pytest.mark.server
@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("localhost", "verify_identity"),
        ("127.0.0.1", "verify_ca"),
        ("127.0.0.1", "required"),
        ("127.0.0.1", "preferred"),
    ],
)
def test_tls_is_spoken_and_verified(project: Project, secure: Secure, host: str, mode: str) -> None:
    secure.server.sql("CREATE USER IF NOT EXISTS safe@'%' IDENTIFIED BY 'pw' REQUIRE SSL;GRANT ALL ON *.* TO safe@'%'")
    given: dict[str, Any] = {} if mode == "preferred" else {"ssl_ca": str(secure.authority)}
    receipt = job(project, secure.server, host=host, user="safe", password="pw", ssl_mode=mode, **given)
    assert receipt.loaded == 100_000, receipt.error


@pytest.mark.server
def test_tls_that_is_not_what_the_settings_say_is_refused(project: Project, secure: Secure) -> None:
    wrong: list[dict[str, Any]] = [
        {"ssl_mode": "verify_ca", "ssl_ca": str(secure.stranger)},
        {"ssl_mode": "required", "ssl_ca": str(secure.stranger)},
        # The certificate is one of `localhost`.
        {"ssl_mode": "verify_identity", "ssl_ca": str(secure.authority)},
        # Nor is it one of the system's authorities.
        {"ssl_mode": "verify_ca"},
    ]
    for settings in wrong:
        receipt = job(project, secure.server, **settings)
        assert receipt.status == "failed", settings
        assert "no TLS connection" in receipt.error, receipt.error
        assert "certificate" in receipt.error and "source.connection.ssl_mode" in receipt.error, receipt.error


@pytest.mark.server
def test_a_certificate_of_the_client_may_be_asked_for(project: Project, secure: Secure) -> None:
    secure.server.sql("CREATE USER known@'%' IDENTIFIED BY 'pw' REQUIRE X509;GRANT ALL ON *.* TO known@'%'")
    known: dict[str, Any] = {
        "user": "known",
        "password": "pw",
        "ssl_mode": "verify_ca",
        "ssl_ca": str(secure.authority),
    }
    assert "refuses the account" in job(project, secure.server, **known).error
    receipt = job(project, secure.server, **known, ssl_cert=str(secure.client))
    assert receipt.loaded == 100_000, receipt.error
    receipt = job(project, secure.server, ssl_mode="required", ssl_cert=str(secure.authority), ssl_key="missing.key")
    assert "certificates for TLS cannot be used" in receipt.error, receipt.error
    assert "source.connection.ssl_key" in receipt.error, receipt.error


@pytest.mark.server
@pytest.mark.parametrize("connections", [1, 2])
def test_a_server_that_starts_anew_while_it_is_read(project: Project, secure: Secure, connections: int) -> None:
    from dativo.connectors import source as source_of
    from dativo.sources.protocol import Meter

    options = {"engine": {"options": {"connections": connections}}}
    assert job(project, secure.server, options).loaded == 100_000
    loaded = project.load()
    extract = source_of(loaded).read(loaded.streams[0], None, meter=Meter())
    assert extract.pieces is not None
    pieces: Any = iter(extract.pieces([]))
    frames = next(pieces).frames()
    assert next(frames).height
    assert secure.server.process is not None
    secure.server.process.restart()
    with pytest.raises(DativoError, match=r"the connection to .* was lost"):
        for _ in frames:
            pass
    frames.close()
    pieces.close()
    extract.close()
    again = job(project, secure.server, options)
    assert (again.status, project.rows().height) == ("loaded", 100_000), again.error


@pytest.mark.server
def test_values_larger_than_the_server_takes_from_others_are_read(project: Project, secure: Secure) -> None:
    server = secure.server
    server.sql("CREATE OR REPLACE TABLE wide (id INT PRIMARY KEY, t LONGTEXT);"
               "INSERT INTO wide SELECT seq, REPEAT('y', 5000000) FROM seq_1_to_3;"
               "SET GLOBAL max_allowed_packet = 1048576")  # fmt: skip
    try:
        receipt = job(project, server, {"tables": [{"name": "wide"}]})
        assert receipt.loaded == 3, receipt.error
        assert set(project.rows()["t"].str.len_bytes()) == {5_000_000}
        # What is sent to the server has to fit.
        many = " OR ".join(f"id = {n}" for n in range(100_000))
        receipt = job(project, server, {"tables": [{"name": "wide", "where": many}]})
        assert "max_allowed_packet" in receipt.error, receipt.error
    finally:
        server.sql("SET GLOBAL max_allowed_packet = 16777216")


# -- servers that only greet ----------------------------------------------------------------------------------------------


def packet(number: int, content: bytes) -> bytes:
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


def greeting(plugin: bytes) -> bytes:
    """What a MySQL 8 without TLS says first: it wants a plugin, whose random 20 bytes are all `a`."""
    # Protocol 4.1, transactions, authentication by plugins.
    able = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000
    begin = b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"a" * 8 + b"\0" + struct.pack("<H", able & 0xFFFF)
    rest = struct.pack("<BHHB", 45, 2, able >> 16, 21) + bytes(10) + b"a" * 12 + b"\0" + plugin + b"\0"
    return packet(0, begin + rest)


@contextmanager
def greeter(plugin: bytes, *answers: bytes) -> Iterator[MariaDb]:
    """A server that greets, and answers whatever it is sent by these in turn."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            link, _ = listening.accept()
            with link:
                link.sendall(greeting(plugin))
                for number, answer in enumerate(answers, 1):
                    link.recv(65536)
                    link.sendall(packet(2 * number, answer))
                link.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield MariaDb(listening.getsockname()[1])
        thread.join(5)


def test_an_account_of_mysql_8_needs_tls_or_cryptography(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)
    key = b"\1-----BEGIN PUBLIC KEY-----"
    with greeter(b"caching_sha2_password", b"\1\4", key) as server:
        receipt = job(project, server, ssl_mode="disabled")
    assert "cryptography" in receipt.error, receipt.error
    assert "connect with TLS (ssl_mode: required), or `pip install cryptography`" in receipt.error, receipt.error


def test_an_account_of_ed25519_needs_pynacl(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nacl", None)
    with greeter(b"client_ed25519", b"\xfeclient_ed25519\0" + b"b" * 32) as server:
        receipt = job(project, server, ssl_mode="disabled")
    assert "`pip install pynacl`" in receipt.error, receipt.error


def test_a_server_without_tls_is_refused_where_it_is_required(project: Project) -> None:
    for mode in ("required", "verify_ca", "verify_identity"):
        with greeter(b"mysql_native_password") as server:
            receipt = job(project, server, ssl_mode=mode)
        assert "TLS" in receipt.error and "source.connection.ssl_mode" in receipt.error, receipt.error


def test_an_incremental_run_has_one_connection(
    project: Project, mariadb_server: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(project, mariadb_server)
    shop.sql("CREATE TABLE people (id INT PRIMARY KEY, at DATETIME)", "INSERT INTO people VALUES (1, '2024-01-01')")
    shop.job([field("id", "bigint"), field("at", "timestamp")], INCREMENTAL)
    assert shop.sync().loaded == 1
    opened = []

    def counted(*arguments: Any) -> Any:
        opened.append(arguments)
        return connect(*arguments)

    connect = session.connect
    monkeypatch.setattr(session, "connect", counted)
    assert shop.sync().extracted == 1
    assert len(opened) == 1
