"""Drawing: tables, sizes and numbers as a person reads them. Data goes to standard output, everything else to error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dativo.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def out() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console(markup=False, highlight=False, soft_wrap=False)


def err() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def say(text: str = "") -> None:
    """A line for the person, on standard error."""
    sys.stderr.write(f"{safe(text)}\n")


def show_problems(problems: Iterable[Problem]) -> None:
    """Problems as text on standard error."""
    for problem in problems:
        say(problem.render())


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    import msgspec

    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(f"{text}\n")


def safe(text: object) -> str:
    """Text without characters that would move the cursor, colour the terminal or turn the line around."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", str(text))


def cell(value: object, longest: int = 60) -> str:
    """A value for a table: one line, not too long."""
    text = safe(value).replace("\n", "⏎").replace("\t", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def size(count: int) -> str:
    """Bytes as KiB, MiB, GiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def plural(count: int, word: str) -> str:
    """`1 row`, `2 rows`, `1,204 rows`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """A plain table; the columns of `right` are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title=title, title_justify="left")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made
