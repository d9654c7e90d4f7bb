"""`dativo run`: the scripted form of `sync`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dativo.cli.choices import AsJson, LogFormat, Progress, command

app = command()


@app.command()
def run(
    config: Annotated[Path | None, typer.Option("--config", help="One job file.")] = None,
    job_dir: Annotated[Path | None, typer.Option("--job-dir", help="A folder of job files, with all below it.")] = None,
    tenant_id: Annotated[str | None, typer.Option("--tenant-id", help="The tenant that every job must be of.")] = None,
    mode: Annotated[
        Literal["self_hosted", "cloud"] | None, typer.Option("--mode", help="Where the run is; self_hosted by default.")
    ] = None,
    secrets_dir: Annotated[
        Path | None, typer.Option("--secrets-dir", help="Folder of secrets; no connector of this version reads one.")
    ] = None,
    secret_manager: Annotated[
        str | None, typer.Option("--secret-manager", help="Where secrets come from: env.")
    ] = None,
    secret_manager_config: Annotated[
        str | None, typer.Option("--secret-manager-config", help="Settings of the secret manager.")
    ] = None,
    progress: Progress = "auto",
    log_format: LogFormat = "auto",
    as_json: AsJson = False,
) -> None:
    """Run one job, or every job of a folder.

    Exit code 0: all succeeded; 1: some did, or rows broke a contract; 2: none did.
    """
    from dativo.cli.console import say
    from dativo.cli.running import Wishes, run_files
    from dativo.errors import UnsupportedError

    files = _files(config, job_dir)
    if (secret_manager or "env").lower() not in ("env", "environment"):
        raise UnsupportedError(
            f"the secret manager '{secret_manager}' is not built yet",
            hint="leave it out: secrets come from the environment",
        )
    if secrets_dir is not None or secret_manager_config is not None:
        say("warning: secrets come from the environment in this version; --secrets-dir and its settings do nothing yet")
    logs = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    raise typer.Exit(
        run_files(files, Wishes(mode=mode, tenant=tenant_id, progress=progress, json_logs=logs, as_json=as_json))
    )


def _files(config: Path | None, job_dir: Path | None) -> list[Path]:
    from dativo import find_jobs
    from dativo.errors import ConfigError, Mark, Problem

    if (config is None) == (job_dir is None):
        raise typer.BadParameter("give exactly one of --config and --job-dir")
    chosen = config or job_dir
    assert chosen is not None
    if not chosen.exists() or (job_dir is not None and not chosen.is_dir()) or (config is not None and chosen.is_dir()):
        what = "folder" if job_dir is not None else "file"
        raise ConfigError([Problem(f"there is no such {what}", Mark(str(chosen)))])
    return find_jobs([str(chosen)])
