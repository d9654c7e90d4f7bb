"""Failures in the words of the job's settings: what is not about the servers stays as it is, and explaining ends."""

from __future__ import annotations

import pytest

from dativo.errors import CommitConflict, DativoError, TargetError
from dativo.pipeline.outcome import kind_of
from dativo.targets.iceberg.explain import explain
from tests.project import Project


@pytest.fixture
def job(project: Project) -> Project:
    project.asset([{"name": "id", "type": "integer"}])
    project.job(target={"connection": {"s3": {"bucket": "lake", "access_key_id": "someone"}}})
    return project


def raised(error: DativoError, cause: BaseException) -> DativoError:
    try:
        raise error from cause
    except DativoError as found:
        return found


def test_a_refusal_of_the_store_names_setting_and_origin(job: Project) -> None:
    text = "object-store error: PUT http://h/lake/a%20b.parquet: 403: <Code>InvalidAccessKeyId</Code>"
    told = explain(job.load(), raised(TargetError("the pass failed"), OSError(text)))
    assert told.message.startswith("s3://lake/a b.parquet") and "cannot be written" in told.message
    assert told.message.endswith("the store does not know the access key; nothing was committed")
    assert "access_key_id: someone from target.connection.s3.access_key_id (jobs/acme/job.yaml:" in told.hint


@pytest.mark.parametrize(
    ("answer", "code"),
    [("403: <Code>SignatureDoesNotMatch</Code>", "config"), ("503: <Code>SlowDown</Code>", "target")],
    ids=["a wrong key", "too much to do"],
)
def test_only_what_may_pass_is_worth_another_try(job: Project, answer: str, code: str) -> None:
    text = f"object-store error: PUT http://h/lake/a.parquet: {answer}"
    assert kind_of(explain(job.load(), raised(TargetError("the pass failed"), OSError(text)))) == code


def test_what_arrow_tells_is_understood_too(job: Project) -> None:
    text = (
        "When initiating multiple part upload for key 'm.avro' in bucket 'lake': AWS Error NETWORK_CONNECTION during "
        "CreateMultipartUpload operation: curlCode: 28, Timeout was reached"
    )
    told = explain(job.load(), raised(TargetError("the commit failed"), OSError(text)))
    assert told.message.startswith("s3://lake/m.avro")
    assert told.message.endswith("the store did not answer in time; nothing was committed")


@pytest.mark.parametrize("error", [CommitConflict("another run was faster"), DativoError("something")], ids=repr)
def test_conflicts_and_errors_of_others_speak_for_themselves(job: Project, error: DativoError) -> None:
    assert explain(job.load(), raised(error, OSError("object-store error: <Code>InvalidAccessKeyId</Code>"))) is error


def test_an_error_of_the_disk_stays_as_it_is(job: Project) -> None:
    error = TargetError("no space is left on the disk")
    assert explain(job.load(), raised(error, OSError(28, "No space left on device"))) is error


def test_causes_that_lead_to_themselves_end(job: Project) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    error = TargetError("the pass failed")
    assert explain(job.load(), raised(error, first)) is error
