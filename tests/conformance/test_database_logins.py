"""The way into a database, the same for reading from it and for loading into it: TLS as the settings say, certificates of
clients, passwords of any characters, sockets, and servers that do not answer. All against real servers."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dativo import connectors
from dativo.errors import DativoError, SourceError, TargetError
from dativo.pipeline.check import check
from dativo.sources.database_options import database_options
from dativo.targets.databases.commit import session as target_session
from dativo.targets.databases.dialects import dialect_of
from tests.conformance.test_mysql_connection import authority, openssl, signed
from tests.project import Project
from tests.services import mariadb, postgres
from tests.services.process import free_port, running

pytestmark = pytest.mark.server

KINDS, ROLES = ("postgres", "mysql"), ("source", "target")
KEY_PASSWORD = "k3y of 'ours' \\ %"
# As Postgres' mode and MySQL's are called.
MODES = {
    "disabled": {"postgres": "disable", "mysql": "disabled"},
    "preferred": {"postgres": "prefer", "mysql": "preferred"},
    "required": {"postgres": "require", "mysql": "required"},
    "verify_ca": {"postgres": "verify-ca", "mysql": "verify_ca"},
    "verify_identity": {"postgres": "verify-full", "mysql": "verify_identity"},
}
MODE, CA, CERTIFICATE, KEY, OPENS_KEY = (
    {"postgres": a, "mysql": b}
    for a, b in (("sslmode", "ssl_mode"), ("sslrootcert", "ssl_ca"), ("sslcert", "ssl_cert"), ("sslkey", "ssl_key"),
                 ("sslpassword", "ssl_key_password"))
)  # fmt: skip


@dataclass
class Secured:
    """A server that speaks TLS under the name `localhost`, or none; the account `safe` is let in with TLS alone, and `known`
    by a certificate of its own."""

    kind: str
    server: postgres.Postgres | mariadb.MariaDb
    socket: Path
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    def settings(self, **more: Any) -> dict[str, Any]:
        s = self.server
        return {"host": s.host, "port": s.port, "user": "safe", "password": "pw", "database": "dativo", **more}

    def tls(self, mode: str, **more: Any) -> dict[str, Any]:
        """Settings with a mode, and files as `ca='ours'`."""
        names = {"ca": CA, "certificate": CERTIFICATE, "key": KEY, "opens_key": OPENS_KEY}
        found = {names[n][self.kind]: str(self.files.get(v, v)) for n, v in more.items() if n in names}
        rest = {n: v for n, v in more.items() if n not in names}
        return self.settings(**{MODE[self.kind]: MODES[mode][self.kind]}, **found, **rest)


def files(folder: Path) -> dict[str, Path]:
    """Two authorities; a server's certificate by the first, and a client's whose key is encrypted."""
    found = {"ours": authority(folder, "ours"), "theirs": authority(folder, "theirs")}
    for name in ("localhost", "known"):
        found |= {f"{name}.key": folder / f"{name}.key", f"{name}.pem": folder / f"{name}.pem"}
        signed(folder, found["ours"], name, found[f"{name}.key"], found[f"{name}.pem"])
    found["locked.key"] = folder / "locked.key"
    openssl(
        "rsa", "-aes256", "-in", found["known.key"], "-out", found["locked.key"], "-passout", f"pass:{KEY_PASSWORD}"
    )
    found["locked.key"].chmod(0o600)
    return found


def given(data: Path, made: dict[str, Path], user: str | None) -> list[Path]:
    """The server's certificate, its key and its authority where it may read them."""
    places = []
    for name in ("localhost.pem", "localhost.key", "ours"):
        place = data / f"own.{name}"
        shutil.copy(made[name], place)
        place.chmod(0o600)
        if user is not None:
            shutil.chown(place, user)
        places.append(place)
    return places


HBA = """local all all trust
hostssl all known all cert
hostssl all safe all scram-sha-256
host all safe all reject
host all all all scram-sha-256
"""


@pytest.fixture(scope="module")
def secured_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder, port = tmp_path_factory.mktemp("pg"), free_port()
    made, own = files(folder), postgres.recipe(folder / "server", port)
    assert own.data is not None
    certificate, key, ca = given(own.data, made, own.user)
    (own.data / "pg_hba.conf").write_text(HBA)
    options = {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "ssl_ca_file": ca,
               "unix_socket_directories": own.data}  # fmt: skip
    more = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with running(replace(own, command=[*own.command, *more])):
        server = postgres.Postgres(port)
        server.sql("CREATE ROLE safe LOGIN SUPERUSER PASSWORD 'pw'; CREATE ROLE known LOGIN SUPERUSER;"
                   "CREATE TABLE origin AS SELECT 7 AS id")  # fmt: skip
        yield Secured("postgres", server, own.data, folder, made)


