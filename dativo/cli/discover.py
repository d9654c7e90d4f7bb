"""`dativo discover`: what a source has, and drafts of contracts for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dativo.cli.choices import AsJson, Mode, SecretManager, SecretManagerConfig, SecretsDir, command

if TYPE_CHECKING:
    from dativo import DraftFile, FoundColumn, FoundStream, ResolvedJob

Name = Annotated[
    str | None, typer.Argument(metavar="[CONNECTOR|JOB]", help="A connector, or a job whose source is asked.")
]
Connector = Annotated[str | None, typer.Option("--connector", help="A connector, as postgres.")]
Config = Annotated[Path | None, typer.Option("--config", help="A job file; its contract need not be there.")]
Streams = Annotated[
    list[str] | None, typer.Option("--stream", help="Only this table or view, with its columns; may come again.")
]
WriteAsset = Annotated[
    Path | None,
    typer.Option("--write-asset", metavar="DIR|FILE", help="Draft a contract for each stream, never over a file."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace contracts that are there.")]
Tenant = Annotated[str, typer.Option("--tenant-id", help="Whose secrets a connector's settings come from.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the columns of every stream.")]

app = command()


@app.command()
def discover(
    name: Name = None,
    connector: Connector = None,
    config: Config = None,
    stream: Streams = None,
    write_asset: WriteAsset = None,
    force: Force = False,
    tenant_id: Tenant = "default",
    mode: Mode = None,
    secrets_dir: SecretsDir = None,
    secret_manager: SecretManager = None,
    secret_manager_config: SecretManagerConfig = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Show what a source has: tables and views, rows, columns, keys. Nothing is loaded.

    A connector's settings come from its recipe, the tenant's secrets and variables; a job's from its file.
    """
    from dativo import discover as ask
    from dativo import secret_manager as chosen
    from dativo import write_drafts
    from dativo.cli.masking import remember

    if sum(given is not None for given in (name, connector, config)) != 1:
        raise typer.BadParameter("give a connector or a job: as a name, with --connector, or with --config")
    if force and write_asset is None:
        raise typer.BadParameter("--force goes with --write-asset")
    manager = chosen(name=secret_manager, config=secret_manager_config, folder=secrets_dir)
    job = _job(name, connector, config, tenant_id, mode, manager)
    remember(job)
    found = ask(job, stream or ())
    drafts = write_drafts(job, found, write_asset, force=force) if write_asset is not None else []
    if as_json:
        _json(job, found, drafts)
    elif write_asset is not None:
        _drafts(drafts)
    else:
        _show(job, found, columns=bool(stream) or verbose)


def _job(
    name: str | None, connector: str | None, config: Path | None, tenant: str, mode: Any, manager: Any
) -> ResolvedJob:
    from dativo import find_jobs, list_connectors, source_of_connector, source_of_job

    if name is not None and any(c.name == name for c in list_connectors()):
        connector = name
    elif name is not None:
        return source_of_job(find_jobs([name])[0], mode=mode, manager=manager)
    if connector is not None:
        return source_of_connector(connector, tenant=tenant, mode=mode, manager=manager)
    return source_of_job(find_jobs([str(config)], only="file")[0], mode=mode, manager=manager)


def _show(job: ResolvedJob, found: list[FoundStream], *, columns: bool) -> None:
    from dativo.cli.console import cell, out, plural, table

    console = out()
    if not found:
        console.print(f"{job.source_type}: nothing that this account may read")
        return
    if not columns:
        made = table("stream", "kind", "rows", "columns", "key", "cursor", right=("rows", "columns"), whole=("kind",))
        for stream in found:
            key = ", ".join(stream.key)
            cursors = ", ".join(stream.cursors[:2]) + (", …" if len(stream.cursors) > 2 else "")
            made.add_row(
                cell(stream.name), stream.kind, _rows(stream), str(len(stream.columns)), cell(key), cell(cursors)
            )
        console.print(made)
        rows = "; rows are the database's estimates" if any(s.rows is not None for s in found) else ""
        console.print(f"\n{plural(len(found), 'stream')}{rows}. Columns: --stream NAME")
        return
    for number, stream in enumerate(found):
        if number:
            console.print()
        _columns(stream)


