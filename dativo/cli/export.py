"""`dativo export`: rows out of a table, or out of a job's source."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Annotated, Literal, cast

import typer

from dativo.cli.choices import AsJson, ShowPii, Stream, command
from dativo.cli.masking import remember

Source = Annotated[str, typer.Argument(metavar="JOB|TABLE", help="A job, or a table as namespace.table.")]
Format = Annotated[Literal["markdown-kv", "jsonl", "csv", "parquet"], typer.Option("--format", help="The format.")]
Out = Annotated[Path | None, typer.Option("--out", help="The file to write; standard output by default.")]
Origin = Annotated[Literal["table", "source"], typer.Option("--from", help="The loaded table, or the job's source.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="No more than so many rows.")]

app = command()


@app.command()
def export(
    job: Source,
    format: Format = "jsonl",
    out: Out = None,
    origin: Origin = "table",
    limit: Limit = None,
    stream: Stream = None,
    show_pii: ShowPii = False,
    as_json: AsJson = False,
) -> None:
    """Write rows as Markdown-KV (one document a row), JSON lines, CSV or Parquet.

    Personal values are treated as the privacy purpose `llm` says: redacted by default. With --json a summary is printed
    (which needs --out). A file is written whole or not at all.
    """
    import msgspec

    from dativo import export as write
    from dativo import find_table
    from dativo.cli.console import DataOut, plural, print_json, say

    if out is None and (format == "parquet" or as_json):
        raise typer.BadParameter("name a file with --out", param_hint="--out")
    resolved, chosen = find_table(job)
    remember(resolved)
    done = write(
        resolved,
        format=format,
        out=out if out is not None else cast(IO[bytes], DataOut()),
        stream=stream or chosen.name,
        origin=origin,
        show_pii=show_pii,
        limit=limit,
    )
    if as_json:
        print_json({"version": 1, **msgspec.to_builtins(done)})
        return
    say(f"{plural(done.rows, 'row')} of the {origin}" + (f" in {out}" if out is not None else ""))
    if done.treated:
        say(f"personal columns treated: {', '.join(done.treated)} (--show-pii writes the values)")
