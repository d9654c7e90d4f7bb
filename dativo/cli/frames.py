"""Frames on a terminal or a page: as many columns as fit, masked ones marked."""

from __future__ import annotations

import html
import json
from collections.abc import Collection
from datetime import datetime, time
from typing import TYPE_CHECKING

from dativo.cli.console import cell, safe, table

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

LONGEST = 32


def print_frame(console: Console, frame: pl.DataFrame, masked: Collection[str] = ()) -> None:
    """A frame as a table; columns that the terminal has no room for are counted below it."""
    names = frame.columns
    rows = _texts(frame)
    widths = [min(max([len(n) + (n in masked), *(len(r[i]) for r in rows)]), LONGEST) + 2 for i, n in enumerate(names)]
    fitting = 0
    room = console.width
    while fitting < len(names) and widths[fitting] <= room:
        room -= widths[fitting]
        fitting += 1
    shown = names[: max(fitting, 1)]
    numbers = [n for n in shown if frame.schema[n].is_numeric()]
    made = table(
        *(f"{n}*" if n in masked else n for n in shown), right=[f"{n}*" if n in masked else n for n in numbers]
    )
    for row in rows:
        made.add_row(*row[: len(shown)])
    console.print(made)
    if len(shown) < len(names):
        left = ", ".join(names[len(shown) :])
        more = len(names) - len(shown)
        console.print(f"… {more} more column{'s' if more > 1 else ''}: {cell(left, max(console.width - 24, 20))}")


def _texts(frame: pl.DataFrame) -> list[list[str]]:
    return [["" if v is None else cell(cell_text(v), LONGEST) for v in row] for row in frame.iter_rows()]


def cell_text(value: object) -> str:
    """A value as exports write it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    return str(value)


def page(title: str, parts: list[tuple[str, pl.DataFrame]], masked: Collection[str]) -> str:
    """A whole HTML page with a table for each frame, readable in light and dark, without scripts."""
    body = "".join(f"<h2>{html.escape(name)}</h2>{_html_table(frame, masked)}" for name, frame in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(safe(title))}</title><style>{_STYLE}</style></head><body><h1>{html.escape(safe(title))}</h1>{body}"
        "</body></html>\n"
    )


def _html_table(frame: pl.DataFrame, masked: Collection[str]) -> str:
    if not frame.height:
        return "<p>none</p>"
    head = "".join(
        f'<th class="{"masked" if n in masked else ""}">{html.escape(safe(n))}<small>{html.escape(str(t))}</small></th>'
        for n, t in frame.schema.items()
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{'<i>null</i>' if v is None else html.escape(safe(cell_text(v)))}</td>" for v in row)
        + "</tr>"
        for row in frame.iter_rows()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


_STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.4 system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse}th,td{padding:.3rem .6rem;border-bottom:1px solid #8884;text-align:left;"
    "white-space:nowrap;vertical-align:top}th small{display:block;font-weight:400;opacity:.6}"
    ".masked::after{content:' masked';font-weight:400;font-size:.8em;opacity:.6}.wide{overflow-x:auto}i{opacity:.5}"
)
