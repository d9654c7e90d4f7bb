"""`dativo maintain`: the upkeep of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dativo.cli.choices import AsJson, command

if TYPE_CHECKING:
    from rich.console import Console

    from dativo import Maintenance, TableUpkeep

Tables = Annotated[
    list[str],
    typer.Argument(metavar="TABLE|JOB", help="Tables as namespace.table, or jobs; their rejects are taken too."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without this it is only told what would be done.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="This step only: compact, snapshots, orphans or branches. May be given several times."),
]
KeepSnapshots = Annotated[
    int | None, typer.Option("--keep-snapshots", help="The newest snapshots to keep (10, or as the table says).")
]
KeepDays = Annotated[
    float | None,
    typer.Option("--keep-days", help="Keep what the table was in the last days (7, or as the table says)."),
]
OlderThan = Annotated[float, typer.Option("--older-than", help="Days after which unreferenced files and branches go.")]
FileSize = Annotated[
    int | None, typer.Option("--file-size", help="MiB that merged files are to have (150, or as the job says).")
]
AllowRecent = Annotated[
    bool, typer.Option("--allow-recent", help="Allow ages below 3 days, which may harm runs on other machines.")
]

app = command()


@app.command()
def maintain(
    tables: Tables,
    yes: Yes = False,
    only: Only = None,
    keep_snapshots: KeepSnapshots = None,
    keep_days: KeepDays = None,
    older_than: OlderThan = 3.0,
    file_size: FileSize = None,
    allow_recent: AllowRecent = False,
    as_json: AsJson = False,
) -> None:
    """Merge small files, expire old snapshots, remove files and branches that nothing needs.

    Nothing happens without --yes.
    """
    import dativo
    from dativo.cli.console import out, print_json

    found = dativo.maintain(
        tables,
        steps=only or (),
        keep_snapshots=keep_snapshots,
        keep_days=keep_days,
        older_than_days=older_than,
        file_megabytes=file_size,
        allow_recent=allow_recent,
        act=yes,
    )
    if as_json:
        import msgspec

        print_json({"version": 1, **msgspec.to_builtins(found)})
    else:
        _text(found, out())
    raise typer.Exit(found.exit_code)


def _text(found: Maintenance, console: Console) -> None:
    from dativo.cli.console import plural, say, table

    if found.tables:
        numbers = ("files", "size", "snapshots", "orphans")
        made = table("table", *numbers, right=numbers)
        for one in found.tables:
            made.add_row(one.table, *_cells(one))
        console.print(made)
    for one in found.tables:
        for note in _notes(one):
            console.print(f"{one.table}: {note}")
    for catalog in found.catalogs:
        names = catalog.branches.names
        verb = "removed" if found.done else "to remove"
        console.print(f"{catalog.catalog}: {plural(len(names), 'branch')} of dead runs {verb}")
        for name in names:
            console.print(f"  {name}")
    for left in found.left:
        head = f"{left.step} of {left.table}" if left.step else left.table
        say(f"{'error' if left.failed else 'note'}: {head}: {left.reason}" + (f"\n  {left.hint}" if left.hint else ""))
    if not found.done:
        console.print("nothing was changed: do it with --yes")


def _cells(one: TableUpkeep) -> tuple[str, str, str, str]:
    from dativo.cli.console import size

    files = space = snapshots = orphans = "-"
    if one.compaction is not None:
        c = one.compaction
        files = _change(f"{c.files_before:,}", f"{c.files_after:,}")
        space = _change(size(c.bytes_before), size(c.bytes_before if c.bytes_after is None else c.bytes_after))
    if one.snapshots is not None:
        snapshots = _change(f"{one.snapshots.snapshots_before:,}", f"{one.snapshots.snapshots_after:,}")
    if one.orphans is not None:
        o = one.orphans
        orphans = f"{o.files:,} ({size(o.bytes)})" if o.files else "0"
    return files, space, snapshots, orphans


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _notes(one: TableUpkeep) -> list[str]:
    """What the table's row has no room for."""
    from dativo.cli.console import plural, size

    notes = []
    if one.compaction is not None and one.compaction.riddled:
        notes.append(
            f"{plural(one.compaction.riddled, 'file')} of whose rows more than a tenth is deleted, written anew"
        )
    if one.snapshots is not None and one.snapshots.files:
        e = one.snapshots
        notes.append(f"{plural(e.files, 'file')} ({size(e.bytes)}) only for the expired snapshots")
    if one.snapshots is not None and one.snapshots.elsewhere:
        notes.append(f"{plural(one.snapshots.elsewhere, 'file')} of them outside the table's folder, which stay")
    if one.orphans is not None:
        o = one.orphans
        if o.recent:
            notes.append(f"{plural(o.recent, 'unreferenced file')} too young to go")
        if o.in_use:
            notes.append(f"{plural(o.in_use, 'file')} of runs that go on")
        if o.unknown:
            notes.append(f"{plural(o.unknown, 'file')} in its folder that no Iceberg writer makes, left alone")
    return notes
