"""Jobs by their names on the command line."""

from __future__ import annotations

from dativo import ConfigError, ResolvedJob, find_jobs, load_jobs
from dativo.cli.console import show_problems


def one_job(name: str) -> ResolvedJob:
    """The job of a name; its warnings go to standard error. Raises ConfigError with its mistakes."""
    good, problems = load_jobs(find_jobs([name])[:1])
    if not good:
        raise ConfigError(problems)
    show_problems(p for p in problems if p.severity == "warning" and p.code != "env_missing")
    return good[0]
