"""`dativo preview`: the first rows as they would be loaded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dativo.cli.choices import AsJson, Job, ShowPii, Since, Stream, Until, command

if TYPE_CHECKING:
    from dativo import Preview

app = command()


@app.command()
def preview(
    job: Job,
    rows: Annotated[int, typer.Option("--rows", min=1, max=100_000, help="Records to look at.")] = 20,
    format: Annotated[
        Literal["table", "json", "csv", "markdown-kv", "html"], typer.Option("--format", help="How rows are shown.")
    ] = "table",
    stream: Stream = None,
    show_pii: ShowPii = False,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show the rows as they would be loaded, and what would be rejected of them.

    Nothing is written, and only as much of the source is read as the rows need. Personal values are masked.
    """
    from dativo import preview as look
    from dativo.cli.jobs import one_job

    found = look(one_job(job), stream=stream, rows=rows, show_pii=show_pii, since=since, until=until)
    _SHOW["json" if as_json else format](found)


def _table(found: Preview) -> None:
    from dativo.cli.console import out, plural
    from dativo.cli.frames import print_frame

    console = out()
    head = f"{found.table}: {plural(found.rows.height, 'row')} of {plural(found.read, 'record')}"
    console.print(head + (f", {found.rejected:,} rejected" if found.rejected else ""))
    if found.rows.height:
        print_frame(console, found.rows, found.masked)
    if found.rejects.height:
        console.print("\nwould be rejected:" if found.rejected else "\nbroken rules:")
        print_frame(console, found.rejects.drop("record"))
    for note in found.notes:
        console.print(f"note: {note}")
    if found.masked:
        console.print(f"* masked here: {', '.join(found.masked)} (--show-pii shows the values)")


def _json(found: Preview) -> None:
    import json

    from dativo.cli.console import print_json

    document = {
        "version": 1,
        "stream": found.stream,
        "table": found.table,
        "read": found.read,
        "rejected": found.rejected,
        "masked": list(found.masked),
        "notes": found.notes,
        "rows": [json.loads(line) for line in found.lines("jsonl")],
        "rejects": found.rejects.to_dicts(),
    }
    print_json(document, data=True)


def _lines(found: Preview, format: Literal["csv", "markdown-kv"]) -> None:
    from dativo.cli.console import plural, print_data, say

    for line in found.lines(format):
        print_data(line)
    if found.rejected:
        say(f"{plural(found.rejected, 'record')} would be rejected: see them with --format table")


def _html(found: Preview) -> None:
    from dativo.cli.frames import page

    parts = [("Rows", found.rows), ("Would be rejected", found.rejects)]
    sys.stdout.write(page(found.table, parts, found.masked))


_SHOW = {
    "table": _table,
    "json": _json,
    "csv": lambda found: _lines(found, "csv"),
    "markdown-kv": lambda found: _lines(found, "markdown-kv"),
    "html": _html,
}
