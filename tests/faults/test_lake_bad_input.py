"""Settings that do not fit the servers: `dativo sync` ends with 2, names the setting, where it came from and the remedy.

Nothing is written, and there is no traceback.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Dativo
from tests.faults.lakehouse import People
from tests.faults.program import Ended, Program
from tests.faults.sts import assumed
from tests.faults.wire import wire

pytestmark = [pytest.mark.server, pytest.mark.slow]

Start = Callable[[], Program]
ROWS = range(20)


def synced(job: People, program: Start, **environment: str) -> Ended:
    """`dativo sync`, with variables of its own as a process; it fails and says so in a few lines."""
    if environment:
        run = program()
        run.go(job.root, "sync", "jobs/acme/job.yaml", **environment)
        ended = run.ended(90)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(job.root)
            answer = Dativo(patch)("sync", "jobs/acme/job.yaml", code=None)
        ended = Ended(answer.code, answer.out, answer.err)
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err and "something went wrong" not in ended.err, ended
    return ended


def refused(job: People, program: Start, *texts: str, **environment: str) -> None:
    """It fails with such texts, and nothing was written: no table, no file, no state."""
    assert job.lake is not None
    before = job.lake.minio.keys("lake")
    ended = synced(job, program, **environment)
    said = " ".join((ended.err + ended.out).split())
    for text in texts:
        assert text in said, f"{text!r} is not in:\n{ended.err}{ended.out}"
    job.lake.calm()
    assert job.found() is None
    assert [k for k in job.lake.minio.keys("lake") if k not in before and not k.endswith(".metadata.json")] == []
    assert not (job.root / ".local/state/acme/job.json").exists()


@pytest.fixture
def job(nessie_job: People) -> People:
    nessie_job.deliver(ROWS)
    return nessie_job


def configured(job: People, *path: str, value: Any, **more: Any) -> None:
    """The job with one setting of its target changed."""
    target = job.target(**more)
    block = target
    for name in path[:-1]:
        block = block.setdefault(name, {})
    block[path[-1]] = value
    job.job(target=target)


def place_of(job: People, text: str) -> str:
    """Where a text stands in the job, as messages name it."""
    lines = (job.root / "jobs/acme/job.yaml").read_text().splitlines()
    return f"jobs/acme/job.yaml:{next(n for n, line in enumerate(lines, 1) if text in line)}:"


S3 = ("connection", "s3")
NESSIE = ("connection", "nessie")


@pytest.mark.parametrize(
    ("setting", "value", "message", "remedy"),
    [
        ("access_key_id", "nobody", "the store does not know the access key", "give the access key of a user"),
        ("secret_access_key", "another-one", "the secret key is wrong", "give the key that belongs to this name"),
        ("region", "eu-west-7", "the bucket is in another region", "set region to us-east-1"),
    ],
)
def test_keys_and_region_that_the_store_does_not_take(
    job: People, program: Start, setting: str, value: str, message: str, remedy: str
) -> None:
    configured(job, *S3, setting, value=value)
    shown = "****" if setting == "secret_access_key" else value
    at = place_of(job, f"{setting}: ")
    refused(job, program, message, remedy, f"{setting}: {shown} from target.connection.s3.{setting} ({at}")


def test_keys_of_the_environment_are_named_as_such(job: People, program: Start) -> None:
    target = job.target()
    del target["connection"]["s3"]["secret_access_key"]
    job.job(target=target)
    origin = "secret_access_key: **** from AWS_SECRET_ACCESS_KEY in the process environment"
    refused(job, program, "the secret key is wrong", origin, AWS_SECRET_ACCESS_KEY="a-wrong-canary")


def test_a_clock_that_is_an_hour_off(job: People, program: Start) -> None:
    refused(job, program, "clock", "set ", "timedatectl status", FAULT_CLOCK="3600")


@pytest.mark.parametrize(
    ("uri", "message", "remedy"),
    [
        ("http://127.0.0.1:9", "nobody listens at 127.0.0.1:9", "start the server, or correct host and port"),
        ("http://nessie.invalid:19120", "the host 'nessie.invalid' is not known", "correct the host's name"),
    ],
    ids=["closed port", "unknown host"],
)
def test_a_catalog_that_is_not_there(job: People, program: Start, uri: str, message: str, remedy: str) -> None:
    configured(job, *NESSIE, "uri", value=uri)
    refused(job, program, message, remedy, f"target.connection.nessie.uri ({place_of(job, 'uri: ')}")


def test_a_catalog_of_a_variable_names_the_variable(job: People, program: Start) -> None:
    target = job.target()
    del target["connection"]["nessie"]
    job.job(target=target)
    refused(
        job,
        program,
        "nobody listens at 127.0.0.1:9",
        "NESSIE_URI in the process environment",
        NESSIE_URI="http://127.0.0.1:9/api/v2",
    )


def test_a_default_branch_that_is_not_there(job: People, program: Start) -> None:
    configured(job, *NESSIE, "default_branch", value="mian")
    refused(job, program, "'mian'", "default_branch", "did you mean 'main'?")


def test_a_branch_name_that_nessie_does_not_take(job: People, program: Start) -> None:
    job.branch = "a b"
    configured(job, "branch", value="a b?")
    job.branch = "main"
    refused(
        job,
        program,
        "'a b?' cannot name a branch",
        "begin with a letter",
        f"target.branch ({place_of(job, 'branch: ')}",
    )


def test_a_warehouse_that_the_catalog_does_not_have(job: People, program: Start) -> None:
    configured(job, "warehouse", value="nowhere")
    refused(job, program, "warehouse", "nowhere", f"target.warehouse ({place_of(job, 'warehouse: ')}")


def test_a_bucket_that_is_not_there(job: People, program: Start) -> None:
    """In the embedded catalog the job's bucket is the warehouse."""
    target = job.target()
    del target["connection"]["nessie"], target["branch"]
    target["connection"]["s3"]["bucket"] = "nope"
    job.job(target=target)
    refused(
        job,
        program,
        "there is no such bucket",
        "make it first",
        f"bucket: nope from target.connection.s3.bucket ({place_of(job, 'bucket: ')}",
    )


