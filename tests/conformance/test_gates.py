"""Quality gates: what is stored is counted, and a commit that is not what its run says is not published."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from dativo import connectors
from dativo.config.field import Field
from dativo.errors import ContractError, TargetError
from dativo.pipeline.gates import Commit, check
from dativo.pipeline.run import run_token
from dativo.receipt import StreamReceipt
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Publisher, TableShape, UnseenTarget
from tests.lake import STARTED, nessie_lake, write
from tests.project import Project
from tests.services.nessie import Nessie

pytestmark = pytest.mark.server

ID = Field(name="id", kind="long")
NAME = Field(name="name", kind="string")
Committed = Callable[..., tuple[Publisher, Commit]]


@pytest.fixture
def committed(project: Project, nessie_server: Nessie) -> Committed:
    """Commits rows to a run's branch; what the gates are asked then."""

    def commit(rows: dict[str, list[Any]], *, loaded: int, **more: Any) -> tuple[Publisher, Commit]:
        lake = nessie_lake(project, nessie_server, f"gates_{secrets.token_hex(6)}")
        lake.load((ID, NAME), {"id": [7], "name": ["there"]})
        job = project.load()
        publisher = connectors.publisher(job)
        assert publisher is not None
        token = run_token(STARTED)
        publisher.begin(job.tenant_id, job.name, token, [lake.namespace])
        target: UnseenTarget = publisher.target(job, job.streams[0], token, STARTED)
        target.open(TableShape((ID, NAME), (), {}))
        frame = pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String})
        told = StreamReceipt(stream="people", table="people", status="loaded", extracted=loaded, loaded=loaded)
        target.commit(write(target, frame), Cursor(), "plan", told)
        publisher.seal()
        settings = {"columns": (ID, NAME), "keys": (), **more}
        return publisher, Commit(job=job, stream=job.streams[0], token=token, receipt=told, target=target, **settings)

    return commit


def test_rows_and_nulls_are_counted_from_what_is_stored(committed: Committed) -> None:
    publisher, found = committed({"id": [1, None, 3], "name": [None, None, "c"]}, loaded=3)
    assert (found.audit.added, found.audit.nulls) == (3, {"id": 1, "name": 2})
    check(found)
    assert publisher.publish() and publisher.discard(keep=False)


def test_a_commit_with_other_rows_than_its_run_loaded_is_refused(committed: Committed) -> None:
    publisher, found = committed({"id": [1, 2], "name": ["a", "b"]}, loaded=3)
    with pytest.raises(ContractError, match="the table got 2 rows, but 3 were loaded"):
        check(found)
    assert publisher.discard(keep=False)


def test_a_required_column_with_nulls_is_refused(committed: Committed) -> None:
    required = Field(name="name", kind="string", required=True)
    publisher, found = committed({"id": [1, 2], "name": [None, "b"]}, loaded=2, columns=(ID, required))
    with pytest.raises(ContractError, match=r"required columns have rows without a value: name \(1\)"):
        check(found)
    assert publisher.discard(keep=False)


def test_repeated_keys_are_counted_and_rows_without_a_key_are_none(committed: Committed) -> None:
    rows = {"id": [1, 1, None, None, 2], "name": ["a", "a", "a", "a", "a"]}
    publisher, found = committed(rows, loaded=5, keys=((ID, NAME),))
    with pytest.raises(ContractError, match="1 rows repeat a value of id, name, which must be unique"):
        check(found)
    assert publisher.discard(keep=False)


def test_rows_that_were_there_before_are_no_matter_of_the_gates(committed: Committed) -> None:
    publisher, found = committed({"id": [7], "name": ["there"]}, loaded=1, keys=((ID,),))
    check(found)
    assert publisher.discard(keep=False)


def test_nothing_but_what_the_run_left_on_its_branch_is_published(committed: Committed) -> None:
    publisher, found = committed({"id": [1], "name": ["a"]}, loaded=1)
    target: Any = found.target
    target.token = "another"
    with pytest.raises(TargetError, match="is not the one that this run left there"):
        check(found)
    assert publisher.discard(keep=False)
