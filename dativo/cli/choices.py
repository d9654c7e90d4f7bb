"""Options that several commands have, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Job = Annotated[str, typer.Argument(metavar="JOB", help="A job: its file, or its name below jobs/.")]
Stream = Annotated[str | None, typer.Option("--stream", help="The stream; the job's first one by default.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="VALUE",
        help="Only rows of a database whose cursor is at VALUE or later; only files modified at VALUE or later.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="VALUE",
        help="Only rows of a database whose cursor is before VALUE; only files modified before VALUE.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ShowPii = Annotated[bool, typer.Option("--show-pii", help="Show personal values as they are.")]
Mode = Annotated[
    Literal["self_hosted", "cloud"] | None,
    typer.Option("--mode", help="Where it runs: self_hosted by default; cloud allows less."),
]
SecretsDir = Annotated[
    Path | None, typer.Option("--secrets-dir", help="Folder of secrets, one folder a tenant; /secrets, then ./secrets.")
]
SecretManager = Annotated[
    str | None, typer.Option("--secret-manager", help="Where secrets come from: env or filesystem.")
]
SecretManagerConfig = Annotated[
    str | None,
    typer.Option("--secret-manager-config", help="Settings of the secret manager: a file, or JSON itself."),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="How many jobs run at a time; they share one budget.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Begin no job after one that failed or is not valid.")]
Atomic = Annotated[
    bool, typer.Option("--atomic", help="Jobs that share catalog and branch become visible together, or not at all.")
]
KeepBranch = Annotated[bool, typer.Option("--keep-branch", help="Leave the branch of a run that was not published.")]
Progress = Annotated[
    Literal["auto", "bar", "log", "json", "none"], typer.Option("--progress", help="How progress is shown.")
]
LogFormat = Annotated[
    Literal["auto", "json", "none"],
    typer.Option(
        "--log-format", help="JSON lines on standard error, or no log; auto: JSON in `run` without a terminal."
    ),
]


def command() -> typer.Typer:
    """An application of one command, or of several below one name."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
