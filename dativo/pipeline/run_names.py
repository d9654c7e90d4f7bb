"""Runs by their names: which run of which table a person means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import DativoError, TargetError, listed, nearest
from dativo.observe.redact import redactor
from dativo.pipeline.jobs import known_jobs
from dativo.pipeline.purposes import one_stream
from dativo.pipeline.runs import SHORT, TableRun, runs_of
from dativo.receipt import Receipt
from dativo.state.receipts import jobs_with_receipts, receipts

LATEST = "latest"
PREVIOUS = "previous"


class NoSuchRun(TargetError):
    """No run of a table is called so."""


@dataclass(slots=True, frozen=True)
class RunDetail:
    """One run: what it did to each of its tables, and its receipt where one is kept."""

    tables: tuple[TableRun, ...]
    receipt: Receipt | None


def show_run(run: str, *, job: ResolvedJob | None = None, stream: str | None = None) -> RunDetail:
    """One run by its id, the beginning of it, a snapshot, `latest` or `previous`.

    Without a job all jobs of the project are looked through. Raises TargetError when there is none or there are several.
    """
    if job is None:
        places = find_places(run)
    else:
        places = [(job, one_stream(job, stream))] if stream is not None else [(job, s) for s in job.streams]
    found: dict[str, TableRun] = {}
    doubt: DativoError | None = None
    for owner, each in places:
        try:
            one = pick(run, runs_of(owner, each), f"{each.namespace}.{each.table}")
            found.setdefault(one.table, one)
        except NoSuchRun as error:
            doubt = doubt or error
    if not found:
        assert doubt is not None
        raise doubt
    tables = tuple(found.values())
    names = {t.run for t in tables}
    if len(names) > 1:
        raise TargetError(f"'{run}' is another run for each table: {listed(t.table for t in tables)}", hint=WHICH)
    return RunDetail(tables, _receipt(places, tables[0]))


WHICH = "name the table with --table"


def _receipt(places: Iterable[tuple[ResolvedJob, StreamConfig]], run: TableRun) -> Receipt | None:
    for job, _ in places:
        for name in jobs_with_receipts(job):
            for receipt in receipts(job, of=name):
                if receipt.run_id == run.run:
                    return receipt
    return None


# -- one run by its name ------------------------------------------------------------------------------------------------


def pick(name: str, runs: list[TableRun], table: str) -> TableRun:
    """The run of a table that a name stands for.

    NoSuchRun when none does, TargetError when several do.
    """
    if name == LATEST:
        found = [r for r in runs if r.current]
        missing = f"nothing was loaded into {table} yet"
    elif name == PREVIOUS:
        found = _before_latest(runs, table)
        missing = f"{table} has no snapshot before the latest one"
    else:
        found = matching(name, runs)
        missing = f"no run of {table} is called '{name}'"
    if not found:
        raise NoSuchRun(missing, hint=_known(name, runs))
    if len(found) > 1:
        raise TargetError(
            f"'{name}' is the beginning of {len(found)} runs of {table}", hint=f"name one: {_names(found)}"
        )
    return found[0]


def _before_latest(runs: list[TableRun], table: str) -> list[TableRun]:
    """The run that the latest snapshot was made on top of."""
    latest = next((r for r in runs if r.current), None)
    # Some programs forget what a snapshot came from once that is gone.
    older = [r for r in runs[runs.index(latest) + 1 :] if r.snapshot is not None] if latest is not None else []
    found = [r for r in older if r.snapshot == latest.parent] if latest is not None else []
    if latest is not None and not found and (latest.parent is not None or older):
        raise TargetError(
            f"the snapshot before the latest one of {table} has expired",
            hint=f"snapshots that are kept: {_names(r for r in runs if r.readable)}",
        )
    return found


def matching(name: str, runs: Iterable[TableRun]) -> list[TableRun]:
    """The runs that a name is the whole or the beginning of the id or of the snapshot of."""
    text = name.lower()
    named = [(run, [run.run or "", str(run.snapshot or "")]) for run in runs]
    return [r for r, ids in named if text in ids] or [r for r, ids in named if any(i.startswith(text) for i in ids)]


def _known(name: str, runs: list[TableRun]) -> str:
    if not runs:
        return "it has no runs"
    ids = {i[: max(len(name), SHORT)]: i for r in runs for i in (r.run, str(r.snapshot or "")) if i}
    guess = None if name in (LATEST, PREVIOUS) else nearest(name, ids)
    return (f"did you mean '{guess}'?\n" if guess else "") + f"its runs: {_names(runs)}"


def _names(runs: Iterable[TableRun]) -> str:
    return listed(r.run[:SHORT] if r.run is not None else str(r.snapshot) for r in runs)


# -- the table of a run -------------------------------------------------------------------------------------------------


def find_places(*names: str) -> list[tuple[ResolvedJob, StreamConfig]]:
    """The tables of the project that have runs of all these names: by the receipts alone where those know them.

    `latest` and `previous` stand for runs of every table. Raises TargetError when no table has them.
    """
    places = list(_places())
    wanted = [n for n in names if n not in (LATEST, PREVIOUS)]
    if not wanted:
        loaded = [place for place in places if any(_loads(r, place[1]) for r in receipts(place[0]))]
        places = loaded if len(loaded) == 1 else places
        if len(places) != 1:
            tables = sorted(f"{s.namespace}.{s.table}" for _, s in places)
            what = f"tables: {listed(tables)}" if tables else "there is no job here"
            raise TargetError(f"'{names[0]}' of which table?", hint=f"{WHICH}; {what}")
        return places
    known = [(place, [r.run_id for r in receipts(place[0]) if _loads(r, place[1])]) for place in places]
    hits = [place for place, ids in known if all(any(i.startswith(n.lower()) for i in ids) for n in wanted)]
    return hits or _by_tables(places, wanted)


def _loads(receipt: Receipt, stream: StreamConfig) -> bool:
    return any(part.stream == stream.name for part in receipt.streams)


def _places() -> Iterator[tuple[ResolvedJob, StreamConfig]]:
    """Every table that a job of the project loads, once."""
    seen = set()
    for job in known_jobs():
        for stream in job.streams:
            table = (job.tenant_id, stream.namespace, stream.table)
            if table not in seen:
                seen.add(table)
                yield job, stream


def _by_tables(
    places: list[tuple[ResolvedJob, StreamConfig]], wanted: list[str]
) -> list[tuple[ResolvedJob, StreamConfig]]:
    hits = []
    runs: list[TableRun] = []
    unseen = []
    for job, stream in places:
        try:
            own = runs_of(job, stream)
        except DativoError as error:
            unseen.append(f"{stream.namespace}.{stream.table}: {redactor(job).mask(error.message)}")
            continue
        runs += own
        if all(matching(name, own) for name in wanted):
            hits.append((job, stream))
    if hits:
        return hits
    lost = next((n for n in wanted if not matching(n, runs)), None)
    if lost is None:
        raise TargetError(f"no table has the runs {listed(wanted)}", hint="runs of one table can be compared")
    hint = "\n".join([_known(lost, runs), *(f"not looked at: {u}" for u in unseen)])
    raise NoSuchRun(f"no run of a table here is called '{lost}'", hint=hint)
