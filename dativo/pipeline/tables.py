"""Loaded tables looked at: which job loads a table, what it is, what its first rows are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dativo import connectors
from dativo.config.asset import Asset, Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ConfigError, Problem, TargetError, listed, nearest
from dativo.pipeline.export import TextFormat
from dativo.pipeline.jobs import find_jobs, known_jobs, load_jobs, place
from dativo.pipeline.purposes import hidden_columns, one_stream
from dativo.pipeline.refuse import refuse_missing
from dativo.receipt import Receipt
from dativo.state.receipts import receipts
from dativo.targets.reading import TableFacts

if TYPE_CHECKING:
    import polars as pl


@dataclass(slots=True)
class Shown:
    """A table, its first rows (personal columns masked, as `masked` names them), and the last runs of its job."""

    facts: TableFacts
    rows: pl.DataFrame
    fields: tuple[Field, ...]
    asset: Asset
    masked: tuple[str, ...]
    runs: list[Receipt]

    def lines(self, format: TextFormat) -> list[str]:
        """The rows as text: JSON lines, CSV lines with a header, or a Markdown-KV document each."""
        from dativo.pipeline.export import text_lines

        return text_lines(self.rows, self.fields, self.asset, format)


def find_table(name: str) -> tuple[ResolvedJob, StreamConfig]:
    """The job and stream that a job's name or file, or a table as `namespace.table` or `table`, stand for.

    Raises ConfigError when nothing is called so, and when several tenants have such a table.
    """
    path, kind = place(name)
    if kind == "file":
        return _of_job([path])
    jobs = list(known_jobs())
    hits = [(j, s) for j in jobs for s in j.streams if name == f"{s.namespace}.{s.table}"]
    hits = hits or [(j, s) for j in jobs for s in j.streams if name == s.table]
    if not hits:
        return _of_job(_files(name, jobs))
    if len({(j.tenant_id, s.namespace) for j, s in hits}) > 1:
        loaded = [f"{s.namespace}.{s.table} of {j.path}" for j, s in hits]
        raise ConfigError([Problem(f"several tables are called '{name}'", hint=f"name a job: {listed(loaded)}")])
    return hits[0]


def _of_job(files: list[Path]) -> tuple[ResolvedJob, StreamConfig]:
    good, problems = load_jobs(files)
    if not good:
        raise ConfigError(problems)
    return good[0], good[0].streams[0]


def _files(name: str, jobs: list[ResolvedJob]) -> list[Path]:
    try:
        files = find_jobs([name])
    except ConfigError:
        tables = sorted({f"{s.namespace}.{s.table}" for j in jobs for s in j.streams})
        guess = nearest(name, [*tables, *(j.name for j in jobs)])
        hint = f"did you mean '{guess}'?\n" if guess else ""
        hint += f"tables: {listed(tables)}" if tables else "there is no job here"
        raise ConfigError([Problem(f"no job or table is called '{name}'", hint=hint)]) from None
    if len(files) > 1:
        raise ConfigError([Problem(f"'{name}' holds {len(files)} jobs", hint=f"name one: {listed(map(str, files))}")])
    return files


def show_table(job: ResolvedJob, *, stream: str | None = None, rows: int = 10, show_pii: bool = False) -> Shown:
    """The table of a job's stream with its first rows. Raises TargetError when it does not exist."""
    import polars as pl

    from dativo.privacy.mask import shown, treated_field

    refuse_missing(job)
    chosen = one_stream(job, stream)
    reader = connectors.reader(job, chosen)
    facts, frame, fields = reader.facts(), reader.rows(), reader.fields()
    if facts is None or frame is None or fields is None:
        raise TargetError(
            f"the table {chosen.namespace}.{chosen.table} does not exist yet",
            hint=f"load it with `dativo sync {job.name}`",
        )
    hidden = {} if show_pii else hidden_columns(job, chosen)

    def column(field: Field) -> pl.Expr:
        from dativo.contract.written import written

        value = pl.col(field.name)
        if field.name not in hidden:
            return value
        return shown(written(field, value), hidden[field.name]).alias(field.name)

    try:
        sample = frame.select(column(f) for f in fields).head(rows).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TargetError(f"the table {facts.name} cannot be read: {str(error).splitlines()[0]}") from error
    masked = tuple(n for n in hidden if any(f.name == n for f in fields))
    seen = (treated_field(f, "partial" if f.name in hidden else "none") for f in fields)
    columns = tuple(f for f in seen if f is not None)
    return Shown(facts, sample, columns, chosen.asset, masked, receipts(job)[:10])