# -- TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `elsewhere.example`, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    program = shutil.which("openssl")
    assert program is not None, "openssl is missing"
    command = [
        program,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=elsewhere.example",
    ]
    command += ["-addext", "subjectAltName=DNS:elsewhere.example", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_a_certificate_for_another_name(job: People, program: Start, certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, context = certificate
    assert job.lake is not None
    with wire(job.lake.nessie.port, tls=context) as between:
        configured(job, *NESSIE, "uri", value=f"https://localhost:{between.port}")
        refused(job, program, "the server's certificate is for another name", "use a host name that its certificate has",
                "target.connection.nessie.uri", REQUESTS_CA_BUNDLE=str(file), SSL_CERT_FILE=str(file))  # fmt: skip


def test_a_certificate_that_nobody_trusts(
    job: People, program: Start, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    assert job.lake is not None
    with wire(job.lake.nessie.port, tls=certificate[1]) as between:
        configured(job, *NESSIE, "uri", value=f"https://localhost:{between.port}")
        refused(
            job, program, "signed by nobody this machine trusts", "REQUESTS_CA_BUNDLE", "target.connection.nessie.uri"
        )


def test_tls_where_none_is_spoken(job: People, program: Start) -> None:
    assert job.lake is not None
    configured(job, *NESSIE, "uri", value=f"https://127.0.0.1:{job.lake.nessie.port}")
    refused(job, program, "it does not speak TLS", "write the address with http://", "target.connection.nessie.uri")


# -- what is there already -----------------------------------------------------------------------------------------------


def test_a_table_with_another_schema(job: People, program: Start) -> None:
    job.loaded(ROWS)
    location = job.table().metadata_location
    job.asset([{"name": "id", "type": "date", "required": True}, {"name": "name", "type": "string"}])
    job.write("data/people.csv", "id,name\n2026-01-01,x\n")
    ended = synced(job, program)
    said = " ".join(ended.err.split())
    assert "'id' is long in the table and date in the contract" in said, ended
    assert "give the column a new name in the contract" in said
    assert job.table().metadata_location == location and job.ids() == list(ROWS)


def test_a_user_who_may_not_write_into_the_namespace(job: People, program: Start) -> None:
    """Credentials that MinIO's STS gave out for another prefix of the bucket."""
    assert job.lake is not None
    keys = assumed(job.lake.minio, "lake/other/*")
    target = job.target()
    target["connection"]["s3"] |= keys
    job.job(target=target)
    refused(job, program, "the credentials may not do this", "allow them to list, read, write and delete",
            "target.connection.s3.access_key_id")  # fmt: skip
