"""`dativo check`: whether a job could run now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dativo.cli.choices import AsJson, Mode, SecretManager, SecretManagerConfig, SecretsDir, command

if TYPE_CHECKING:
    from dativo import Checked, Finding

app = command()


@app.command()
def check(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="A job: its file, or its name below jobs/.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same, as a file.")] = None,
    mode: Mode = None,
    secrets_dir: SecretsDir = None,
    secret_manager: SecretManager = None,
    secret_manager_config: SecretManagerConfig = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show where every setting came from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check environment, secrets, source and target of a job, and show the remedy of what is wrong. Nothing is loaded.

    Exit code 0: the job could run; 2: something is to be done.
    """
    from dativo import check as examine
    from dativo import find_jobs, load_job
    from dativo import secret_manager as chosen
    from dativo.cli.masking import remember

    if (job is None) == (config is None):
        raise typer.BadParameter("give a job, or --config with its file")
    manager = chosen(name=secret_manager, config=secret_manager_config, folder=secrets_dir)
    path = find_jobs([job])[0] if job is not None else find_jobs([str(config)], only="file")[0]
    loaded = load_job(path, mode=mode, manager=manager)
    remember(loaded)
    found = examine(loaded)
    if as_json:
        _json(found)
    else:
        _text(found)
        if verbose:
            _origins(loaded)
    raise typer.Exit(0 if found.ok else 2)


_MARKS = {"ok": "✓", "note": "·", "warning": "!", "failed": "✗"}


def _text(found: Checked) -> None:
    """A line each, the remedies below; what is not well again as a count at the end."""
    from dativo.cli.console import out, plural

    console = out()
    console.print(f"{found.job} · tenant {found.tenant_id}")
    width = max((len(_label(f)) for f in found.findings), default=0)
    for finding in found.findings:
        named = finding.side != "job" and finding.name != finding.side
        message = f"{finding.name}: {finding.message}" if named else finding.message
        console.print(f"{_MARKS[finding.status]} {_label(finding):<{width}}  {message}")
        if finding.status in ("failed", "warning"):
            for line in finding.hint.splitlines():
                console.print(f"  {'':<{width}}  {line}")
    failed = sum(f.status == "failed" for f in found.findings)
    console.print(f"{plural(failed, 'thing')} to mend" if failed else f"all is well ({found.seconds:.2f} s)")


def _label(finding: Finding) -> str:
    return finding.name if finding.side == "job" else finding.side


def _origins(job: Any) -> None:
    from dativo.cli.console import out, table

    made = table("", "setting", "value", "from")
    for role, connection in job.connections.items():
        for name, setting in connection.settings.items():
            made.add_row(role, name, "****" if setting.secret else setting.value, setting.origin)
        for name in connection.looked:
            made.add_row(role, name, "", connection.origin(name))
    if made.row_count:
        out().print()
        out().print(made)


def _json(found: Checked) -> None:
    from dativo.cli.console import print_json

    print_json(
        {
            "version": 1,
            "job": found.job,
            "tenant_id": found.tenant_id,
            "ok": found.ok,
            "source": _side(found.of("source")),
            "target": _side(found.of("target")),
            "checks": found.findings,
        }
    )


def _side(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """One side as other programs read it: its status, its first failure, all that was looked at."""
    bad = next((f for f in findings if f.status == "failed"), None)
    told = [f for f in findings if f.status != "note"]
    status = "failed" if bad is not None else "success" if told else "skipped"
    answer: dict[str, Any] = {"status": status}
    if bad is not None:
        answer |= {"message": bad.message, "error_code": bad.code, "retryable": bad.retryable}
    else:
        answer["message"] = "; ".join(f"{f.name}: {f.message}" for f in findings) or "nothing to check"
    answer["details"] = {
        "checks": [{"name": f.name, "status": f.status, "message": f.message, "hint": f.hint} for f in findings]
    }
    return answer
