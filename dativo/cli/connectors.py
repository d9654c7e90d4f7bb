"""`dativo connectors`: what dativo can connect to."""

from __future__ import annotations

from dativo.cli.choices import AsJson, command

app = command()


@app.command()
def connectors(as_json: AsJson = False) -> None:
    """List the registry's connectors and which of them this version runs."""
    from dativo import list_connectors
    from dativo.cli.console import out, print_json, table

    found = list_connectors()
    if as_json:
        print_json({"version": 1, "connectors": found})
        return
    made = table("connector", "as source", "as target", "incremental by", "description")
    for c in found:
        made.add_row(c.name, c.source or "–", c.target or "–", c.incremental or "–", c.description)
    out().print(made)
