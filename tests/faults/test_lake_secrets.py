"""Keys of the store and the catalog's token are in nothing that a run wrote or said: files, objects, tables, messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Answer, Dativo
from tests.faults.lakehouse import COMMIT, DATA, People
from tests.faults.sts import assumed
from tests.faults.test_secrets import forms

pytestmark = [pytest.mark.server, pytest.mark.slow]

TOKEN = "canary-nessie-5b1e6f0c7d"


@pytest.fixture
def dativo(monkeypatch: pytest.MonkeyPatch) -> Dativo:
    return Dativo(monkeypatch)


@pytest.fixture(params=["job", "variables", "secret"])
def job(nessie_job: People, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> People:
    """A job with real keys that are canaries, given in the job, in variables, or in a secret of the tenant."""
    lake = nessie_job.lake
    assert lake is not None
    keys = assumed(lake.minio, "lake/*")
    nessie_job.canaries = (keys["secret_access_key"], keys["session_token"], TOKEN)  # type: ignore[attr-defined]
    target: dict[str, Any] = nessie_job.target()
    store, nessie = target["connection"]["s3"], target["connection"]["nessie"]
    store["access_key_id"] = keys["access_key_id"]
    given = {"secret_access_key": keys["secret_access_key"], "session_token": keys["session_token"]}
    del store["secret_access_key"]
    if request.param == "job":
        store |= given
        nessie["token"] = TOKEN
    elif request.param == "variables":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["secret_access_key"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", keys["session_token"])
        monkeypatch.setenv("NESSIE_TOKEN", TOKEN)
    else:
        monkeypatch.setenv("DATIVO_SECRET__ACME__ICEBERG__json", json.dumps(given))
        monkeypatch.setenv("DATIVO_SECRET__ACME__NESSIE__json", json.dumps({"token": TOKEN}))
    nessie_job.job(target=target, logging={"level": "DEBUG"})
    nessie_job.deliver(range(50))
    return nessie_job


def assert_clean(job: People, *answers: Answer) -> None:
    """No canary below the project (but in the job), in any object of the store, nor in anything that was said."""
    lake = job.lake
    assert lake is not None
    content = {
        str(p): p.read_bytes() for p in job.root.rglob("*") if p.is_file() and p.parts[-3:-1] != ("jobs", "acme")
    }
    files = lake.minio.files
    content |= {key: files.open_input_file(f"lake/{key}").read() for key in lake.minio.keys("lake")}
    content |= {f"answer {n}": a.data + a.err.encode() for n, a in enumerate(answers)}
    assert any(name.endswith(".metadata.json") for name in content)
    for canary in job.canaries:  # type: ignore[attr-defined]
        for form in forms(canary):
            assert [name for name, text in content.items() if form in text] == []


COMMANDS = (
    "check job", "plan job --explain", "preview job", "show job", "show job --json", "state show job --json",
    "runs list job", "state rebuild job", "validate", "doctor",
)  # fmt: skip


def test_a_whole_life_of_a_job_on_nessie_leaves_no_secret_anywhere(job: People, dativo: Dativo) -> None:
    answers = [dativo("sync", "job", "--log-format", "json", "--progress", "json", "--json", "--debug")]
    assert job.ids() == list(range(50)), "the keys were not used"
    answers += [dativo(*command.split(), code=None) for command in COMMANDS]
    assert_clean(job, *answers)


@pytest.mark.parametrize("debug", [False, True])
def test_no_failure_of_the_servers_tells_a_secret(job: People, dativo: Dativo, debug: bool) -> None:
    lake = job.lake
    assert lake is not None
    options = ["--debug"] if debug else []
    job.loaded(range(10))
    answers = []
    for wire, pattern, status in (
        (lake.store, DATA, 403), (lake.store, r"\.avro", 403), (lake.catalog, COMMIT, 401), (lake.catalog, "config", 500),
    ):  # fmt: skip
        lake.calm()
        wire.meet(pattern, heard=False, answer=status, times=1_000)
        job.deliver(range(60))
        answers.append(dativo("sync", "job", "--log-format", "json", *options, code=2))
    lake.calm()
    assert_clean(job, *answers)
