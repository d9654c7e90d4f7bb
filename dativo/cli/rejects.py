"""`dativo rejects`: the rows that broke their contract."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dativo.cli.choices import AsJson, Job, ShowPii, Stream, command

app = command()
ROOMY = 100


@app.callback()
def rejects() -> None:
    """List and show the rows that broke their contract."""


@app.command("list")
def list_(job: Job, as_json: AsJson = False) -> None:
    """The runs of a job that found rows which break the contract, the newest first."""
    from dativo import list_rejects
    from dativo.cli.console import out, print_json, table
    from dativo.cli.jobs import one_job

    found = list_rejects(one_job(job))
    if as_json:
        print_json({"version": 1, "runs": found})
        return
    console = out()
    if not found:
        console.print("no run of this job has rejects")
        return
    numbers = ["rows"] + (["violations"] if console.width >= ROOMY else [])
    whole = ("run", "when (UTC)", "what")
    made = table("run", "when (UTC)", "stream", *numbers, "what", "rules", right=numbers, whole=whole)
    for entry in found:
        counts = [f"{entry.rows:,}", f"{entry.violations:,}"][: len(numbers)]
        when = entry.found_at[:16].replace("T", " ")
        most = 4 if console.width >= ROOMY else 1
        rules = ", ".join(entry.rules[:most]) + (
            f" … {len(entry.rules) - most} more" if len(entry.rules) > most else ""
        )
        made.add_row(entry.run[:13], when, entry.stream, *counts, entry.action, rules)
    console.print(made)


@app.command("show")
def show(
    job: Job,
    run: Annotated[
        str | None, typer.Option("--run", help="The run, or the beginning of its token; the newest.")
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only this rule, as type_mismatch.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="Only this column.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Violations to show.")] = 50,
    format: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How they are shown.")] = "table",
    stream: Stream = None,
    show_pii: ShowPii = False,
    as_json: AsJson = False,
) -> None:
    """The violations of one run: file, row, column, rule, value; with json and csv the whole record too."""
    from dativo import show_rejects
    from dativo.cli.console import out, plural, print_data, print_json
    from dativo.cli.frames import print_frame
    from dativo.cli.jobs import one_job

    found = show_rejects(one_job(job), stream=stream, run=run, rule=rule, column=column, limit=limit, show_pii=show_pii)
    if as_json or format == "json":
        print_json({"version": 1, "violations": found.to_dicts()}, data=True)
    elif format == "csv":
        print_data(found.write_csv().removesuffix("\n"))
    else:
        console = out()
        files = found["file"].unique().to_list()
        alone = len(files) == 1
        print_frame(console, found.select("column", "rule", "value", "row", *(() if alone else ("file",))))
        token = f" of run {found['run'][0]}" if found.height else ""
        place = f" in {files[0]}" if alone and files[0] else ""
        more = f" (the first {limit}; --limit shows more)" if found.height == limit else ""
        console.print(f"\n{plural(found.height, 'violation')}{place}{token}{more}", soft_wrap=True)
