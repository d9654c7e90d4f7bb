"""`dativo init`: a new project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from dativo.cli.choices import command

app = command()


@app.command()
def init(
    kind: Annotated[
        Literal["skeleton", "demo"], typer.Argument(help="A small project to start from, or the demo that ships.")
    ] = "skeleton",
    folder: Annotated[Path, typer.Option("--dir", help="The folder; this one by default.")] = Path(),
) -> None:
    """Make a project: a job, a contract and a data file that can be run at once. Nothing is overwritten."""
    from dativo import init as make
    from dativo.cli.console import out
    from dativo.cli.summary import program

    console = out()
    for path in make(kind, folder):
        console.print(f"made  {path}")
    job = "employees_to_iceberg" if kind == "demo" else "people_to_iceberg"
    steps = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    steps += [f"{program()} preview {job}", f"{program()} sync{'' if kind == 'demo' else ' ' + job}"]
    console.print("\nnow:  " + "\n      ".join(steps))