def _rows(stream: FoundStream) -> str:
    return "" if stream.rows is None else f"~{stream.rows:,}"


def _columns(stream: FoundStream) -> None:
    from dativo.cli.console import cell, out, plural, table

    console = out()
    rows = f", about {plural(stream.rows, 'row')}" if stream.rows is not None else ""
    console.print(f"{cell(stream.name, 200)}: {stream.kind}{rows}")
    if stream.comment:
        console.print(f"  {cell(stream.comment, 200)}")
    lines = [
        (
            cell(c.name),
            cell(c.native),
            cell(c.field.type_text()) + ("" if c.lossless else " *"),
            ", ".join(_facts(stream, c)),
            cell(c.comment),
        )
        for c in stream.columns
    ]
    headings = ("column", "type there", "type here", "is", "comment")
    told = [i for i in range(len(headings)) if i < 3 or any(line[i] for line in lines)]
    made = table(*(headings[i] for i in told))
    for line in lines:
        made.add_row(*(line[i] for i in told))
    console.print(made)
    if any(not c.lossless for c in stream.columns):
        console.print("* read as text: no type of a table holds all of its values")
    several = [", ".join(u) for u in stream.unique if len(u) > 1 and u != stream.key]
    if several:
        console.print(f"unique together: {'; '.join(several)}")


def _facts(stream: FoundStream, column: FoundColumn) -> Iterator[str]:
    """What is known of a column, a word or two each."""
    if column.name in stream.key:
        yield "key"
    elif not column.nullable:
        yield "not null"
    if (column.name,) in stream.unique and stream.key != (column.name,):
        yield "unique"
    if column.name in stream.cursors:
        yield "cursor"


def _drafts(drafts: list[DraftFile]) -> None:
    from dativo.cli.console import cell, out, plural

    console = out()
    for one in drafts:
        guessed = f", {plural(len(one.draft.guesses), 'guess')} of personal data" if one.draft.guesses else ""
        unread = ", no row could be read" if one.unread else ""
        console.print(f"made  {one.path} ({plural(one.draft.columns, 'column')}{guessed}{unread})")
        for column, found in one.draft.guesses.items():
            console.print(f"        {cell(column)}: {found.classification}, {found.what}? by {found.reason}")
        for column in one.draft.left_out:
            console.print(f"        {cell(column)} is left out: no column can be called so")
    if any(one.draft.guesses for one in drafts):
        console.print("\nCheck each guess in the file, and take its tag away.")
    elif drafts:
        console.print()
    if drafts:
        console.print("They are drafts: name who answers for the data (`team`), then write `status: active`.")


def _json(job: ResolvedJob, found: list[FoundStream], drafts: list[DraftFile]) -> None:
    from dativo.cli.console import print_json

    answer: dict[str, Any] = {
        "version": 1,
        "connector": job.source_type,
        "objects": [_plain(stream) for stream in found],
        "metadata": {},
        "count": len(found),
    }
    if drafts:
        answer["drafts"] = [
            {
                "path": one.path,
                "stream": one.stream,
                "unread": one.unread,
                "guesses": [{"column": column, **found._asdict()} for column, found in one.draft.guesses.items()],
            }
            for one in drafts
        ]
    print_json(answer)


def _plain(stream: FoundStream) -> dict[str, Any]:
    columns = [
        {
            "name": c.name,
            "native_type": c.native,
            "type": c.field.type_text(),
            "nullable": c.nullable,
            "lossless": c.lossless,
            "comment": c.comment,
        }
        for c in stream.columns
    ]
    return {
        "name": stream.name,
        "object": stream.object,
        "kind": stream.kind,
        "rows": stream.rows,
        "key": list(stream.key),
        "unique": [list(u) for u in stream.unique],
        "cursors": list(stream.cursors),
        "comment": stream.comment,
        "columns": columns,
    }
