"""One commit, exactly once: rows, columns, state and run token in one transaction, or nothing.

The table's row in `dativo_state` is held locked, the newest token compared, the rows are loaded, the state is written. When
the answer to COMMIT is lost, another session ends the one that is silent and looks whether our own token stands there.
"""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dativo.config.connection import Connection
from dativo.config.field import Field
from dativo.contract.evolve import Change, SchemaMode
from dativo.errors import CommitConflict, CommitUnknown, DativoError, SchemaChangeRefused
from dativo.targets.databases.columns import adopted, after, wanted_changes
from dativo.targets.databases.dialect import Dialect, Lost, Present, Session
from dativo.targets.databases.memory import Known, Memory, Run, moment, remember, remembered
from dativo.targets.databases.place import Place
from dativo.targets.databases.staged import Staging, encoded
from dativo.targets.objects.columns import Column
from dativo.targets.protocol import APPEND, Revision

ROUNDS = 5
LONGEST_WAIT = 8.0


@dataclass(slots=True)
class Plan:
    """What a commit is to do.

    `expected` is the job's newest token when the run began. `files` are staged rows of the columns `wanted`; `replaced` is
    the condition on the rows that a replacing run takes out, empty for all of them. `key` makes rows of a new table unique.
    `existed` tells whether the table was there when the run began, `alter` whether its columns may change.
    """

    dialect: Dialect
    connection: Connection
    table: Place
    token: str
    job: str
    expected: str | None
    check_expected: bool
    wanted: tuple[Field, ...]
    mode: SchemaMode
    files: Sequence[Path]
    state: str
    staging: Staging
    revision: Revision = APPEND
    replaced: str = ""
    key: tuple[Field, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    comment: str | None = None
    alter: bool = True
    existed: bool = True


def commit(plan: Plan) -> Run:
    """Carries the plan out, once; gives what is remembered of it.

    Raises CommitConflict when another run of the job committed first, CommitUnknown when it cannot be told whether the
    commit landed, TargetError when it cannot be done.
    """
    return _Commit(plan).run()


@contextlib.contextmanager
def session(dialect: Dialect, connection: Connection) -> Iterator[Session]:
    """A session that is closed whatever happens."""
    opened = dialect.connect(connection)
    try:
        yield opened
    finally:
        opened.close()


class _Commit:
    """The rounds of one commit. `silent` are the sessions of which nobody knows whether they committed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.silent: list[str] = []
        self.doubt: DativoError | None = None

    def run(self) -> Run:
        for attempt in range(ROUNDS):
            try:
                with session(self.plan.dialect, self.plan.connection) as opened:
                    return self._round(opened)
            except Lost as error:
                # Before anything was handed over, a lost connection is a failure like others.
                if self.doubt is None:
                    raise
                self.doubt = error
            except CommitConflict:
                raise
            except DativoError as error:
                if self.doubt is None:
                    raise
                self.doubt = error
            time.sleep(random.uniform(0.3, 1) * min(LONGEST_WAIT, 0.5 * 2**attempt))  # noqa: S311 - no secret hangs on it
        assert self.doubt is not None
        raise CommitUnknown(
            f"the database does not answer whether the commit to {self.plan.table.name} landed: {self.doubt.message}",
            hint=f"{self.doubt.hint}\nrun again when it is back: a run that landed is recognised and not repeated",
        ) from self.doubt

    def _round(self, opened: Session) -> Run:
        plan, dialect = self.plan, self.plan.dialect
        for identity in self.silent:
            opened.end(identity)
        dialect.make_schema(opened, plan.table)
        dialect.make_state(opened, plan.table)
        opened.commit()
        dialect.hold(opened, plan.table)
        memory = remembered(dialect, opened, plan.table, lock=True)
        landed = self._landed(memory)
        if landed is not None:
            return landed
        known = self._shaped(opened, memory)
        if not dialect.transactional_ddl:
            memory = remembered(dialect, opened, plan.table, lock=True)
        added, removed, updated = self._changed(opened)
        number = known.commits + 1 if added or removed or updated else None
        run = Run(
            token=plan.token,
            commit=number,
            at=moment(),
            operation="append" if plan.revision.kind == "fill" else plan.revision.kind,
            added=added,
            removed=removed,
            updated=updated,
        )
        known = msgspec.structs.replace(known, commits=number or known.commits)
        remember(dialect, opened, plan.table, memory, plan.job, run, plan.state, known)
        try:
            opened.commit()
        except Lost as error:
            self.silent.append(opened.identity)
            self.doubt = error
            raise
        return run

    def _landed(self, memory: Memory) -> Run | None:
        plan = self.plan
        own = memory.run_of(plan.job, plan.token)
        if own is None and plan.check_expected and memory.newest(plan.job) != plan.expected:
            raise CommitConflict(
                f"another run of this job committed to {plan.table.name} while this one was reading; "
                "this one changed nothing",
                hint="run again: it goes on from what the other run committed",
            )
        return own

    def _shaped(self, opened: Session, memory: Memory) -> Known:
        """Makes the table, or changes its columns; what is known of it then."""
        plan, dialect = self.plan, self.plan.dialect
        present = dialect.columns(opened, plan.table)
        before = memory.known if present is not None else Known()
        kept = adopted(opened, dialect, plan.table, present, before.columns, plan.wanted)
        made: Sequence[Change] = ()
        if present is None:
            dialect.make_table(opened, plan.table, plan.wanted, plan.key, plan.comment)
        elif plan.alter:
            made = self._changes(present, kept)
            for change in made:
                dialect.change(opened, plan.table, change)
        columns = after(present, kept, plan.wanted, made)
        if plan.revision.kind == "merge" and (plan.revision.gone or plan.revision.amended):
            dialect.index(opened, plan.table, plan.revision.key)
        return Known(columns=columns, commits=memory.known.commits, properties=plan.properties or before.properties)

    def _changes(self, present: Sequence[Present], kept: Sequence[Column]) -> Sequence[Change]:
        """What must change of the columns; CommitConflict when another writer changed them since this run looked."""
        plan, dialect = self.plan, self.plan.dialect
        try:
            found = wanted_changes(dialect, present, kept, plan.wanted, plan.mode, plan.table)
            moved = (
                "its columns" if not plan.existed and {p.name for p in present} != {f.name for f in plan.wanted} else ""
            )
        except SchemaChangeRefused as error:
            moved = error.message
        if not moved:
            return found
        raise CommitConflict(
            f"the shape of {plan.table.name} changed while this run was reading ({moved}); this run changed nothing",
            hint="run again",
        )

    def _changed(self, opened: Session) -> tuple[int, int, int]:
        """Takes rows out, gives rows new values, adds rows; how many were added, taken out, and changed."""
        plan, revision = self.plan, self.plan.revision
        removed = updated = added = 0
        if revision.kind == "replace":
            where = f" WHERE {plan.replaced}" if plan.replaced and not revision.whole else ""
            removed = opened.run(f"DELETE FROM {plan.table.sql}{where}")
        if revision.gone is not None:
            removed = self._with_keys(opened, revision.gone, "dativo_gone", delete=True)
        if revision.amended is not None:
            updated = self._with_keys(opened, revision.amended, "dativo_amended", delete=False)
        for path in plan.files:
            try:
                added += opened.load(plan.table, plan.wanted, path)
            except Lost:
                raise
            except DativoError as error:
                raise plan.dialect.misfit(path, plan.wanted) or error from None
        return added, removed, updated

    def _with_keys(self, opened: Session, path: Path, name: str, *, delete: bool) -> int:
        """Sends a file of keys and does to the rows of these keys what is to be done; how many there were."""
        import polars as pl

        plan, dialect, revision = self.plan, self.plan.dialect, self.plan.revision
        key = [f.name for f in revision.key]
        frame = pl.scan_parquet(path)
        there = frame.collect_schema().names()
        values = [] if delete else [f for f in plan.wanted if f.name in there and f.name not in key]
        fields = [*revision.key, *values]
        staged = plan.staging.write(frame.select(encoded(fields, dialect.sent)))
        keys = Place("", name)
        dialect.make_temporary(opened, keys, fields, revision.key)
        opened.load(keys, fields, staged, temporary=True)
        dialect.loaded(opened, keys)
        staged.unlink()
        if delete:
            return opened.run(dialect.delete(plan.table, keys, key, revision.only))
        columns = [f.name for f in values]
        return opened.run(dialect.update(plan.table, keys, key, columns, revision.only)) if columns else 0
