"""What a person sees of a run: a few lines before it, one table and what was rejected after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dativo import Receipt, ResolvedJob, StreamReceipt
from dativo.cli.console import cell, plural, say, size, table

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 132


def opening(job: ResolvedJob, full_refresh: bool) -> None:
    """Source, contract, target and mode of each stream of a job that is about to run."""
    say(f"{job.name} · tenant {job.tenant_id}")
    for stream in job.streams:
        asset = stream.asset
        files = ", ".join(f.path or f.id or "" for f in stream.files) or ", ".join(stream.objects)
        personal = [f.name for f in asset.fields if f.classification]
        say(f"  from  {job.source_type:<10} {cell(files, 90)}")
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


def results(receipts: list[Receipt], console: Console) -> None:
    """One table of all streams; then, a stream at a time, what was found wrong and where to see more."""
    streams = [(r, s) for r in receipts for s in r.streams]
    if not streams:
        return
    wide = console.width >= WIDE
    numbers = ("extracted", "loaded", "rejected", "deduplicated", "files", "bytes", "seconds", "rows/s", "peak memory")
    columns = ["stream", "", *numbers[:8], *(["peak memory", "snapshot"] if wide else [])]
    made = table(*[c if wide or c != "deduplicated" else "deduped" for c in columns], right=(*numbers, "deduped"))
    for receipt, stream in streams:
        made.add_row(*_row(receipt, stream, wide))
    console.print()
    console.print(made)
    for receipt, stream in streams:
        _after(receipt, stream, console, wide)


def _row(receipt: Receipt, stream: StreamReceipt, wide: bool) -> list[str]:
    seconds = receipt.seconds
    rate = f"{stream.extracted / seconds:,.0f}" if stream.extracted and seconds else ""
    counts = [stream.extracted, stream.loaded, stream.rejected, stream.deduplicated, stream.files]
    row = [
        stream.stream,
        _STATUS[stream.status],
        *(f"{c:,}" for c in counts),
        size(stream.bytes),
        f"{seconds:.2f}",
        rate,
    ]
    if wide:
        row += [size(receipt.peak_memory), str(stream.snapshot_id or "")]
    return row


_STATUS = {"loaded": "✓", "unchanged": "=", "refused": "✗", "failed": "✗", "interrupted": "✗"}


def _after(receipt: Receipt, stream: StreamReceipt, console: Console, wide: bool) -> None:
    console.print()
    if stream.status == "unchanged":
        console.print(f"{stream.table}: nothing new in {plural(stream.files_skipped, 'file')}; no snapshot was made")
    elif stream.status == "loaded":
        made = f"snapshot {stream.snapshot_id}" if stream.snapshot_id is not None else "no snapshot: no row is new"
        memory = "" if wide else f", peak memory {size(receipt.peak_memory)}"
        console.print(f"{stream.table}: {made}{memory}, run {receipt.run_id}")
    for note in stream.warnings:
        console.print(f"note: {cell(note, 500)}")
    if stream.rules:
        _rules(receipt, stream, console)
    if stream.error:
        say(f"error: {stream.error}")


def _rules(receipt: Receipt, stream: StreamReceipt, console: Console) -> None:
    what = {"warn": "became null", "quarantine": "set aside"}.get(stream.mode, "broke the contract")
    rows = (
        f"{plural(stream.violations, 'row')} {what}"
        if stream.mode != "warn"
        else f"values of {plural(stream.violations, 'row')} {what}"
    )
    console.print(
        f"{rows}:" if stream.status != "refused" else f"{plural(stream.violations, 'row')} broke the contract:"
    )
    made = table("column", "rule", "rows", "example", right=("rows",))
    for rule in stream.rules[:12]:
        value = "(no value)" if rule.value is None else repr(cell(rule.value, 40))
        made.add_row(rule.column or "(record)", rule.rule, f"{rule.count:,}", f"{rule.file} row {rule.row}: {value}")
    console.print(made)
    if len(stream.rules) > 12:
        console.print(f"… and {len(stream.rules) - 12} more rules")
    console.print(f"\nsee them:  dativo rejects show {receipt.job}")
