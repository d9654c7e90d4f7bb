"""The difference between two runs as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dativo import ColumnChange, RunDiff, TableRun
from dativo.cli.console import cell, plural, size, table
from dativo.cli.frames import cell_text, print_frame

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {"added": "+", "removed": "-"}


def print_difference(found: RunDiff, rows: int, console: Console) -> None:
    """Counts first: rows, columns, files; then a few rows of each kind."""
    counts = found.rows
    console.print(found.table)
    for name, run in (("from", found.before), ("to", found.after)):
        console.print(f"  {name:<8} {_run(run)}")
    how = f" (by {', '.join(counts.key)})" if counts.key else " (as whole rows: no key)"
    told = f"{counts.added:,} added, {counts.removed:,} removed, {counts.changed:,} changed"
    same = not (counts.added or counts.removed or counts.changed)
    console.print(f"  rows     {'no difference' if same else told + how}")
    console.print(f"  columns  {', '.join(map(_column, found.columns)) or 'no difference'}")
    added, removed = found.files_added, found.files_removed
    files = [f"{plural(f.files, 'file')} {w} ({size(f.bytes)})" for f, w in ((added, "added"), (removed, "removed"))]
    some = [text for text, f in zip(files, (added, removed), strict=True) if f.files]
    console.print(f"  files    {', '.join(some) or 'no difference'}")
    _examples(found, rows, console)
    if found.not_compared and not same:
        names = ", ".join(found.not_compared)
        console.print(f"\nrows are compared by the columns that both have; not by {names}")
    if found.masked and not same and rows:
        console.print(f"\n* masked here: {', '.join(found.masked)} (--show-pii shows the values)")


def _run(run: TableRun) -> str:
    other = "dativo maintain" if run.what == "compacted" else "another program"
    by = f"run {run.run[:13]}" if run.run is not None else other
    return f"{by}, {run.at[:19].replace('T', ' ')}, snapshot {run.snapshot}"


def _column(change: ColumnChange) -> str:
    if change.action in ("added", "removed"):
        return f"{_MARKS[change.action]} {change.name} {change.after or change.before}"
    if change.action == "renamed":
        return f"{change.before} is now {change.after}"
    if change.action == "retyped":
        return f"{change.name} {change.before} → {change.after}"
    return f"{change.name} may be null now" if change.action == "relaxed" else f"{change.name} may no longer be null"


def _examples(found: RunDiff, rows: int, console: Console) -> None:
    counts = found.rows
    for name, sample, count in (
        ("added", found.added, counts.added),
        ("removed", found.removed, counts.removed),
    ):
        if sample.frame.height:
            console.print(f"\n{_heading(name, sample.frame.height, count)}")
            print_frame(console, sample.frame, found.masked)
    if found.differing:
        console.print(f"\n{_heading('changed', len(found.differing), counts.changed)}")
        _changed(found, console)


def _heading(name: str, shown: int, count: int) -> str:
    return name if shown >= count else f"{name}: {shown} of {count:,} (--rows shows more)"


def _changed(found: RunDiff, console: Console) -> None:
    before, after = (sample.frame for sample in found.changed)
    key = list(found.rows.key)
    made = table(*(_named(k, found) for k in key), "column", "before", "after")
    was, now = before.to_dicts(), after.to_dicts()
    for old, new, names in zip(was, now, found.differing, strict=True):
        for i, name in enumerate(names):
            mine = [_value(new.get(k)) if not i else "" for k in key]
            made.add_row(*mine, _named(name, found), _value(old.get(name)), _value(new.get(name)))
    console.print(made)


def _named(column: str, found: RunDiff) -> str:
    return f"{column}*" if column in found.masked else column


def _value(value: object) -> str:
    return "" if value is None else cell(cell_text(value), 32)
