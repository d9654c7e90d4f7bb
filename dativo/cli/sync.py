"""`dativo sync`: run jobs by name."""

from __future__ import annotations

from typing import Annotated

import typer

from dativo.cli.choices import (
    AsJson,
    Atomic,
    FailFast,
    Jobs,
    KeepBranch,
    LogFormat,
    Mode,
    Progress,
    SecretManager,
    SecretManagerConfig,
    SecretsDir,
    Since,
    Until,
    command,
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Files, folders, or names below jobs/.")]
Streams = Annotated[str | None, typer.Option("--streams", help="Only these streams of the jobs, separated by commas.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Read no more than so many rows; the cursor stays.")]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Read everything again and replace the table's rows.")
]

app = command()


@app.command()
def sync(
    jobs: Names = None,
    streams: Streams = None,
    limit: Limit = None,
    full_refresh: FullRefresh = False,
    since: Since = None,
    until: Until = None,
    at_once: Jobs = 1,
    fail_fast: FailFast = False,
    atomic: Atomic = False,
    keep_branch: KeepBranch = False,
    mode: Mode = None,
    secrets_dir: SecretsDir = None,
    secret_manager: SecretManager = None,
    secret_manager_config: SecretManagerConfig = None,
    progress: Progress = "auto",
    log_format: LogFormat = "none",
    as_json: AsJson = False,
) -> None:
    """Run jobs: read, enforce the contract, commit to the table.

    Without a job, the jobs of jobs/demo/ run. Exit code 0: all done; 1: done, but rows broke a contract, or some jobs
    failed; 2: not done.
    """
    from dativo import RunOptions, StartOptions, find_jobs
    from dativo import secret_manager as chosen
    from dativo.cli.running import Wishes, run_files

    options = RunOptions(
        streams=tuple(s.strip() for s in (streams or "").split(",") if s.strip()),
        limit=limit, full_refresh=full_refresh, since=since, until=until,
        at_once=at_once, fail_fast=fail_fast, atomic=atomic, keep_branch=keep_branch,
    )  # fmt: skip
    wishes = Wishes(
        options=options,
        start=StartOptions(mode=mode, fail_fast=fail_fast),
        manager=chosen(name=secret_manager, config=secret_manager_config, folder=secrets_dir),
        progress=progress, json_logs=log_format == "json", as_json=as_json, guide=not jobs,
    )  # fmt: skip
    raise typer.Exit(run_files(find_jobs(jobs or []), wishes))
