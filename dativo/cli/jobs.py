"""Jobs by their names on the command line."""

from __future__ import annotations

from dativo import ConfigError, Problem, ResolvedJob, find_jobs, load_jobs
from dativo.cli.console import show_problems
from dativo.cli.masking import remember
from dativo.errors import listed


def one_job(name: str) -> ResolvedJob:
    """The job of a name; its warnings go to standard error. Raises ConfigError with its mistakes."""
    files = find_jobs([name])
    if len(files) > 1:
        raise ConfigError([Problem(f"'{name}' holds {len(files)} jobs", hint=f"name one: {listed(map(str, files))}")])
    good, problems = load_jobs(files)
    if not good:
        raise ConfigError(problems)
    show_problems(p for p in problems if p.severity == "warning" and p.code != "env_missing")
    remember(good[0])
    return good[0]
