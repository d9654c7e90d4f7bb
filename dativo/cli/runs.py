"""`dativo runs`: what ran, and what changed in a table between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dativo.cli.choices import AsJson, ShowPii, Stream, command

if TYPE_CHECKING:
    from rich.console import Console

    from dativo import ResolvedJob, RunDetail, RunDiff, TableRun

app = command()
ROOMY = 110
Table = Annotated[
    str | None,
    typer.Option("--table", metavar="TABLE|JOB", help="The table, or a job; else the one that has such runs."),
]


@app.callback()
def runs() -> None:
    """List and show the runs of a table, and what changed between two of them."""


@app.command("list")
def list_(
    table: Annotated[
        str, typer.Argument(metavar="TABLE|JOB", help="A table as namespace.table, or a job that loads it.")
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Runs to list.")] = 20,
    stream: Stream = None,
    as_json: AsJson = False,
) -> None:
    """The runs of a table, the newest first: what each did, and which of them can still be read."""
    from dativo import list_runs
    from dativo.cli.console import out, print_json

    job, chosen = _meant(table, stream)
    found = list_runs(job, stream=chosen)
    if as_json:
        print_json({"version": 1, "runs": found[:limit]})
        return
    console = out()
    names = dict.fromkeys(r.table for r in found)
    for name in names:
        own = [r for r in found if r.table == name]
        if len(names) > 1:
            console.print(f"\n{name}")
        _list(own[:limit], console)
        if len(own) > limit:
            console.print(f"… {len(own) - limit} more (--limit shows more)")
    if not found:
        console.print(f"no run yet; load it with: dativo sync {job.name}")


@app.command("show")
def show(
    run: Annotated[str, typer.Argument(help="A run's id or its beginning, a snapshot, latest, or previous.")],
    table: Table = None,
    stream: Stream = None,
    as_json: AsJson = False,
) -> None:
    """One run: what it did to each of its tables, and what it found wrong."""
    from dativo import show_run
    from dativo.cli.console import out, print_json
    from dativo.receipt import as_builtins

    job, chosen = _meant(table, stream) if table is not None else (None, None)
    found = show_run(run, job=job, stream=chosen)
    if as_json:
        receipt = as_builtins(found.receipt) if found.receipt is not None else None
        print_json({"version": 1, "tables": found.tables, "receipt": receipt})
    else:
        _detail(found, out())


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(help="A run's id or its beginning, a snapshot, latest, or previous.")],
    after: Annotated[str, typer.Argument(help="The run to compare it with.")],
    table: Table = None,
    rows: Annotated[int, typer.Option("--rows", min=0, max=1000, help="Rows to show of each kind.")] = 5,
    stream: Stream = None,
    show_pii: ShowPii = False,
    as_json: AsJson = False,
) -> None:
    """What changed in a table from one run to another: rows, columns, files."""
    from dativo import diff_runs
    from dativo.cli.console import out

    job, chosen = _meant(table, stream) if table is not None else (None, None)
    found = diff_runs(before, after, job=job, stream=chosen, rows=rows, show_pii=show_pii)
    if as_json:
        _diff_json(found)
    else:
        from dativo.cli.difference import print_difference

        print_difference(found, rows, out())


def _meant(table: str, stream: str | None) -> tuple[ResolvedJob, str | None]:
    """The job that is meant, and its stream where a table or a stream was named."""
    from dativo import find_table
    from dativo.cli.masking import remember

    job, chosen = find_table(table)
    remember(job)
    named = table in (chosen.table, f"{chosen.namespace}.{chosen.table}")
    return job, stream or (chosen.name if named else None)


def _list(found: list[TableRun], console: Console) -> None:
    from dativo.cli.console import table

    roomy = console.width >= ROOMY
    jobs = {r.job for r in found if r.job}
    numbers = ["added", "removed", *(["files", "seconds"] if roomy else [])]
    more = (["snapshot"] if roomy else []) + (["job"] if roomy and len(jobs) > 1 else [])
    made = table(
        "", "run", "when (UTC)", "what", *numbers, *more, right=numbers, whole=("run", "when (UTC)", "what", "snapshot")
    )
    for r in found:
        counts = [_count(r.rows_added), _count(r.rows_removed)]
        counts += [_count(r.files_added), "" if r.seconds is None else f"{r.seconds:.1f}"] if roomy else []
        extra = [str(r.snapshot or ""), r.job or ""][: len(more)]
        name = r.run[:13] if r.run is not None else str(r.snapshot)
        made.add_row("→" if r.current else "", name, r.at[:16].replace("T", " "), _what(r), *counts, *extra)
    console.print(made)


def _what(run: TableRun) -> str:
    if run.what == "other":
        return "other program"
    if run.what == "compacted":
        return "maintain"
    return f"{run.what}, expired" if run.snapshot is not None and not run.readable else run.what


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _detail(found: RunDetail, console: Console) -> None:
    from dativo.cli.console import plural
    from dativo.cli.summary import results

    receipt = found.receipt
    first = found.tables[0]
    if first.run is None:
        by = "dativo maintain" if first.what == "compacted" else "another program"
        console.print(f"snapshot {first.snapshot}, made by {by} at {_time(first.at)}")
    else:
        console.print(f"run {first.run} of {first.job or 'an unknown job'}: {first.what}")
    if receipt is not None:
        console.print(f"began {_time(receipt.started_at)}, took {receipt.seconds:.2f} s")
    elif first.run is not None:
        console.print(f"ended {_time(first.at)}; its receipt is not kept any more")
    for r in found.tables:
        console.print(f"\n{r.table}: {_done(r)}")
        if r.snapshot is not None:
            state = "the table as it is" if r.current else "still readable" if r.readable else "expired"
            files = f"{plural(r.files_added or 0, 'file')} added"
            gone = f", {_count(r.files_removed)} removed" if r.files_removed != 0 else ""
            console.print(f"snapshot {r.snapshot} ({state}): {files}{gone}")
    if receipt is not None:
        results([receipt], console, errors=True)
    if any(r.readable and r.parent is not None for r in found.tables):
        one = next(r for r in found.tables if r.readable and r.parent is not None)
        console.print(f"\nwhat it changed:  dativo runs diff {one.parent} {one.snapshot} --table {one.table}")


def _done(run: TableRun) -> str:
    from dativo.cli.console import plural

    removed = f", {_count(run.rows_removed)} removed" if run.rows_removed != 0 else ""
    return f"{plural(run.rows_added, 'row')} added{removed}" if run.rows_added is not None else "committed"


def _time(text: str) -> str:
    return f"{text[:19].replace('T', ' ')} UTC"


def _diff_json(found: RunDiff) -> None:
    from dativo.cli.console import print_json

    was, now = (sample.dicts() for sample in found.changed)
    key = found.rows.key
    changed: list[dict[str, Any]] = [
        {
            "key": {n: b.get(n) for n in key},
            "before": {n: a.get(n) for n in names},
            "after": {n: b.get(n) for n in names},
        }
        for a, b, names in zip(was, now, found.differing, strict=True)
    ]
    print_json(
        {
            "version": 1,
            "table": found.table,
            "before": found.before,
            "after": found.after,
            "columns": found.columns,
            "files": {"added": found.files_added, "removed": found.files_removed},
            "rows": found.rows,
            "examples": {"added": found.added.dicts(), "removed": found.removed.dicts(), "changed": changed},
            "not_compared": found.not_compared,
            "masked": found.masked,
        },
        data=True,
    )
