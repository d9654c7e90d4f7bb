"""Nessie and MinIO that hang, go away, fail, answer in part, or no longer take the credentials, while a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dativo.targets.iceberg import storage
from tests.faults.lakehouse import COMMIT, DATA, FOOTER, LOOK, Lakehouse, People, told
from tests.faults.wire import ALWAYS, SLOW_DOWN

pytestmark = [pytest.mark.server, pytest.mark.slow]

FIRST, SECOND = range(100), range(300)
MANIFEST = r"(PUT|POST) \S*\.avro"
# The moments of a run at which a server fails: at its begin, while it writes, at its commit.
MOMENTS = {"at the begin": LOOK, "while it writes": DATA, "at the commit": COMMIT}


@pytest.fixture
def job(nessie_job: People, monkeypatch: pytest.MonkeyPatch) -> People:
    """A job whose table is there, and its next delivery."""
    monkeypatch.setattr("dativo.targets.iceberg.commit.LONGEST_WAIT", 0.05)
    nessie_job.loaded(FIRST)
    nessie_job.deliver(SECOND)
    return nessie_job


def at(lake: Lakehouse, pattern: str, work: Callable[[], object], **what: object) -> None:
    """Does something once, when such a request comes."""
    wire = lake.store if pattern == DATA else lake.catalog
    wire.meet(pattern, before=work, **what)


def failed(job: People, *texts: str) -> None:
    """The run ended with 2 and told why; nothing of it is visible."""
    status, code, error = told(job.sync())
    assert (status, code) == ("failed", 2), error
    assert any(text in error for text in texts), error
    assert "Traceback" not in error


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_catalog_that_hangs_ends_the_run_after_a_while(
    job: People, lake: Lakehouse, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is stopped, not gone: connections are taken and nothing is answered."""
    monkeypatch.setattr("dativo.targets.iceberg.rest.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("dativo.targets.reach.ANSWER_SECONDS", 0.5)
    server = lake.nessie.process
    assert server is not None
    at(lake, MOMENTS[moment], server.pause)
    begun = time.monotonic()
    try:
        failed(job, "did not answer within", "no answer within", "does not answer", "nothing was committed")
    finally:
        server.resume()
    assert time.monotonic() - begun < 60
    lake.calm()
    assert job.ids() in (list(FIRST), list(SECOND) if moment == "at the commit" else list(FIRST))
    job.right(SECOND)


@pytest.mark.parametrize("pattern", [DATA, MANIFEST, r"GET /lake"], ids=["data", "manifest", "read"])
def test_a_store_that_hangs_ends_the_run_after_a_while(
    job: People, lake: Lakehouse, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dativo.targets.iceberg.storage.REQUEST_SECONDS", "1")
    monkeypatch.setattr("dativo.targets.iceberg.commit.ROUNDS", 2)
    whole = storage.storage_options

    def once(*given: Any) -> Any:
        return {**(whole(*given) or {}), "max_retries": 0}

    monkeypatch.setattr("dativo.targets.iceberg.target.storage_options", once)
    server = lake.minio.process
    assert server is not None
    lake.store.meet(pattern, before=server.pause)
    begun = time.monotonic()
    try:
        failed(job, "the store did not answer in time")
    finally:
        server.resume()
    assert time.monotonic() - begun < 90
    lake.calm()
    assert job.ids() == list(FIRST)
    job.right(SECOND)


@pytest.mark.parametrize("who", ["catalog", "store"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_hangs_for_two_seconds_is_waited_for(job: People, lake: Lakehouse, moment: str, who: str) -> None:
    server = (lake.nessie if who == "catalog" else lake.minio).process
    assert server is not None
    awake = threading.Timer(2.0, server.resume)

    def asleep() -> None:
        server.pause()
        awake.start()

    at(lake, MOMENTS[moment], asleep)
    assert told(job.sync()) == ("loaded", 0, "")
    awake.join()
    assert job.ids() == list(SECOND)
    job.right(SECOND)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_catalog_that_is_gone_is_a_clear_error(job: People, lake: Lakehouse, moment: str) -> None:
    at(lake, MOMENTS[moment], lake.catalog.refuse, heard=False, answer=0)
    failed(job, "nobody listens at", "does not answer")
    lake.calm()
    assert job.ids() == list(FIRST)
    job.right(SECOND)


def test_a_store_that_is_gone_is_a_clear_error(job: People, lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    at(lake, DATA, lake.store.refuse)
    begun = time.monotonic()
    failed(job, "nobody listens at the endpoint", "the store", "s3://")
    assert time.monotonic() - begun < 120
    lake.calm()
    assert job.ids() == list(FIRST)
    job.right(SECOND)


@pytest.mark.parametrize("answer", [500, 503, 0], ids=["500", "SlowDown", "reset"])
@pytest.mark.parametrize("pattern", [DATA, MANIFEST, r"(GET|HEAD) /lake"], ids=["data", "manifest", "read"])
def test_a_store_that_fails_twice_is_asked_again(job: People, lake: Lakehouse, pattern: str, answer: int) -> None:
    fate = lake.store.meet(
        pattern, heard=False, answer=answer, times=2, reset=True, body=SLOW_DOWN if answer == 503 else b""
    )
    assert told(job.sync()) == ("loaded", 0, "")
    assert fate.met == 2
    assert job.ids() == list(SECOND)
    job.right(SECOND)


@pytest.mark.parametrize("after", [0, 1, 100])
def test_an_answer_of_the_store_that_ends_early_is_never_taken_for_the_whole(
    job: People, lake: Lakehouse, after: int
) -> None:
    fate = lake.store.meet(r"^GET /lake", after_bytes=after, times=2)
    status, code, error = told(job.sync())
    assert fate.met >= 1
    assert (status, code) in (("loaded", 0), ("failed", 2)) and (code == 0) == (error == ""), error
    lake.calm()
    assert job.ids() == list(SECOND if code == 0 else FIRST)
    job.right(SECOND)


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "ExpiredToken"])
@pytest.mark.parametrize("pattern", [DATA, FOOTER], ids=["while it writes", "after a data file"])
def test_credentials_that_are_no_longer_taken_are_told(job: People, lake: Lakehouse, code: str, pattern: str) -> None:
    """What the store answers from some moment on, as MinIO and Amazon write it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()

    lake.store.meet(pattern, heard=False, answer=403, times=ALWAYS, body=body)
    failed(job, "expired", "the store does not know the access key", "may not do this", "ACCESS_DENIED")
    lake.calm()
    assert job.ids() == list(FIRST)
    job.right(SECOND)


def test_a_key_that_is_changed_on_the_server_during_a_run_is_told(job: People, lake: Lakehouse) -> None:
    """MinIO is started anew with another secret key between the catalog's answer and the first data file."""
    server = lake.minio.process
    assert server is not None
    variables = dict(server.recipe.environment)

    def with_key(secret: str) -> None:
        server.recipe.environment = {**variables, "MINIO_ROOT_PASSWORD": secret}
        server.restart()

    at(lake, DATA, lambda: with_key("another-password"))
    try:
        failed(job, "the secret key is wrong")
    finally:
        with_key(variables["MINIO_ROOT_PASSWORD"])
    lake.calm()
    assert job.ids() == list(FIRST)
    job.right(SECOND)
