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
    from dativo.cli.running import Wishes, run_files

    files = _files(config, job_dir)
    warnings = _secret_settings(secret_manager, secrets_dir, secret_manager_config)
    wishes = Wishes(
        mode=mode,
        tenant=tenant_id,
        one_tenant=job_dir is not None,
        progress=progress,
        json_logs=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()),
        as_json=as_json,
    )
    raise typer.Exit(run_files(files, wishes, warnings))


def _secret_settings(manager: str | None, folder: Path | None, settings: str | None) -> list[str]:
    """What is to be told of the settings of secrets; UnsupportedError for a manager that is not built."""
    from dativo.errors import UnsupportedError

    if (manager or "env").lower() not in ("env", "environment"):
        raise UnsupportedError(
            f"the secret manager '{manager}' is not built yet",
            hint="leave it out: secrets come from the environment",
        )
    if folder is None and settings is None:
        return []
    return ["secrets come from the environment in this version; --secrets-dir and its settings do nothing yet"]


def _files(config: Path | None, job_dir: Path | None) -> list[Path]:
    from dativo import find_jobs

    if (config is None) == (job_dir is None):
        raise typer.BadParameter("give exactly one of --config and --job-dir")
    wanted: Literal["file", "folder"] = "file" if config is not None else "folder"
    return find_jobs([str(config or job_dir)], only=wanted)
