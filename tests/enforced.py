"""A CSV text under a contract, without a table: the accepted rows and the violations as a run would find them."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from dativo.pipeline.plan import StreamPlan, build
from dativo.sources.csv import CsvSource
from dativo.sources.protocol import Meter
from tests.project import Project


class Found(NamedTuple):
    """What became of the rows of one text."""

    accepted: pl.DataFrame
    violations: pl.DataFrame
    notes: list[str]

    def rules(self) -> list[tuple[int, str | None, str, str | None]]:
        """Row, column, rule and original value of each violation, in order."""
        frame = self.violations.sort("row", "column", "rule", nulls_last=True)
        return frame.select("row", "column", "rule", "value").rows()


def planned(
    project: Project, text: str | bytes, fields: list[dict[str, Any]], mode: str = "quarantine", **options: Any
) -> StreamPlan:
    """The plan of a job that reads the text by the fields."""
    project.write("data/people.csv", text)
    project.asset(fields)
    source = {"files": [{"path": "data/people.csv"}], "engine": {"type": "native", "options": options}}
    project.job(schema_validation_mode=mode, source=source)
    job = project.load()
    stream = job.streams[0]
    return build(job, stream, CsvSource(job).read(stream, None, meter=Meter()), "warehouse")


def enforced(
    project: Project, text: str | bytes, fields: list[dict[str, Any]], mode: str = "quarantine", **options: Any
) -> Found:
    """What the plan's frames give when they are collected."""
    plan = planned(project, text, fields, mode, **options)
    accepted, violations = pl.collect_all(
        [plan.accepted(), plan.enforced.violations(plan.extract.files)], engine="streaming"
    )
    return Found(accepted, violations, plan.notes)
