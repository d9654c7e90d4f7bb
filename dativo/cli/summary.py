"""What a person sees of a run: a few lines before it, one table and what was rejected after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dativo import Receipt, ResolvedJob, StreamReceipt
from dativo.cli.console import cell, plural, say, size, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 132
MOST_RULES = 12


def opening(job: ResolvedJob, full_refresh: bool, since: str | None = None, until: str | None = None) -> None:
    """Source, contract, target and mode of each stream of a job that is about to run."""
    say(f"{job.name} · tenant {job.tenant_id}")
    for stream in job.streams:
        asset = stream.asset
        files = ", ".join(f.path or f.id or "" for f in stream.files) or ", ".join(stream.objects) or _below(job)
        files = ", ".join(r.label for r in stream.relations) or files
        personal = [f.name for f in asset.fields if f.classification]
        ends = [f"{word} {end}" for word, end in (("since", since), ("until", until)) if end is not None]
        say(f"  from  {job.source_type:<10} {cell(files, 90)}{', only ' if ends else ''}{' '.join(ends)}")
        parts = [plural(len(asset.fields), "column")]
        parts += [f"key {', '.join(asset.key)}"] if asset.key else []
        parts += [f"classified: {cell(', '.join(personal), 60)}"] if personal else []
        say(f"  by    {'contract':<10} {asset.label} ({'; '.join(parts)})")
        strategy = str(job.incremental.strategy) if job.incremental is not None else "full load"
        mode = "replace (--full-refresh)" if full_refresh else job.write_mode
        by = f", partitioned by {', '.join(map(str, stream.partitioning))}" if stream.partitioning else ""
        say(f"  to    {job.target_type:<10} {stream.namespace}.{stream.table}, {strategy}, {mode}{by}")
        limit = f", at most {stream.max_rejects} rejects" if stream.max_rejects is not None else ""
        say(f"  mode  {job.validation_mode}{limit}")
    if job.unbuilt:
        say(f"  note  does nothing yet in this version: {', '.join(job.unbuilt)}")


def _below(job: ResolvedJob) -> str:
    """Where in an object store a source reads that names no files."""
    parts = (job.source.prefix, job.source.pattern)
    return "/".join(p.strip("/") for p in parts if p)


def results(
    receipts: list[Receipt], console: Console, *, errors: bool, without: Sequence[tuple[str, str]] = ()
) -> None:
    """One table of all streams; then, a stream at a time, what was found wrong and where to see more.

    With `errors` what kept a stream from being loaded is told on standard error, where no log has told it yet. `without`
    are the jobs that came to no receipt, each with the reason in a word or two.
    """
    streams = [(r, s) for r in receipts for s in r.streams]
    if not streams:
        return
    several = len(receipts) + len(without) > 1
    console.print()
    console.print(_jobs(streams, without, console) if several else _streams(streams, console))
    for receipt, stream in streams:
        # Of several jobs only those that have something to tell are told of below the table.
        if not several or stream.warnings or stream.rules:
            _after(receipt, stream, console)
        if stream.error and errors:
            say(f"error: {stream.error}")


def _streams(streams: list[tuple[Receipt, StreamReceipt]], console: Console) -> Table:
    """The table of one job's streams."""
    wide = console.width >= WIDE
    changes = _changes([s for _, s in streams])
    numbers = ["extracted", "loaded", "rejected", "deduplicated", *changes]
    numbers += (
        ["files", "bytes", "seconds", "rows/s", "peak memory"]
        if wide
        else ["seconds", *([] if changes else ["rows/s"])]
    )
    made = table("stream", "", *numbers, *(["snapshot"] if wide else []), right=numbers)
    for receipt, stream in streams:
        made.add_row(*_row(receipt, stream, wide, changes))
    return made


def _changes(streams: Sequence[StreamReceipt]) -> list[str]:
    """The counts of rows that were in a table already, where any stream has one."""
    return [name for name in ("updated", "deleted") if any(getattr(s, name) for s in streams)]


