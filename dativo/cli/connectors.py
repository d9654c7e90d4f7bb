"""`dativo connectors`: what dativo can connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dativo.cli.choices import AsJson, command

if TYPE_CHECKING:
    from dativo import ConnectorOffer

app = command()

WIDE = 100


@app.command()
def connectors(as_json: AsJson = False) -> None:
    """List the registry's connectors and which of them this version runs."""
    from dativo import list_connectors
    from dativo.cli.console import out, print_json, table

    found = list_connectors()
    if as_json:
        print_json({"version": 1, "connectors": found})
        return
    console = out()
    wide = console.width >= WIDE
    headings = ("connector", "as source", "as target", *(("incremental by",) if wide else ()), "description")
    made = table(*headings, whole=headings[:-1])
    for c in found:
        by = (c.incremental or "–",) if wide else ()
        made.add_row(c.name, _shown(c, c.source), _shown(c, c.target), *by, c.description)
    console.print(made)
    needy = [c for c in found if c.missing]
    if needy:
        console.print()
    for c in needy:
        console.print(f"{c.name} needs {', '.join(c.missing)}: pip install '{c.extra}'")


def _shown(offer: ConnectorOffer, role: str) -> str:
    return "needs install" if role == "ready" and offer.missing else role or "–"
