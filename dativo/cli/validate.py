"""`dativo validate`: every mistake in the configuration at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dativo.cli.choices import AsJson, Mode, command
from dativo.cli.masking import masked

if TYPE_CHECKING:
    from dativo import Problem, Validation

app = command()


@app.command()
def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or folders; the whole project by default.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    format: Annotated[
        Literal["text", "github"], typer.Option("--format", help="github: annotations for GitHub Actions.")
    ] = "text",
    policy: Annotated[Path | None, typer.Option("--policy", help="Hold the contracts against this policy.")] = None,
    strict_governance: Annotated[
        bool, typer.Option("--strict-governance", help="Missing owner or compliance is an error.")
    ] = False,
    mode: Mode = None,
    as_json: AsJson = False,
) -> None:
    """Find every mistake in jobs, contracts, recipes, registry, runner and policy, each with file, line and remedy.

    Exit code 0: no mistake; 2: at least one.
    """
    from dativo import validate as check

    found = check(
        [str(p) for p in paths or []], strict=strict, mode=mode, policy=policy, strict_governance=strict_governance
    )
    if as_json:
        _json(found)
    elif format == "github":
        _github(found)
    else:
        _text(found)
    raise typer.Exit(0 if found.ok else 2)


def _text(found: Validation) -> None:
    from dativo.cli.console import plural, safe

    for problem in found.problems:
        sys.stdout.write(safe(masked(problem.render())) + "\n")
    kinds = ", ".join(plural(n, k) for k, n in found.kinds.items())
    counts = (
        f"{plural(found.errors, 'error')}, {plural(found.warnings, 'warning')}" if found.problems else "no mistakes"
    )
    sys.stdout.write(f"{kinds}: {counts}\n")


def _github(found: Validation) -> None:
    """Workflow commands of GitHub Actions: `::error file=…,line=…,col=…::message`."""
    for p in found.problems:
        severity = "error" if found.strict else p.severity
        place = f" file={_property(p.mark.file)},line={p.mark.line or 1},col={p.mark.column or 1}" if p.mark else ""
        text = "\n".join(t for t in (f"{p.field}: {p.message}" if p.field else p.message, p.hint) if t)
        sys.stdout.write(f"::{severity}{place}::{_escaped(masked(text))}\n")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _json(found: Validation) -> None:
    from dativo.cli.console import print_json

    print_json(
        {
            "version": 1,
            "ok": found.ok,
            "errors": found.errors,
            "warnings": found.warnings,
            "files": found.kinds,
            "problems": [_as_dict(p) for p in found.problems],
        }
    )


def _as_dict(problem: Problem) -> dict[str, object]:
    mark = problem.mark
    return {
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "field": problem.field,
        "file": mark.file if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
        "hint": problem.hint,
    }
