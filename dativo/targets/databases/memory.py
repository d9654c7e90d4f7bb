"""The table `dativo_state` beside the tables: what each remembers of the jobs that load it, and what is known of itself.

A row for each table and job (`tenant.job.stream`) has the newest runs and the state of the newest one; the row whose job
is empty has the columns that dativo made. Whoever commits holds that row locked.
"""

# ruff: noqa: S608 - names are quoted, values are bound

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dativo.errors import StateError
from dativo.targets.databases.dialect import BOUND, Dialect, Session
from dativo.targets.databases.place import Place
from dativo.targets.objects.columns import Column
from dativo.targets.protocol import Saved
from dativo.targets.saved import VERSION, saved

TOKENS = 8
_TABLE = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of a job. `commit` counts the table's commits, and is None where no row came or went."""

    token: str
    commit: int | None
    at: str
    operation: str
    added: int
    removed: int
    updated: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What dativo knows of a table: its columns (none of a table that it did not make), its commits, its properties."""

    columns: tuple[Column, ...] = ()
    commits: int = 0
    properties: dict[str, str] = {}


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All that is remembered of a table. `runs` has the newest first, by job; `states` are the texts of the rows."""

    known: Known
    runs: dict[str, tuple[Run, ...]]
    states: dict[str, str]

    def newest(self, job: str) -> str | None:
        return next((run.token for run in self.runs.get(job, ())), None)

    def run_of(self, job: str, token: str) -> Run | None:
        return next((run for run in self.runs.get(job, ()) if run.token == token), None)

    def saved(self, job: str, name: str) -> Saved | None:
        """What is remembered of a job; DamagedState when it cannot be read, StateError when a newer version wrote it."""
        token, text = self.newest(job), self.states.get(job)
        return None if token is None or not text else saved(token, name, lambda: _map(text))


NOTHING = Memory(known=Known(), runs={}, states={})


def remembered(dialect: Dialect, session: Session, table: Place, *, lock: bool = False) -> Memory:
    """What is remembered of a table; with `lock` nobody else commits to it until the transaction's end.

    Raises StateError when a newer version wrote it.
    """
    if lock:
        dialect.make_row(session, table, _TABLE)
        sql = f"SELECT version FROM {table.state} WHERE table_name = {BOUND} AND job = {BOUND} FOR UPDATE"
        session.rows(sql, table.table, _TABLE)
    elif dialect.columns(session, Place(table.schema, "dativo_state")) is None:
        return NOTHING
    sql = f"SELECT job, version, runs, state FROM {table.state} WHERE table_name = {BOUND} ORDER BY job"
    known, runs, states = Known(), {}, {}
    for job, version, told, state in session.rows(sql, table.table):
        if int(version) > VERSION:
            raise StateError(
                f"what {table.state} remembers of {table.name} has version {version}, this program knows {VERSION}",
                hint="use a newer dativo",
            )
        try:
            if job == _TABLE:
                known = msgspec.json.decode(state or "{}", type=Known)
            else:
                runs[job] = tuple(msgspec.json.decode(told, type=list[Run]))
                states[job] = state
        except msgspec.DecodeError as error:
            raise StateError(
                f"what {table.state} remembers of {table.name} cannot be read: {error}",
                hint=f"put back the row of job '{job}', or remove it to load as if for the first time",
            ) from error
    return Memory(known=known, runs=runs, states=states)


def remember(
    dialect: Dialect, session: Session, table: Place, now: Memory, job: str, run: Run, state: str, known: Known
) -> None:
    """Writes a job's newest run and its state, and what is known of the table."""
    dialect.make_row(session, table, job)
    runs = [run, *now.runs.get(job, ())][:TOKENS]
    _write(session, table, job, msgspec.json.encode(runs).decode(), state)
    _write(session, table, _TABLE, "[]", msgspec.json.encode(known).decode())


def _write(session: Session, table: Place, job: str, runs: str, state: str) -> None:
    session.run(
        f"UPDATE {table.state} SET version = {VERSION}, runs = {BOUND}, state = {BOUND} "
        f"WHERE table_name = {BOUND} AND job = {BOUND}",
        runs,
        state,
        table.table,
        job,
    )


def moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def others(memory: Memory, job: str, *, rows: bool) -> Sequence[str]:
    """Who else loads a table: other jobs, or another program where it has rows and no job has ever loaded it."""
    found = sorted(k for k, runs in memory.runs.items() if k != job and runs)
    return found or (() if memory.runs or not rows else ("another program",))


def _map(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
