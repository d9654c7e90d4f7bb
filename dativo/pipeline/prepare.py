"""What a stream's run has to do, found before anything is read but headers: the table as it is, and which rows are new."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from dativo.config.resolve import StreamConfig
from dativo.pipeline.comparing import wants_deletes
from dativo.pipeline.order import Order
from dativo.pipeline.plan import StreamPlan, build, table_shape
from dativo.pipeline.resume import resume_point
from dativo.sources.protocol import Extract, Meter, Source
from dativo.state.cursor import Cursor
from dativo.targets.protocol import Opened, Target


@dataclass(slots=True, frozen=True)
class Prepared:
    """`plan` is None where the source has nothing new; `partial` tells that not all of the source's rows are read."""

    extract: Extract
    opened: Opened
    plan: StreamPlan | None
    partial: bool


def prepare(
    order: Order, source: Source, stream: StreamConfig, target: Target, meter: Meter, held: ExitStack
) -> Prepared:
    """What is to be read since the last commit, and how; what the source holds for it is let go with `held`."""
    job = order.job

    def read(since: Cursor | None, *, full: bool = False) -> Extract:
        extract = source.read(stream, since, meter=meter, limit=order.limit, full=full)
        held.callback(extract.close)
        return extract

    # A first look at the columns tells the table's shape, which opening the table needs.
    extract = read(None, full=True)
    looked = build(job, stream, extract, "warehouse")
    plan: StreamPlan | None = looked
    opened = target.open(table_shape(job, stream, looked.columns))
    since = _since(order, stream, opened)
    partial = bool(job.window)
    if since is not None:
        incremental = job.incremental is not None
        extract = extract.since(since) if extract.since is not None else read(since)
        # Rows may have left a source in which nothing is new.
        needed = not extract.unchanged or (incremental and wants_deletes(job))
        plan = build(job, stream, extract, "warehouse") if needed else None
        partial = partial or incremental
    order.listener.event(
        "extraction_started",
        stream=stream.name,
        files=len(extract.files),
        files_skipped=extract.skipped,
        cursor=since.entries if since is not None else {},
    )
    return Prepared(extract, opened, plan, partial)


def _since(order: Order, stream: StreamConfig, opened: Opened) -> Cursor | None:
    if order.full_refresh:
        return None
    if opened.damaged is not None:
        raise opened.damaged
    return resume_point(order.job, stream, opened.saved, exists=opened.exists, state=order.state, today=order.today)