@pytest.fixture(scope="module")
def secured_mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder, port = tmp_path_factory.mktemp("my"), free_port()
    made, own = files(folder), mariadb.recipe(folder / "server", port)
    assert own.data is not None
    certificate, key, ca = given(own.data, made, own.user)
    more = [f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--ssl-ca={ca}"]
    with running(replace(own, command=[*own.command, *more])):
        server = mariadb.MariaDb(port)
        server.sql("CREATE USER safe@'%' IDENTIFIED BY 'pw' REQUIRE SSL; GRANT ALL ON *.* TO safe@'%';"
                   "CREATE USER known@'%' REQUIRE SUBJECT '/CN=known'; GRANT ALL ON *.* TO known@'%';"
                   "CREATE TABLE origin (id INT); INSERT INTO origin VALUES (7)")  # fmt: skip
        yield Secured("mysql", server, own.data / "my.sock", folder, made)


@pytest.fixture(params=KINDS)
def secured(request: pytest.FixtureRequest) -> Secured:
    found: Secured = request.getfixturevalue(f"secured_{request.param}")
    return found


def job(project: Project, kind: str, role: str, connection: dict[str, Any], **settings: Any) -> None:
    """A job that reads `origin` from a database, or loads `people` into it."""
    project.asset([{"name": "id", "type": "integer"}])
    project.write("data/people.csv", "id\n7\n")
    block: dict[str, Any] = {"connection": connection, **settings}
    block |= {"tables": [{"name": "origin"}]} if role == "source" else {"write_mode": "replace"}
    more: dict[str, Any] = {f"{role}_connector_path": f"connectors/{role}s/{kind}.yaml", role: block}
    project.job(**more)


def cipher(project: Project, role: str) -> str:
    """How the session of a job's source or target is encrypted; nothing where it is not."""
    loaded = project.load()
    postgres = "SELECT coalesce(cipher, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    mysql = "SHOW STATUS LIKE 'Ssl_cipher'"
    if role == "target":
        with target_session(dialect_of(loaded), loaded.connections["target"]) as opened:
            return str(opened.rows(postgres if loaded.target_type == "postgres" else mysql)[0][-1])
    if loaded.source_type == "postgres":
        from dativo.sources.postgres.session import Session as PostgresSession

        read = PostgresSession(loaded, database_options(loaded))
        try:
            return str(read.query(postgres, "asking")[0][0])
        finally:
            read.close()
    from dativo.sources.mysql.session import Session as MysqlSession

    asked = MysqlSession(loaded.connections["source"])
    try:
        return str(asked.rows(mysql)[0][1])
    finally:
        asked.close()


def loads(project: Project) -> None:
    receipt = project.sync()
    assert (receipt.exit_code, receipt.streams[0].loaded) == (0, 1), receipt.streams[0].error


def refused(project: Project, role: str, setting: str, *words: str) -> str:
    """What a job says whose database does not let it in: the setting once, and where it stands."""
    receipt = project.sync()
    text = receipt.streams[0].error or ""
    assert (receipt.exit_code, receipt.streams[0].loaded) == (2, 0)
    assert all(word in text for word in words), text
    assert text.count(f"{role}.connection.{setting}") == 1, text
    assert "Traceback" not in text and KEY_PASSWORD not in text and "_ssl.c" not in text, text
    loaded = project.load()
    if role == "target":
        findings = connectors.check_target(loaded)
        with pytest.raises(TargetError), target_session(dialect_of(loaded), loaded.connections["target"]):
            pass
    else:
        source: Any = connectors.source(loaded)
        findings = source.check(loaded.streams[0])
        with pytest.raises(SourceError):
            source.discover()
    assert findings[-1]["ok"] is False and findings[-1]["message"] in text
    assert f"{role}.connection.{setting}" in findings[-1]["hint"]
    return text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("mode", "files", "host"),
    [
        ("preferred", {}, "127.0.0.1"),
        ("required", {}, "127.0.0.1"),
        ("required", {"ca": "ours"}, "127.0.0.1"),
        ("verify_ca", {"ca": "ours"}, "127.0.0.1"),
        ("verify_identity", {"ca": "ours"}, "localhost"),
    ],
)
def test_a_session_is_encrypted(
    project: Project, secured: Secured, role: str, mode: str, files: dict[str, str], host: str
) -> None:
    job(project, secured.kind, role, secured.tls(mode, host=host, **files))
    assert cipher(project, role).startswith("TLS_")
    loads(project)


