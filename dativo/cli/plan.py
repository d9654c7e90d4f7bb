"""`dativo plan`: what a run would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dativo.cli.choices import AsJson, Job, Since, Until, command

if TYPE_CHECKING:
    from rich.console import Console

    from dativo import JobOutline, StreamOutline

app = command()


@app.command()
def plan(
    job: Job,
    explain: Annotated[
        bool, typer.Option("--explain", help="Column by column: source, type, rules, treatment.")
    ] = False,
    polars: Annotated[bool, typer.Option("--polars", help="The plan as Polars will run it.")] = False,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do now, without doing it."""
    from dativo import explain as outline
    from dativo.cli.console import out, print_json
    from dativo.cli.jobs import one_job

    found = outline(one_job(job), polars=polars, since=since, until=until)
    if as_json:
        print_json({"version": 1, **_plain(found)})
        return
    console = out()
    console.print(f"{found.job} · tenant {found.tenant_id} · {found.source} → {found.target}")
    if found.does_nothing:
        console.print(f"note: does nothing yet in this version: {', '.join(found.does_nothing)}")
    for stream in found.streams:
        _stream(console, stream)
        if explain:
            _columns(console, stream)
        if polars:
            console.print(f"\n{stream.polars_plan}")


def _plain(found: JobOutline) -> dict[str, object]:
    import msgspec

    made: dict[str, object] = msgspec.to_builtins(found)
    return made


def _stream(console: Console, stream: StreamOutline) -> None:
    from dativo.cli.console import plural

    personal = [f"{c.name} ({c.treatment})" if c.treatment != "none" else c.name for c in stream.columns if c.personal]
    limit = f", at most {stream.max_rejects} rejects" if stream.max_rejects else ""
    new = f"{plural(len(stream.files), 'file')}" + (
        f", {stream.files_unchanged} unchanged" if stream.files_unchanged else ""
    )
    lines: dict[str, str | list[str]] = {
        **_reads(stream, new),
        "contract": f"{stream.contract}, {plural(len(stream.columns), 'column')}",
        "mode": f"{stream.mode}{limit}",
        "strategy": stream.strategy,
        "writes": f"{stream.write_mode} into {stream.table}" + ("" if stream.table_exists else " (a new table)"),
        "key": ", ".join(stream.key) or "none",
        "cursor": "; ".join(f"{k}: {_entry(v)}" for k, v in stream.cursor.items())
        or ("none" if stream.strategy == "full load" else "from the beginning"),
        "partitions": ", ".join(stream.partitioning) or "none",
        "schema": stream.refused or "; ".join(stream.schema_changes) or "no change"
        if stream.table_exists
        else "created",
        "personal": ", ".join(personal) or "no column is classified",
    }
    console.print(f"\n{stream.stream}")
    for name, text in lines.items():
        told = text if isinstance(text, list) else [text]
        for line in told:
            console.print(f"  {name:<12}{line}")
            name = ""
    for note in stream.notes:
        console.print(f"  note        {note}")


def _reads(stream: StreamOutline, new: str) -> dict[str, str | list[str]]:
    """The files of a stream, or the tables of a database with the rows that are asked for."""
    from dativo.cli.console import cell

    if stream.unchanged:
        return {"reads": "nothing: the source has not changed"}
    if not stream.relations:
        return {"reads": f"{new}: {cell(', '.join(stream.files), 80)}"}
    told = []
    for one in stream.relations:
        rows = "all rows" if one.rows == "all" else f"rows with {one.rows}"
        told.append(f"{one.name}: {rows}")
        told += [f"  where {cell(one.where, 100)}"] if one.where else []
        told += [f"  only {cell(', '.join(one.columns), 100)}"] if one.columns else []
    made: dict[str, str | list[str]] = {"reads": told}
    if stream.connections is not None:
        made["connections"] = str(stream.connections)
    return made


def _entry(value: object) -> str:
    from dativo.cli.console import cell

    if isinstance(value, dict):
        return cell(value.get("last_value") or value.get("watermark") or value.get("last_modified") or value, 60)
    return cell(value, 60)


def _columns(console: Console, stream: StreamOutline) -> None:
    from dativo.cli.console import table

    rows = [
        (
            c.name,
            "(not in the source)" if c.source is None else "" if c.source == c.name else c.source,
            c.type,
            "; ".join(c.rules),
            ", ".join(c.classes),
            c.treatment if c.treatment != "none" else "",
        )
        for c in stream.columns
    ]
    headings = ("column", "from", "type", "rules", "class", "warehouse")
    told = [i for i in range(len(headings)) if any(row[i] for row in rows)]
    made = table(*(headings[i] for i in told))
    for row in rows:
        made.add_row(*(row[i] for i in told))
    console.print()
    console.print(made)
