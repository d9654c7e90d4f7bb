"""`dativo doctor`: whether this machine and this folder are fit."""

from __future__ import annotations

import typer

from dativo.cli.choices import AsJson, command

app = command()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine and this folder. Exit code 0: all is well; 2: something is to be done."""
    from dativo import doctor as examine
    from dativo.cli.console import out, print_json, table

    found = examine()
    if as_json:
        print_json({"version": 1, "checks": found})
    else:
        console = out()
        made = table("", "check", "", "remedy")
        for check in found:
            made.add_row({True: "✓", False: "✗", None: "·"}[check.ok], check.name, check.message, check.hint)
        console.print(made)
    raise typer.Exit(2 if any(c.ok is False for c in found) else 0)
