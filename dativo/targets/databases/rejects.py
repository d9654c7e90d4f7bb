"""The violations beside a table: a table of its own, `{table}__rejects`."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from dativo.config.connection import Connection
from dativo.targets.databases.commit import Plan, commit
from dativo.targets.databases.dialect import Dialect
from dativo.targets.databases.place import Place
from dativo.targets.databases.staged import Staging, encoded
from dativo.targets.violations import REJECT_COLUMNS, of_run


def keep(
    violations: pl.LazyFrame,
    *,
    dialect: Dialect,
    connection: Connection,
    table: Place,
    token: str,
    job: str,
    key: str,
    action: str,
    found: datetime,
    staging: Staging,
) -> int:
    """Commits the violations of a run, once; how many there were."""
    rows = of_run(violations, token=token, job=job, action=action, found=found)
    # A value may be bad because of it, and not every database can hold it.
    texts = [f.name for f in REJECT_COLUMNS if f.kind == "string"]
    rows = rows.with_columns(pl.col(texts).cast(pl.String).str.replace_all("\0", "\\0", literal=True))
    path = staging.write(rows.select(encoded(REJECT_COLUMNS, dialect.sent)))
    plan = Plan(
        dialect=dialect,
        connection=connection,
        table=table,
        token=token,
        job=key,
        expected=None,
        check_expected=False,
        wanted=REJECT_COLUMNS,
        mode="merge",
        files=[path],
        state="",
        staging=staging,
    )
    commit(plan)
    path.unlink()
    return int(violations.select(pl.len()).collect(engine="streaming").item())