@pytest.mark.parametrize("role", ROLES)
def test_a_session_is_encrypted_where_the_server_can_and_no_mode_is_set(
    project: Project, secured: Secured, role: str
) -> None:
    job(project, secured.kind, role, secured.settings())
    assert cipher(project, role).startswith("TLS_")
    # Modes are known in either spelling.
    spelt = MODES["verify_ca"][secured.kind].upper().translate(str.maketrans("-_", "_-"))
    job(project, secured.kind, role, secured.tls("verify_ca", ca="ours") | {MODE[secured.kind]: spelt})
    assert cipher(project, role).startswith("TLS_")


@pytest.mark.parametrize("role", ROLES)
def test_disabled_is_without_tls(project: Project, secured: Secured, role: str) -> None:
    job(project, secured.kind, role, secured.tls("disabled", user="dativo", password="dativo"))
    assert cipher(project, role) == ""
    job(project, secured.kind, role, secured.tls("disabled"))
    setting = {"postgres": "user", "mysql": "password"}[secured.kind]
    refused(project, role, setting, {"postgres": "pg_hba.conf", "mysql": "it may also want TLS"}[secured.kind])


@pytest.mark.parametrize("role", ROLES)
def test_a_server_that_is_not_who_it_should_be_gets_nothing(project: Project, secured: Secured, role: str) -> None:
    kind, ca = secured.kind, CA[secured.kind]
    job(project, kind, role, secured.tls("verify_ca", ca="theirs"))
    refused(project, role, ca, "certificate verify failed")
    job(project, kind, role, secured.tls("required", ca="theirs"))
    refused(project, role, ca, "certificate verify failed")
    job(project, kind, role, secured.tls("verify_identity", ca="ours", host="127.0.0.1"))
    refused(project, role, "host", "127.0.0.1", "certificate")
    job(project, kind, role, secured.tls("verify_ca", ca="nope.pem"))
    refused(project, role, ca, "nope.pem")
    job(project, kind, role, secured.tls("verify_ca", ca=str(project.write("note.pem", "no certificate"))))
    refused(project, role, ca, "note.pem")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ROLES)
def test_a_server_without_tls_is_refused_where_it_is_required(
    project: Project, request: pytest.FixtureRequest, kind: str, role: str
) -> None:
    server = request.getfixturevalue({"postgres": "postgres_server", "mysql": "mariadb_server"}[kind])
    database = server.make_database(f"plain_{role}_{free_port()}")
    server.sql("CREATE TABLE origin (id INT); INSERT INTO origin VALUES (7)", database)
    ours = authority(project.root, "ours")
    plain = Secured(kind, server, Path(), project.root, {"ours": ours})
    own = {"user": server.user, "password": server.password, "database": database}
    for mode in ("required", "verify_ca", "verify_identity"):
        job(project, kind, role, plain.tls(mode, ca="ours", **own))
        refused(project, role, MODE[kind], "has no TLS", MODES[mode][kind])
    for mode in ("preferred", "disabled"):
        job(project, kind, role, plain.tls(mode, **own))
        assert cipher(project, role) == ""
        loads(project)


@pytest.mark.parametrize("role", ROLES)
def test_a_certificate_of_the_client_lets_in(project: Project, secured: Secured, role: str) -> None:
    kind = secured.kind
    known = {"ca": "ours", "user": "known", "password": ""}
    job(project, kind, role, secured.tls("verify_ca", **known))
    refused(
        project, role, *{"postgres": ("sslcert", "wants a certificate"), "mysql": ("password", "certificate")}[kind]
    )
    known |= {"certificate": "known.pem", "key": "locked.key"}
    job(project, kind, role, secured.tls("verify_ca", **known, opens_key=KEY_PASSWORD))
    loads(project)
    key = {"postgres": "sslkey", "mysql": "ssl_key_password"}[kind]
    job(project, kind, role, secured.tls("verify_ca", **known, opens_key="another"))
    refused(project, role, key, "locked.key")
    # Nobody is asked on the terminal for what is not set.
    job(project, kind, role, secured.tls("verify_ca", **known))
    refused(project, role, key, "locked.key")
    job(project, kind, role, secured.tls("verify_ca", **{**known, "key": "localhost.key"}))
    (secured.folder / "localhost.key").chmod(0o600)
    refused(project, role, KEY[kind], "localhost.key")
    job(project, kind, role, secured.tls("verify_ca", **{**known, "certificate": "nope.pem"}))
    refused(project, role, CERTIFICATE[kind], "nope.pem")


