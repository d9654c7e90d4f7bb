"""`dativo show`: a loaded table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dativo.cli.choices import AsJson, ShowPii, Stream, command

if TYPE_CHECKING:
    from rich.console import Console

    from dativo import Shown

app = command()


@app.command()
def show(
    table: Annotated[
        str, typer.Argument(metavar="TABLE|JOB", help="A table as namespace.table, or a job that loads it.")
    ],
    rows: Annotated[int, typer.Option("--rows", min=0, max=10_000, help="Rows to show.")] = 10,
    stream: Stream = None,
    show_pii: ShowPii = False,
    as_json: AsJson = False,
) -> None:
    """Show a loaded table: first rows, columns, snapshots, tags, last runs."""
    from dativo import find_table, show_table
    from dativo.cli.console import out

    job, chosen = find_table(table)
    found = show_table(job, stream=stream or chosen.name, rows=rows, show_pii=show_pii)
    if as_json:
        _json(found)
    else:
        _text(found, out())


def _json(found: Shown) -> None:
    import msgspec

    from dativo.cli.console import print_json

    rows = [
        {k: v if isinstance(v, int | float | bool) else v and str(v) for k, v in r.items()}
        for r in found.rows.to_dicts()
    ]
    runs = [msgspec.to_builtins(r) for r in found.runs]
    print_json({"version": 1, "table": found.facts, "masked": list(found.masked), "rows": rows, "runs": runs})


def _text(found: Shown, console: Console) -> None:
    from dativo.cli.console import plural, size, table
    from dativo.cli.frames import print_frame

    facts = found.facts
    console.print(f"{facts.name}: {plural(facts.rows, 'row')}, {plural(facts.files, 'file')}, {size(facts.bytes)}")
    console.print(f"in {facts.catalog}, {facts.location}")
    console.print(f"partitioned by {', '.join(facts.partitioning)}" if facts.partitioning else "not partitioned")
    if found.rows.height:
        console.print()
        print_frame(console, found.rows, found.masked)
        if found.masked:
            console.print(f"* masked here: {', '.join(found.masked)} (--show-pii shows the values)")
    made = table("id", "column", "type", "required", "comment", right=("id",))
    for c in facts.columns:
        made.add_row(str(c.id), c.name, c.type, "yes" if c.required else "", c.comment or "")
    console.print()
    console.print(made)
    _snapshots(found, console)
    if facts.tags:
        console.print()
        tags = table("tag", "value")
        for name, value in facts.tags.items():
            tags.add_row(name, value)
        console.print(tags)


def _snapshots(found: Shown, console: Console) -> None:
    from dativo.cli.console import table

    statuses = {r.run_id: f"{r.status}, {r.seconds:.1f} s" for r in found.runs}
    made = table("snapshot", "when (UTC)", "operation", "added", "removed", "run", right=("added", "removed"))
    for s in found.facts.snapshots:
        run = f"{s.run[:13]} {statuses.get(s.run, '')}".strip() if s.run else ""
        when = s.at[:19].replace("T", " ")
        made.add_row(
            f"{s.id}{' ←' if s.current else ''}", when, s.operation, f"{s.rows_added:,}", f"{s.rows_removed:,}", run
        )
    console.print()
    console.print(made)
    failed = [r for r in found.runs if r.exit_code == 2]
    for r in failed[:3]:
        console.print(f"run {r.run_id[:13]} of {r.started_at[:19].replace('T', ' ')}: {r.status}")
