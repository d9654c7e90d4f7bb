"""Names that no column can have here, whatever a file calls its columns."""

from __future__ import annotations

from collections.abc import Iterable

from dativo.errors import listed


def usable(name: str) -> bool:
    """Whether a column can be called so: not one of dativo's own names, not blank, and not a pattern to Polars."""
    own = name.startswith("__dativo_")
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return not own and not pattern and bool(name.strip())


def left_out(names: Iterable[str]) -> str:
    """A note about columns that were left out for their names, empty when there are none."""
    found = [f"'{name}'" for name in dict.fromkeys(names)]
    if not found:
        return ""
    noun = "a name that no column can have, and was" if len(found) == 1 else "names that no column can have, and were"
    return f"{listed(found)} {'has' if len(found) == 1 else 'have'} {noun} left out"