def _jobs(streams: list[tuple[Receipt, StreamReceipt]], without: Sequence[tuple[str, str]], console: Console) -> Table:
    """The table of several jobs, those that came to no receipt at its end. A stream is named where its job has several."""
    wide = console.width >= WIDE
    dropped = any(s.deduplicated for _, s in streams)
    changes = _changes([s for _, s in streams])
    numbers = ["extracted", "loaded", "rejected", *(["deduplicated"] if dropped else []), *changes]
    # What is left out makes room for the jobs' names.
    last = ["files", "bytes", "seconds", "rows/s"] if wide else [] if changes else ["seconds"]
    numbers += last
    made = table("job", "", *numbers, *(["table", "snapshot"] if wide else []), right=numbers)
    for receipt, stream in streams:
        name = receipt.job if len(receipt.streams) == 1 else f"{receipt.job} · {stream.stream}"
        counts = [stream.extracted, stream.loaded, stream.rejected, *([stream.deduplicated] if dropped else [])]
        counts += [getattr(stream, name) for name in changes]
        row = [name, _STATUS[stream.status], *(f"{c:,}" for c in counts)]
        seconds = f"{receipt.seconds:.2f}"
        every = [f"{stream.files:,}", size(stream.bytes), seconds, _rate(receipt, stream)]
        place = [stream.table, str(stream.snapshot_id or "")] if wide else []
        made.add_row(*row, *(every if wide else [seconds][: len(last)]), *place)
    for name, reason in without:
        made.add_row(name, "✗", reason)
    return made


def _rate(receipt: Receipt, stream: StreamReceipt) -> str:
    return f"{stream.extracted / receipt.seconds:,.0f}" if stream.extracted and receipt.seconds else ""


def _row(receipt: Receipt, stream: StreamReceipt, wide: bool, changes: Sequence[str]) -> list[str]:
    seconds, rate = receipt.seconds, _rate(receipt, stream)
    names = ("extracted", "loaded", "rejected", "deduplicated", *changes)
    counts = [f"{getattr(stream, name):,}" for name in names]
    row = [stream.stream, _STATUS[stream.status], *counts]
    if not wide:
        return [*row, f"{seconds:.2f}", *([] if changes else [rate])]
    snapshot = str(stream.snapshot_id or "")
    memory = size(receipt.peak_memory)
    return [*row, f"{stream.files:,}", size(stream.bytes), f"{seconds:.2f}", rate, memory, snapshot]


_STATUS = {"loaded": "✓", "unchanged": "=", "refused": "✗", "failed": "✗", "interrupted": "✗", "withheld": "✗"}


def _after(receipt: Receipt, stream: StreamReceipt, console: Console) -> None:
    console.print()
    if stream.status == "unchanged":
        files = f" in {plural(stream.files_skipped, 'file')}" if stream.files_skipped else ""
        console.print(f"{stream.table}: nothing new{files}; no snapshot was made")
    elif stream.status == "loaded":
        made = f"snapshot {stream.snapshot_id}" if stream.snapshot_id is not None else "no snapshot: no row is new"
        written = f", {plural(stream.files, 'file')} of {size(stream.bytes)}" if stream.files else ""
        console.print(f"{stream.table}: {made}{written}")
        console.print(f"run {receipt.run_id}, peak memory {size(receipt.peak_memory)}")
    for note in stream.warnings:
        console.print(f"note: {cell(note, 500)}")
    if stream.rules:
        _rules(receipt, stream, console)


def _rules(receipt: Receipt, stream: StreamReceipt, console: Console) -> None:
    rows = plural(stream.violations, "row")
    what = {"warn": f"values of {rows} became null", "quarantine": f"{rows} set aside"}
    refused = stream.status == "refused"
    console.print()
    console.print(
        f"{rows} broke the contract:" if refused else f"{what.get(stream.mode, rows + ' broke the contract')}:"
    )
    files = {rule.file for rule in stream.rules}
    made = table("column", "rule", "rows", "example", "row" if len(files) == 1 else "where", right=("rows",))
    for rule in stream.rules[:MOST_RULES]:
        value = "" if rule.value is None else cell(repr(rule.value), 42)
        where = f"{rule.row:,}" if len(files) == 1 else f"{rule.file} row {rule.row:,}"
        made.add_row(rule.column or "(record)", rule.rule, f"{rule.count:,}", value, where)
    console.print(made)
    if len(stream.rules) > MOST_RULES:
        console.print(f"… and {len(stream.rules) - MOST_RULES} more rules")
    console.print(f"\nsee them:  {program()} rejects show {receipt.job}")


def program() -> str:
    """How the person calls this program."""
    return os.environ.get("DATIVO_COMMAND", "dativo")


def what_next(receipts: list[Receipt], console: Console) -> None:
    """What to try after the demo."""
    job = next((r.job for r in receipts if r.status in ("loaded", "unchanged")), None)
    if job is None:
        return
    console.print("\ntry next:")
    for command, meaning in (
        (f"show {job}", "the table: rows, columns, snapshots, tags"),
        (f"preview {job}", "the rows before they are loaded"),
        (f"export {job} --format markdown-kv --limit 3", "documents for a language model"),
        (f"plan {job} --explain", "what a run does, column by column"),
        ("sync", "once more: nothing is new, nothing is written"),
    ):
        console.print(f"  {program()} {command:<62}{meaning}" if console.width >= WIDE else f"  {program()} {command}")
