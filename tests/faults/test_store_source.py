"""What a run does when the store that it reads from refuses, breaks off, or changes under it: all rows, or none and why."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from tests.faults.wire import ALWAYS, SLOW_DOWN, Wire, wire
from tests.project import Project
from tests.services.azurite import Azurite
from tests.services.minio import Minio
from tests.store_folder import StoreFolder, azure_folder, minio_folder

pytestmark = pytest.mark.server

FIELDS = [{"name": "id", "type": "integer", "required": True}, {"name": "text", "type": "string"}]
# More than one request's worth of each format.
ROWS = 60_000
# A part of an object: a GET of a key, and not of a listing.
GET = r"^GET /[^/]+/big"


def _frame(first: int = 0) -> pl.DataFrame:
    """Rows whose text does not shrink when it is compressed."""
    numbers = pl.int_range(first, first + ROWS, eager=True).alias("id")
    return pl.DataFrame([numbers, numbers.hash(first).cast(pl.String).alias("text")])


def _csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def _jsonl(frame: pl.DataFrame) -> bytes:
    return frame.write_ndjson().encode()


def _parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out, row_group_size=10_000)
    return out.getvalue()


FORMATS: dict[str, Callable[[pl.DataFrame], bytes]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


class Shop:
    """A project that loads the files `big*` of a bucket, through a wire."""

    def __init__(self, project: Project, folder: StoreFolder, line: Wire, ending: str) -> None:
        self.project, self.folder, self.line, self.ending = project, folder, line, ending
        self.endpoint = f"http://127.0.0.1:{line.port}"
        project.asset(FIELDS)
        self.job()

    def job(self, *paths: str, incremental: bool = False, **connection: Any) -> None:
        source: dict[str, Any] = {
            "files": [{"path": p} for p in paths or (f"big*.{self.ending}",)],
            "connection": {**self.folder.connection, "endpoint": self.endpoint, **connection},
        }
        if incremental:
            source["incremental"] = {"strategy": "file_modified_time"}
        self.project.job(source_connector_path="connectors/sources/s3.yaml", source=source)

    def put(self, first: int = 0, name: str = "big") -> str:
        return self.folder.put(f"{name}.{self.ending}", FORMATS[self.ending](_frame(first)))

    def refusal(self) -> str:
        """The message and the remedy of a run that committed nothing."""
        receipt = self.project.sync()
        error = receipt.streams[0].error
        assert (receipt.exit_code, receipt.loaded) == (2, 0)
        assert error is not None
        assert "Traceback" not in str(error)
        assert self.folder.connection["secret_access_key"] not in f"{error}"
        assert self.snapshots() == 0
        return str(error)

    def snapshots(self) -> int:
        catalog = self.project.catalog()
        return self.project.snapshots() if catalog.table_exists("default.people") else 0

    def loads_all(self) -> None:
        receipt = self.project.sync()
        assert receipt.exit_code == 0, receipt.streams[0].error
        assert sorted(self.project.rows()["id"]) == list(range(ROWS))


@pytest.fixture(params=FORMATS)
def shop(project: Project, minio_server: Minio, request: pytest.FixtureRequest) -> Iterator[Shop]:
    with wire(minio_server.port) as line:
        yield Shop(project, minio_folder(minio_server), line, request.param)


@pytest.fixture
def csv_shop(project: Project, minio_server: Minio) -> Iterator[Shop]:
    with wire(minio_server.port) as line:
        yield Shop(project, minio_folder(minio_server), line, "csv")


# -- what passes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_an_answer_that_breaks_off_is_taken_up_again(shop: Shop, reset: bool) -> None:
    shop.put()
    fate = shop.line.meet(GET, after_bytes=20_000, reset=reset, times=3)
    shop.loads_all()
    assert fate.met == 3


@pytest.mark.parametrize(("answer", "body"), [(503, SLOW_DOWN), (500, b""), (0, b"")], ids=["slow down", "500", "cut"])
def test_a_store_that_refuses_a_few_times_is_asked_again(shop: Shop, answer: int, body: bytes) -> None:
    shop.put()
    fate = shop.line.meet(r"^GET ", answer=answer, body=body, heard=False, nth=2, times=3)
    shop.loads_all()
    assert fate.met == 3


# -- what ends in an error ---------------------------------------------------------------------------------------------


def test_answers_that_always_break_off_end_in_an_error(shop: Shop) -> None:
    shop.put()
    shop.line.meet(GET, after_bytes=5_000, times=ALWAYS)
    said = shop.refusal()
    assert "broke off" in said
    assert "big" in said


def test_a_store_that_is_always_overloaded_ends_in_an_error(shop: Shop) -> None:
    shop.put()
    shop.line.meet(GET, answer=503, body=SLOW_DOWN, heard=False, times=ALWAYS)
    assert "too much to do" in shop.refusal()


def test_a_file_that_is_removed_after_the_listing_ends_in_an_error(shop: Shop) -> None:
    key = shop.put()
    shop.line.meet(r"^GET /[^/]+\?.*list-type", then=lambda: shop.folder.remove(key))
    assert "went away" in shop.refusal()


def test_a_file_that_is_replaced_while_it_is_read_ends_in_an_error(shop: Shop) -> None:
    shop.put()
    # The first requests are for the columns; what is asked for then is the rows.
    shop.line.meet(GET, nth=4, before=lambda: shop.put(5))
    assert "changed while it was read" in shop.refusal()
    shop.line.clear()
    shop.put()
    shop.loads_all()


def test_a_store_that_goes_away_in_the_middle_ends_in_an_error(shop: Shop) -> None:
    shop.put()
    shop.line.meet(GET, nth=3, before=shop.line.refuse)
    assert "nobody listens" in shop.refusal()
    shop.line.accept()
    shop.loads_all()


def test_nothing_is_lost_or_doubled_after_a_fault_of_an_incremental_run(csv_shop: Shop) -> None:
    csv_shop.job(incremental=True)
    csv_shop.put()
    csv_shop.loads_all()
    csv_shop.put(ROWS, name="big2")
    csv_shop.line.meet(r"^GET /[^/]+/big2", after_bytes=5_000, times=ALWAYS)
    assert csv_shop.project.sync().exit_code == 2
    assert csv_shop.project.rows().height == ROWS
    csv_shop.line.clear()
    receipt = csv_shop.project.sync()
    assert (receipt.exit_code, receipt.loaded) == (0, ROWS)
    assert sorted(csv_shop.project.rows()["id"]) == list(range(2 * ROWS))


# -- wrong settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("secret_access_key", "wrong-canary", ["secret key is wrong", "secret_access_key: ****", "job.yaml"]),
        ("access_key_id", "nobody", ["does not know the access key", "access_key_id: nobody", "job.yaml"]),
        ("bucket", "not-there", ["no such bucket", "bucket: not-there", "job.yaml"]),
        ("endpoint", "http://127.0.0.1:9", ["nobody listens", "endpoint: http://127.0.0.1:9"]),
    ],
)
@pytest.mark.parametrize("path", ["big.csv", "big*.csv"], ids=["key", "glob"])
def test_a_wrong_setting_is_named_with_its_place(
    csv_shop: Shop, path: str, setting: str, value: str, words: list[str]
) -> None:
    csv_shop.put()
    csv_shop.job(path, **{setting: value})
    said = csv_shop.refusal()
    for word in words:
        assert word in said
    assert "wrong-canary" not in said


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("account_key", "d3Jvbmc=", ["secret key is wrong", "account_key: ****"]),
        ("container", "not-there", ["no such container", "container: not-there"]),
        ("endpoint", "http://127.0.0.1:9/devstoreaccount1", ["nobody listens", "endpoint: http://127.0.0.1:9"]),
    ],
)
@pytest.mark.parametrize("path", ["a.csv", "*.csv"], ids=["key", "glob"])
def test_a_wrong_setting_of_azure_is_named_with_its_place(
    project: Project, azurite_server: Azurite, path: str, setting: str, value: str, words: list[str]
) -> None:
    folder = azure_folder(azurite_server)
    folder.put("a.csv", "id,text\n1,x\n")
    project.asset(FIELDS)
    source = {"files": [{"path": path}], "connection": {**folder.connection, setting: value}}
    project.job(source_connector_path="connectors/sources/azure_blob.yaml", source=source)
    receipt = project.sync()
    assert receipt.exit_code == 2
    said = str(receipt.streams[0].error)
    for word in [*words, "job.yaml"]:
        assert word in said
    assert "d3Jvbmc=" not in said


def test_a_key_that_is_missing_is_told_with_the_nearest_one(csv_shop: Shop) -> None:
    csv_shop.put()
    csv_shop.job("bg.csv")
    said = csv_shop.refusal()
    assert "file not found: 'bg.csv'" in said
    assert "did you mean" in said
    assert f"{csv_shop.folder.uri('big.csv')}" in said
