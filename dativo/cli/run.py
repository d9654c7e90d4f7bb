"""`dativo run`: the scripted form of `sync`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

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

app = command()


@app.command()
def run(
    config: Annotated[Path | None, typer.Option("--config", help="One job file.")] = None,
    job_dir: Annotated[Path | None, typer.Option("--job-dir", help="A folder of job files, with all below it.")] = None,
    tenant_id: Annotated[str | None, typer.Option("--tenant-id", help="The tenant that every job must be of.")] = None,
    mode: Mode = None,
    secrets_dir: SecretsDir = None,
    secret_manager: SecretManager = None,
    secret_manager_config: SecretManagerConfig = None,
    since: Since = None,
    until: Until = None,
    jobs: Jobs = 1,
    fail_fast: FailFast = False,
    atomic: Atomic = False,
    keep_branch: KeepBranch = False,
    progress: Progress = "auto",
    log_format: LogFormat = "auto",
    as_json: AsJson = False,
) -> None:
    """Run one job, or every job of a folder.

    Exit code 0: all succeeded; 1: some did, or rows broke a contract; 2: none did.
    """
    from dativo import RunOptions, StartOptions
    from dativo import secret_manager as chosen
    from dativo.cli.running import Wishes, run_files

    wishes = Wishes(
        options=RunOptions(
            since=since, until=until, at_once=jobs, fail_fast=fail_fast, atomic=atomic, keep_branch=keep_branch
        ),
        start=StartOptions(mode=mode, tenant=tenant_id, one_tenant=job_dir is not None, fail_fast=fail_fast),
        manager=chosen(name=secret_manager, config=secret_manager_config, folder=secrets_dir),
        steps=job_dir is not None,
        runner_retries=True,
        progress=progress,
        json_logs=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()),
        as_json=as_json,
    )
    raise typer.Exit(run_files(_files(config, job_dir), wishes))


def _files(config: Path | None, job_dir: Path | None) -> list[Path]:
    from dativo import find_jobs

    if (config is None) == (job_dir is None):
        raise typer.BadParameter("give exactly one of --config and --job-dir")
    wanted: Literal["file", "folder"] = "file" if config is not None else "folder"
    return find_jobs([str(config or job_dir)], only=wanted)
