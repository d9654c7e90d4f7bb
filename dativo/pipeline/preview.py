"""A job's rows before they are loaded: lazily as a plan, or the first of them for a person's eye. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dativo import connectors
from dativo.config.asset import Asset, Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.pipeline.export import TextFormat, text_lines
from dativo.pipeline.plan import build, privacy_key
from dativo.pipeline.purposes import hidden_columns, one_stream, purpose_treatments
from dativo.pipeline.refuse import refuse_unbuilt
from dativo.pipeline.window import windowed
from dativo.sources.protocol import Extract, Meter

if TYPE_CHECKING:
    import polars as pl


@dataclass(slots=True)
class Preview:
    """The first records of a stream as a run would treat them.

    `rows` has the table's columns, `rejects` the columns file, row, column, rule, value and record, one row a broken rule.
    `read` counts the records that were looked at, `masked` names the columns whose values are hidden here only.
    """

    stream: str
    table: str
    rows: pl.DataFrame
    rejects: pl.DataFrame
    read: int
    rejected: int
    fields: tuple[Field, ...] = ()
    asset: Asset | None = None
    masked: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def lines(self, format: TextFormat) -> list[str]:
        """The rows as text: JSON lines, CSV lines with a header, or a Markdown-KV document each."""
        return text_lines(self.rows, self.fields, self.asset, format)


def plan(
    job: ResolvedJob,
    *,
    stream: str | None = None,
    purpose: str = "warehouse",
    since: str | None = None,
    until: str | None = None,
) -> pl.LazyFrame:
    """The rows that a full load of a stream would write, as a lazy plan; nothing runs until it is collected or sunk.

    Columns are the contract's, treated for the purpose: `warehouse` (as loaded), `llm` or `preview`. Rows that the
    contract rejects are left out, duplicates are not: they are found by the run. Without `stream` the job's first one.
    `since` and `until` as for `sync`. Raises SourceError when the source is not what the job says, ConfigError when it has
    no cursor that the window can be held against, UnsupportedError for what this version cannot do.
    """
    refuse_unbuilt(job)
    chosen = one_stream(job, stream)
    job = windowed(job, since=since, until=until, streams=[chosen.name])
    extract = connectors.source(job).read(chosen, None, meter=Meter(), full=True)
    built = build(job, chosen, extract, "warehouse", chosen=purpose_treatments(job, chosen, purpose))
    return built.accepted(privacy_key(job, built.treatments))


def preview(
    job: ResolvedJob,
    *,
    stream: str | None = None,
    rows: int = 20,
    show_pii: bool = False,
    since: str | None = None,
    until: str | None = None,
) -> Preview:
    """The first `rows` records of a stream as they would be loaded, and what would be rejected of them.

    Personal data is masked unless `show_pii`. Only as much of the source is read as the records need; the target is not
    opened. `since` and `until` as for `sync`. Raises as `plan`.
    """
    refuse_unbuilt(job)
    chosen = one_stream(job, stream)
    job = windowed(job, since=since, until=until, streams=[chosen.name])
    extract = connectors.source(job).read(chosen, None, meter=Meter(), limit=rows, full=True)
    try:
        return _previewed(job, chosen, extract, show_pii)
    finally:
        extract.close()


def _previewed(job: ResolvedJob, chosen: StreamConfig, extract: Extract, show_pii: bool) -> Preview:
    import polars as pl

    from dativo.contract.enforce import BAD
    from dativo.pipeline.passes import collect
    from dativo.pipeline.shield import masked, withheld

    purpose = "warehouse" if show_pii else "preview"
    built = build(job, chosen, extract, "warehouse", chosen=purpose_treatments(job, chosen, purpose))
    hidden = {} if show_pii else hidden_columns(job, chosen)
    violations = withheld(built) if show_pii else masked(built)
    counts = built.enforced.frame.select(read=pl.len(), bad=pl.col(BAD).sum())
    accepted, rejects, found = collect([built.accepted(privacy_key(job, built.treatments)), violations, counts])
    read, bad = found.row(0)
    return Preview(
        stream=chosen.name,
        table=f"{chosen.namespace}.{chosen.table}",
        rows=accepted,
        rejects=rejects,
        read=read,
        rejected=0 if job.validation_mode == "warn" else bad,
        fields=built.columns,
        asset=chosen.asset,
        masked=tuple(hidden),
        notes=list(built.notes),
    )
