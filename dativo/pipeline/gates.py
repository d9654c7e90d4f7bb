"""Quality gates: what must hold of a commit that nobody sees yet, before it is published.

A gate looks at what the target stored, read back, and not at what the run believes to have written. Each gives why the
commit may not be published, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dativo.config.asset import Field
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ContractError
from dativo.pipeline.plan import FAITHFUL, StreamPlan
from dativo.pipeline.staging import staging_folder, staging_root
from dativo.receipt import StreamReceipt
from dativo.targets.protocol import Audit, UnseenTarget


@dataclass
class Commit:
    """A commit as the gates see it: what the run says of it, and the target that can be asked.

    `columns` are the table's columns as the run wrote them, `keys` those whose values together may not come twice.
    """

    job: ResolvedJob
    stream: StreamConfig
    token: str
    receipt: StreamReceipt
    columns: tuple[Field, ...]
    keys: tuple[tuple[Field, ...], ...]
    target: UnseenTarget

    @cached_property
    def audit(self) -> Audit:
        return self.target.audit()


Gate = Callable[[Commit], str | None]


def keys_of(plan: StreamPlan) -> tuple[tuple[Field, ...], ...]:
    """The columns that must be unique in what the run loads: the key, and each unique column.

    Only where a run replaces what is there with rows that have one version each, and as far as the table has the values.
    """
    job = plan.job
    versions = job.incremental is not None and job.incremental.cursor_field is not None
    if job.write_mode != "replace" or job.validation_mode == "warn" or versions:
        return ()
    asset = plan.stream.asset
    wanted = [asset.key, *((f.name,) for f in asset.fields if f.unique)]
    columns = {c.name: c for c in plan.columns if plan.treatments.get(c.name, "none") in FAITHFUL}
    return tuple(tuple(columns[n] for n in names) for names in wanted if names and all(n in columns for n in names))


def check(commit: Commit) -> None:
    """Raises ContractError when a gate does not hold."""
    commit.__dict__.pop("audit", None)
    found = [text for gate in GATES for text in (gate(commit),) if text]
    if found:
        raise ContractError(
            f"a check of {commit.receipt.table} did not hold, nothing was published: {'; '.join(found)}",
            hint=f"see {commit.receipt.contract} and the source's rows",
        )


def _counts(commit: Commit) -> str | None:
    added, loaded = commit.audit.added, commit.receipt.loaded
    if commit.receipt.write_mode in ("upsert", "scd2") and added > loaded:
        # Files that held rows which are replaced are written again with their others.
        return None
    return f"the table got {added} rows, but {loaded} were loaded" if added != loaded else None


def _required(commit: Commit) -> str | None:
    nulls = commit.audit.nulls
    broken = [f"{c.name} ({nulls[c.name]})" for c in commit.columns if c.required and nulls.get(c.name)]
    return f"required columns have rows without a value: {', '.join(broken)}" if broken else None


def _unique(commit: Commit) -> str | None:
    for columns in commit.keys:
        found = _repeated(commit, columns)
        if found:
            names = ", ".join(c.name for c in columns)
            return f"{found} rows repeat a value of {names}, which must be unique"
    return None


def _repeated(commit: Commit, columns: Sequence[Field]) -> int:
    """How many of the added rows repeat the values of these columns; rows that lack one of them count for none."""
    import polars as pl

    from dativo.pipeline.passes import collect
    from dativo.staging.dedup import repeats
    from dativo.staging.identity import identity

    rows = commit.target.added(columns)
    if rows is None:
        return 0
    job = commit.job
    with staging_folder(staging_root(job), f"{commit.token}-{commit.stream.name}-check") as folder:
        path = Path(folder) / "keys.parquet"
        complete = pl.all_horizontal(pl.col(c.name).is_not_null() for c in columns)
        sink = rows.filter(complete).select(identity(columns)).sink_parquet(path, compression="lz4", lazy=True)
        assert sink is not None
        collect([sink])
        return repeats(folder, path, memory_limit=job.budget.memory_limit, threads=job.budget.threads)


GATES: tuple[Gate, ...] = (_counts, _required, _unique)
