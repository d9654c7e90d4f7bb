"""`dativo show`: a loaded table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dativo.cli.choices import AsJson, ShowPii, Stream, command
from dativo.cli.masking import remember

if TYPE_CHECKING:
    from rich.console import Console

    from dativo import Shown

app = command()
ROOMY = 100


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
    remember(job)
    found = show_table(job, stream=stream or chosen.name, rows=rows, show_pii=show_pii)
    if as_json:
        _json(found)
    else:
        _text(found, out())


def _json(found: Shown) -> None:
    import json

    from dativo.cli.console import print_json
    from dativo.receipt import as_builtins

    rows = [json.loads(line) for line in found.lines("jsonl")]
    runs = [as_builtins(r) for r in found.runs]
    print_json(
        {"version": 1, "table": found.facts, "masked": list(found.masked), "rows": rows, "runs": runs}, data=True
    )


def _text(found: Shown, console: Console) -> None:
    from dativo.cli.console import plural, size, table
    from dativo.cli.frames import print_frame

    facts = found.facts
    # Tables of databases have no files of their own.
    files = f", {plural(facts.files, 'file')}" if facts.files or not facts.rows else ""
    console.print(f"{facts.name}: {plural(facts.rows, 'row')}{files}, {size(facts.bytes)}")
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

    seconds = {r.run_id: f"{r.seconds:.1f}" for r in found.runs}
    numbers = ["added", "removed"] + (["seconds"] if console.width >= ROOMY else [])
    made = table("", "snapshot", "when (UTC)", *numbers, "run", right=numbers, whole=("snapshot", "run"))
    for s in found.facts.snapshots:
        counts = [f"{s.rows_added:,}", f"{s.rows_removed:,}", seconds.get(s.run or "", "")][: len(numbers)]
        made.add_row("→" if s.current else "", str(s.id), s.at[:16].replace("T", " "), *counts, (s.run or "")[:13])
    console.print()
    console.print(made)
    failed = [r for r in found.runs if r.exit_code == 2]
    for r in failed[:3]:
        console.print(f"run {r.run_id[:13]} of {r.started_at[:19].replace('T', ' ')}: {r.status}")
