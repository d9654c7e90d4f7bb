"""Configuration is read fast: one job in a fresh interpreter, and a thousand that share recipes and contracts.

Measured in processor time, so that a busy machine does not fail a test; the bounds leave room for slower ones.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from dativo.config.environment import Environment
from dativo.config.resolve import Resolver
from tests.project import Project

ROOT = Path(__file__).resolve().parents[2]
THOUSAND_JOBS_SECONDS = 2.5
ONE_JOB_SECONDS = 0.5
REFERENCE_SECONDS = 0.2


def many(project: Project, count: int) -> list[Path]:
    kinds = ("integer", "string", "double", "date", "timestamp")
    for number in range(20):
        fields = [
            {"name": f"c{i}", "type": kinds[i % 5], "required": i < 3, "description": "a column"} for i in range(15)
        ]
        project.asset(fields, name=f"a{number}", domain="sales", target={"partitioning": ["ingest_date"]})
    return [
        project.job(
            f"job_{number:04}",
            asset_path=f"assets/a{number % 20}.yaml",
            source={
                "files": [{"path": f"data/file_{number}.csv", "object": f"o{number}"}],
                "engine": {"options": {"delimiter": ";"}},
                "incremental": {"strategy": "file_modified_time", "lookback_days": 1},
            },
            target={"connection": {"s3": {"endpoint": "${S3_ENDPOINT:-http://localhost:9000}", "prefix": "raw"}}},
            schema_validation_mode="quarantine",
            max_rejects="0.1%",
            retry_config={"max_retries": 2},
            finops={"cost_center": "FIN-1", "business_tags": ["a", "b"]},
        )
        for number in range(count)
    ]


def slowness() -> float:
    """How many times slower this machine is than the one of the limits, at this moment; not less than 1."""
    start = time.process_time()
    assert len({text: [text] for text in map(str, range(400_000))}) == 400_000
    return max(1.0, (time.process_time() - start) / REFERENCE_SECONDS)


def test_a_thousand_jobs_that_share_recipes_and_contracts(project: Project) -> None:
    paths = many(project, 1000)
    resolver = Resolver(environment=Environment([{}], ["t"]))
    start = time.process_time()
    jobs = [job for job in (resolver.job(path) for path in paths) if job is not None]
    resolver.check_names(jobs)
    seconds = time.process_time() - start
    assert len(jobs) == 1000 and resolver.problems.found == []
    assert len({id(job.streams[0].asset) for job in jobs}) == 20
    assert seconds < THOUSAND_JOBS_SECONDS * slowness()


def test_one_job_in_a_fresh_interpreter(project: Project) -> None:
    path = many(project, 1)[0]
    program = f"from dativo import load_job; load_job({str(path)!r})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < ONE_JOB_SECONDS * slowness()