PASSWORDS = (
    "p%40@ss:w/o?rd#&=+",
    'it\'s "quoted" \\ and\tblank ',
    "zażółć gęślą",
    "пароль 密码",
    "😀 key",
    "{braces} $HOME",
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", range(len(PASSWORDS)))
def test_a_password_of_any_characters_lets_in(project: Project, secured: Secured, role: str, number: int) -> None:
    password = PASSWORDS[number]
    name = f"żółw {role}{number} %"
    literal = password.replace("'", "''")
    if secured.kind == "postgres":
        secured.server.sql(f"CREATE ROLE \"{name}\" LOGIN SUPERUSER PASSWORD '{literal}'")
    else:
        text = literal.replace("\\", "\\\\")
        secured.server.sql(f"SET NAMES utf8mb4; CREATE USER `{name}`@'%' IDENTIFIED BY '{text}' REQUIRE SSL;"
                           f"GRANT ALL ON *.* TO `{name}`@'%'")  # fmt: skip
    job(project, secured.kind, role, secured.tls("required", user=name, password=password.replace("$", "$$")))
    loads(project)
    job(project, secured.kind, role, secured.tls("required", user=name, password="another one"))
    assert password not in refused(project, role, "password", name)


@pytest.mark.parametrize("role", ROLES)
def test_a_socket_of_the_file_system_is_a_way_in(project: Project, secured: Secured, role: str) -> None:
    own = secured.settings(user="dativo", password="dativo")
    job(project, secured.kind, role, {**own, "host": str(secured.socket)})
    loads(project)
    if role == "source":
        findings = check(project.load()).of("source")
        assert {f.status for f in findings} == {"ok"} and str(secured.socket) in findings[0].name
    if secured.kind == "mysql":
        job(project, "mysql", role, {**own, "host": "elsewhere.invalid", "unix_socket": str(secured.socket)})
        loads(project)
    job(project, secured.kind, role, {**own, "host": "/nowhere"})
    receipt = project.sync()
    assert receipt.exit_code == 2
    assert "cannot be reached: there is no such socket" in (receipt.streams[0].error or "")


def test_a_url_of_mysql_may_spell_its_settings_with_hyphens(project: Project, secured_mysql: Secured) -> None:
    s = secured_mysql.server
    base = f"mysql://safe:pw@{s.host}:{s.port}/dativo?ssl-mode="
    job(project, "mysql", "source", {}, dsn=f"{base}VERIFY_CA&ssl-ca={secured_mysql.files['ours']}")
    assert cipher(project, "source").startswith("TLS_")
    job(project, "mysql", "source", {}, dsn=f"{base}VERIFY_CA&ssl-ca={secured_mysql.files['theirs']}")
    receipt = project.sync()
    assert "certificate verify failed" in (receipt.streams[0].error or "")


def test_authorities_of_the_machine_verify_a_postgres(project: Project, secured_postgres: Secured) -> None:
    for role in ROLES:
        job(project, "postgres", role, secured_postgres.tls("verify_identity", host="localhost", sslrootcert="system"))
        refused(project, role, "sslrootcert", "certificate verify failed")
        job(project, "postgres", role, secured_postgres.tls("verify_ca", sslrootcert="system"))
        refused(project, role, "sslmode", "wants sslmode: verify-full")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ROLES)
def test_a_server_that_never_greets_is_given_up(project: Project, kind: str, role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"host": "127.0.0.1", "port": silent.getsockname()[1], "user": "u", "password": "p", "database": "d"}
        job(project, kind, role, {**settings, "connect_timeout": 2})
        begun = time.monotonic()
        receipt = project.sync()
        assert time.monotonic() - begun < 15
    error = receipt.streams[0].error or ""
    assert receipt.exit_code == 2 and "cannot be reached: it does not answer in time" in error, error
    assert f"{role}.connection.port" in error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ROLES)
def test_an_address_of_ipv6_is_one_with_brackets_and_without(project: Project, kind: str, role: str) -> None:
    for host in ("::1", "[::1]"):
        job(project, kind, role, {"host": host, "port": 1, "user": "u", "password": "p", "database": "d"})
        with pytest.raises(DativoError, match=r"at \[::1\]:1 cannot be reached") as caught:
            cipher(project, role)
        assert "not known" not in caught.value.message
