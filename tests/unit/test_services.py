"""Servers for tests: started once, shared by the workers of a run, and never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import yaml
from pyiceberg.catalog import Catalog, load_catalog

from tests.services import standing
from tests.services.__main__ import main
from tests.services.accounts import data_folder, servant
from tests.services.azurite import Azurite
from tests.services.fixtures import Lakehouse
from tests.services.mariadb import MariaDb
from tests.services.minio import Minio
from tests.services.nessie import nessie
from tests.services.postgres import Postgres
from tests.services.process import Recipe, answers, free_port, listens, running
from tests.services.standing import SERVERS, USUAL
from tests.services.toxiproxy import toxiproxy

ROOT = Path(__file__).parents[2]
SERVER = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')
"""


def _recipe(folder: Path, port: int) -> Recipe:
    return Recipe(
        "web", folder, [sys.executable, "-c", SERVER, str(port)], lambda: answers(f"http://127.0.0.1:{port}/")
    )


def _gone(port: int, *, within: float = 10.0) -> bool:
    return _until(lambda: not answers(f"http://127.0.0.1:{port}/"), within)


def _until(holds: Callable[[], bool], within: float) -> bool:
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_server_runs_within_its_block_only(tmp_path: Path) -> None:
    port = free_port()
    with running(_recipe(tmp_path, port)) as server:
        assert answers(f"http://127.0.0.1:{port}/")
        assert (tmp_path / "web.pid").read_text() == str(server.pid)
    assert _gone(port, within=0.5)
    assert not (tmp_path / "web.pid").exists()


def test_a_server_that_fails_to_start_shows_its_log(tmp_path: Path) -> None:
    recipe = Recipe("broken", tmp_path, [sys.executable, "-c", "raise SystemExit('no licence')"], lambda: False)
    with pytest.raises(AssertionError, match=r"(?s)broken did not start \(ended with 1\).*no licence"), running(recipe):
        pass


def test_a_killed_server_comes_back_on_its_port(tmp_path: Path) -> None:
    port = free_port()
    with running(_recipe(tmp_path, port)) as server:
        server.kill()
        assert not server.alive()
        assert not answers(f"http://127.0.0.1:{port}/")
        server.restart()
        assert answers(f"http://127.0.0.1:{port}/")
    assert _gone(port, within=0.5)


def test_a_paused_server_answers_again_when_resumed_and_is_stopped_even_when_paused(tmp_path: Path) -> None:
    port = free_port()
    with running(_recipe(tmp_path, port)) as server:
        server.pause()
        assert not answers(f"http://127.0.0.1:{port}/")
        server.resume()
        assert _until(lambda: answers(f"http://127.0.0.1:{port}/"), 10)
        server.pause()
    assert _gone(port, within=0.5)


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    port = free_port()
    script = f"""
import time
from pathlib import Path
from tests.services.process import running
from tests.unit.test_services import _recipe
with running(_recipe(Path({str(tmp_path)!r}), {port})):
    print("up", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(signal.SIGKILL)
    assert _gone(port)


_INNER = """
import os, time
from pathlib import Path
import pytest
pytest_plugins = ["tests.services.fixtures"]
HERE = Path(__file__).parent

