"""Runs into an object store that are killed, or whose connection is cut: the table is whole, and the next run right."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo.targets.objects.keeper import ObjectKeeper
from dativo.targets.upkeep import Wanted
from tests.faults.test_kill import BAD, FIELDS, Input, full, increment
from tests.faults.worker import Worker
from tests.object_lake import ObjectLake
from tests.project import Project
from tests.services.minio import Minio
from tests.services.toxiproxy import Proxy, Toxiproxy, toxiproxy

ROUNDS = 6
pytestmark = pytest.mark.server


def lake_of(project: Project, minio: Minio, endpoint: str | None = None) -> ObjectLake:
    bucket = minio.make_bucket(f"faults-{secrets.token_hex(6)}")
    keys = {"access_key_id": minio.access_key, "secret_access_key": minio.secret_key, "region": minio.region}
    lake = ObjectLake(project, "s3", {"endpoint": endpoint or minio.endpoint, "bucket": bucket, **keys})
    project.asset(FIELDS, data_quality={"max_rejects": BAD}, domain="default")
    return lake


def source(incremental: bool) -> dict[str, Any]:
    files: dict[str, Any] = {"files": [{"path": "data/people.csv"}]}
    return (
        {**files, "incremental": {"strategy": "file_modified_time", "cursor_field": "changed"}}
        if incremental
        else files
    )


def totals(lake: ObjectLake) -> tuple[int, int]:
    rows = lake.rows()
    return rows.height, int(rows["id"].sum())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_the_table_is_whole_after_every_kill_and_right_after_the_next_run(
    project: Project, minio_server: Minio, worker: Callable[[], Worker], mode: str
) -> None:
    delivery: Callable[[int], Input] = increment if mode == "incremental" else full
    chance = random.Random(f"objects {mode}")
    lake = lake_of(project, minio_server)
    lake.make_job("job", source=source(mode == "incremental"), schema_validation_mode="quarantine")
    before = delivery(0)
    project.write("data/people.csv", before.text)
    begin = time.perf_counter()
    assert project.sync().status == "loaded"
    whole = time.perf_counter() - begin
    assert totals(lake) == (before.rows, before.total)
    killed = 0
    waiting = [worker()]
    for number in range(1, ROUNDS + 1):
        now = delivery(number)
        project.write("data/people.csv", now.text)
        run = waiting.pop(0)
        run.wait_ready()
        waiting.append(worker())
        # A third each: when all is written and nothing committed, about the commit, and anywhere.
        run.go(project.root, hold="committing" if number % 3 else "")
        if number % 3 == 0:
            time.sleep(chance.uniform(0, whole))
        else:
            assert run.wait_phase("committing")
            if number % 3 == 2:
                run.release()
                time.sleep(chance.uniform(0, 0.05))
        killed += run.kill()
        found = totals(lake)
        assert found in ((before.rows, before.total), (now.rows, now.total)), number
        assert number % 3 != 1 or found == (before.rows, before.total)
        again = project.sync()
        assert again.status == ("unchanged" if found == (now.rows, now.total) else "loaded"), again.streams[0].error
        assert totals(lake) == (now.rows, now.total), number
        newest = lake.manifest()["runs"]["acme.job.people"][0]
        assert lake.rows(f"{lake.name}__rejects").filter(pl.col("run") == newest).height == BAD
        before = now
    assert killed >= ROUNDS // 3
    only_what_counts(lake)


def only_what_counts(lake: ObjectLake) -> None:
    """Upkeep leaves the files of the manifest and no other."""
    job = lake.project.load()
    keeper = ObjectKeeper(job, job.streams[0])
    for table in keeper.tables():
        keeper.orphans(table, Wanted(older_than_days=-1, act=True))
    assert lake.files_on_disk() == {f"{lake.prefix}/{e['path']}" for e in lake.entries()}


# -- The way there ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poisons(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with toxiproxy(tmp_path_factory.mktemp("toxiproxy")) as server:
        yield server


@pytest.fixture
def proxy(poisons: Toxiproxy, minio_server: Minio) -> Proxy:
    return poisons.proxy(minio_server.port)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stream", "attributes"),
    [
        ("reset_peer", "upstream", {"timeout": 0}),
        ("reset_peer", "downstream", {"timeout": 0}),
        ("limit_data", "downstream", {"bytes": 100}),
        ("limit_data", "upstream", {"bytes": 20_000}),
    ],
)
def test_a_connection_that_is_cut_now_and_then_costs_no_row(
    project: Project, minio_server: Minio, proxy: Proxy, kind: str, stream: str, attributes: dict[str, int]
) -> None:
    lake = lake_of(project, minio_server, f"http://127.0.0.1:{proxy.port}")
    lake.make_job("job", source=source(True), schema_validation_mode="quarantine")
    for number in range(4):
        now = increment(number)
        project.write("data/people.csv", now.text)
        proxy.poison(kind, stream=stream, toxicity=0.4, **attributes)
        first = project.sync()
        proxy.cure(f"{kind}_{stream}")
        if first.exit_code == 2:
            error = str(first.streams[0].error)
            assert "Traceback" not in error and "Debug source" not in error
        second = project.sync()
        # A run that failed may have landed all the same, which the next one finds out.
        assert second.status in ({"loaded", "unchanged"} if first.exit_code == 2 else {"unchanged"}), second.streams[
            0
        ].error
        assert totals(lake) == (now.rows, now.total), number
    only_what_counts(lake)


def test_a_store_that_is_down_is_told_and_nothing_is_left(
    project: Project, minio_server: Minio, proxy: Proxy, tmp_path: Path
) -> None:
    lake = lake_of(project, minio_server, f"http://127.0.0.1:{proxy.port}")
    project.write("data/people.csv", full(0).text)
    lake.make_job("job", source=source(False), schema_validation_mode="quarantine")
    proxy.close()
    receipt = project.sync()
    proxy.open()
    error = str(receipt.streams[0].error)
    assert (
        receipt.exit_code == 2 and "nobody listens at the endpoint" in error and "target.connection.endpoint" in error
    )
    assert lake.files_on_disk() == set()
    assert project.sync().status == "loaded" and totals(lake) == (full(0).rows, full(0).total)