@pytest.mark.parametrize("n", range(4))
def test_it(minio_server, n):
    worker = os.environ["PYTEST_XDIST_WORKER"]
    minio_server.make_bucket(f"{worker}-{n}")
    (HERE / f"{worker}.seen").write_text(f"{minio_server.port}")
    end = time.monotonic() + 90
    while len(list(HERE.glob("*.seen"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    if n == 0:
        os._exit(9)
"""


@pytest.mark.server
def test_workers_share_one_server_that_survives_a_dead_worker_and_ends_with_the_last(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(_INNER)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "--rootdir", str(tmp_path)]
    command += ["--basetemp", str(tmp_path / "base"), "-c", os.devnull, str(tmp_path / "test_inner.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    seen = [(tmp_path / f"gw{n}.seen").read_text() for n in range(2)]
    assert seen[0] == seen[1]
    for file in tmp_path.glob("*.seen"):
        assert _gone(int(file.read_text()))


def test_docker_compose_has_the_ports_the_names_and_the_passwords_of_the_native_servers() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    natives = {name: SERVERS[{"mysql": "mariadb"}.get(name, name)] for name in composed if name != "bucket"}
    assert {server.name for server in natives.values()} == set(USUAL)
    for name, server in natives.items():
        variable = f"DATIVO_{server.name.upper()}_PORT"
        assert composed[name]["ports"][0].startswith(f"127.0.0.1:${{{variable}:-{server.usual_port}}}:")
        assert composed[name]["healthcheck"]["test"][0] == "CMD"
        told = {"user": "dativo", "password": "dativo"} | (
            {"user": "admin", "password": "password"} if name == "minio" else {}
        )
        given = composed[name].get("environment", {})
        names = {"minio": "MINIO_ROOT", "postgres": "POSTGRES", "mysql": "MYSQL"}
        if name in names:
            assert {key: given[f"{names[name]}_{key.upper()}"] for key in told} == told
            assert set(told.values()) <= set(server.environment(server.port).values())


@pytest.mark.server
def test_services_go_up_and_down_with_their_data_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("DATIVO_POSTGRES_PORT", str(port))
    monkeypatch.setattr(standing, "RUN", tmp_path / "run")
    server = replace(SERVERS["postgres"])
    object.__setattr__(server, "folder", tmp_path / "postgres")
    assert server.up()
    try:
        assert not server.up()
        number = server.number()
        Postgres(port).sql("CREATE TABLE kept (a integer)")
    finally:
        assert server.down()
    assert server.number() is None
    assert number is not None
    assert not Path(f"/proc/{number}").exists() or standing._started(number) is None
    assert not server.down()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(AssertionError, match="DATIVO_POSTGRES_PORT"):
            server.up()
    assert server.up()
    try:
        assert Postgres(port).sql("SELECT count(*) FROM kept") == [["0"]]
    finally:
        server.down()
        shutil.rmtree(data_folder(tmp_path / "postgres" / "postgres", servant("postgres")))


def test_an_unknown_command_or_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("start") == 2
    assert "unknown command 'start'" in capsys.readouterr().err
    assert main("up", "oracle") == 2
    assert "unknown server 'oracle'" in capsys.readouterr().err


def _catalog(uri: str, **properties: str) -> Catalog:
    return load_catalog("nessie", type="rest", uri=uri, **properties)


def _keys(store: Minio) -> dict[str, str]:
    return {"s3.endpoint": store.endpoint, "s3.access-key-id": store.access_key,
            "s3.secret-access-key": store.secret_key, "s3.region": store.region}  # fmt: skip


@pytest.mark.server
def test_nessie_and_minio_hold_a_table(lakehouse: Lakehouse) -> None:
    name, store = f"own_{uuid.uuid4().hex[:8]}", lakehouse.store
    lakehouse.nessie.make_branch(name)
    catalog = _catalog(f"{lakehouse.nessie.iceberg}/{name}", **_keys(store))
    catalog.create_namespace(name)
    table = catalog.create_table(f"{name}.t", pa.schema([("a", pa.int64())]))
    table.append(pa.table({"a": [1, 2]}))
    assert table.scan().to_arrow()["a"].to_pylist() == [1, 2]
    assert any(key.startswith(f"{name}/") for key in store.keys(lakehouse.bucket))
    assert lakehouse.nessie.hash(name) != lakehouse.nessie.hash()


@pytest.mark.server
def test_a_persistent_nessie_keeps_its_tables_when_killed_and_vends_keys(tmp_path: Path, minio_server: Minio) -> None:
    bucket = minio_server.make_bucket(f"own-{uuid.uuid4().hex[:8]}")
    with nessie(tmp_path, minio_server, warehouse_bucket=bucket, vended=True, persistent=True) as server:
        catalog = _catalog(server.iceberg, **{"header.X-Iceberg-Access-Delegation": "vended-credentials"})
        catalog.create_namespace("a")
        table = catalog.create_table("a.t", pa.schema([("a", pa.int64())]))
        table.append(pa.table({"a": [1, 2]}))
        assert table.io.properties["s3.access-key-id"] != minio_server.access_key
        assert server.process is not None
        server.process.restart()
        assert catalog.load_table("a.t").scan().to_arrow().num_rows == 2


@pytest.mark.server
def test_postgres_answers_queries(postgres_server: Postgres) -> None:
    name = postgres_server.make_database(f"own_{uuid.uuid4().hex[:8]}")
    rows = postgres_server.sql("SELECT current_database(), current_setting('wal_level'); SELECT NULL", name)
    assert rows == [[name, "logical"], [""]]


@pytest.mark.server
def test_mariadb_answers_queries(mariadb_server: MariaDb) -> None:
    name = mariadb_server.make_database(f"own_{uuid.uuid4().hex[:8]}")
    assert mariadb_server.sql("SELECT database(), @@binlog_format", name) == [[name, "ROW"]]


@pytest.mark.server
def test_azurite_keeps_blobs(azurite_server: Azurite) -> None:
    container = azurite_server.make_container(f"own-{uuid.uuid4().hex[:8]}")
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_parquet(f"az://{container}/x/y.parquet", storage_options=azurite_server.storage_options)
    assert azurite_server.blobs(container) == ["x/y.parquet"]
    read = pl.read_parquet(f"az://{container}/x/y.parquet", storage_options=azurite_server.storage_options)
    assert read.equals(frame)


@pytest.mark.server
def test_toxiproxy_slows_and_cuts_connections(tmp_path: Path) -> None:
    port = free_port()
    with running(_recipe(tmp_path, port)), toxiproxy(tmp_path) as proxies:
        proxy = proxies.proxy(port)
        assert answers(f"http://127.0.0.1:{proxy.port}/")
        toxic = proxy.poison("latency", latency=300)
        begin = time.monotonic()
        assert answers(f"http://127.0.0.1:{proxy.port}/")
        assert time.monotonic() - begin >= 0.3
        proxy.cure(toxic)
        proxy.close()
        assert not listens(proxy.port)
        proxies.reset()
        assert answers(f"http://127.0.0.1:{proxy.port}/")
