"""The chart of the figures: horizontal bars as SVG, on a card of its own that is light or dark as the viewer asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from benchmarks.measure import Measured

GROUPS = ("load", "dedup", "append", "rejects")
WIDTH = 840
_MARGIN, _LABELS, _FIGURES = 28, 232, 150
_BAR, _STEP = 18, 27
_TITLE, _GROUP_HEAD, _GROUP_GAP = 84, 32, 16
_STYLE = """
  text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1f2328; }
  .card { fill: #ffffff; stroke: #d1d9e0; }
  .title { font-size: 19px; font-weight: 600; }
  .head { font-size: 14px; font-weight: 600; }
  .label, .figure { font-size: 13px; }
  .quiet { font-size: 12px; fill: #59636e; }
  .own { fill: #0b6bcb; }
  .other { fill: #aab4bf; }
  .bold { font-weight: 600; }
  .track { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .card { fill: #161b22; stroke: #3d444d; }
    .quiet { fill: #9198a1; }
    .own { fill: #4493f8; }
    .other { fill: #59636e; }
    .track { stroke: #3d444d; }
  }
"""


def draw(document: Mapping[str, Any], results: Mapping[str, Mapping[str, Measured]], titles: Mapping[str, str]) -> str:
    """The chart of one size; `results` are its figures, `titles` what the scenarios are called."""
    groups = [g for g in GROUPS if g in results]
    body: list[str] = []
    y = _TITLE
    for name in groups:
        y += _GROUP_HEAD
        body.append(_text(_MARGIN, y - 10, titles[name], "head"))
        body += _bars(results[name], y)
        y += _STEP * len(results[name]) + _GROUP_GAP
    height = y + 52
    head = f"{document['rows']:,} rows x 12 columns, {file_size(document['bytes'])} of CSV"
    note = (
        f"Whole processes from start to end, median of {document['repeat']}: shorter is better. "
        "Bars are to scale within a group; memory is the peak."
    )
    caveat = "dativo alone checks a contract and commits a table; the others write files."
    if "dlt_iceberg" in results.get("load", {}):
        caveat = "dativo alone checks a contract; it and dlt to Iceberg commit a table, the others write files."
    if document["size"] == "small":
        caveat = "At this size most of the time is starting up. " + caveat
    machine = document["machine"]
    foot = f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}; {document['date']}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(head, quote=True)}: seconds and memory of dativo and others">',
            f"<style>{_STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
            _text(_MARGIN, 38, head, "title"),
            _text(_MARGIN, 60, note, "quiet"),
            *body,
            _text(_MARGIN, height - 36, caveat, "quiet"),
            _text(_MARGIN, height - 18, foot, "quiet"),
            "</svg>\n",
        ]
    )


def _bars(contenders: Mapping[str, Measured], top: float) -> Iterator[str]:
    """One bar a contender, the longest over the whole width; dativo's is coloured."""
    longest = max(m.seconds for m in contenders.values())
    left, room = _MARGIN + _LABELS, WIDTH - 2 * _MARGIN - _LABELS - _FIGURES
    height = _STEP * len(contenders) - (_STEP - _BAR) + 4
    yield f'<line class="track" x1="{left - 0.5}" x2="{left - 0.5}" y1="{top - 2}" y2="{top - 2 + height}"/>'
    for number, (key, measured) in enumerate(contenders.items()):
        y = top + number * _STEP
        width = max(2.0, room * measured.seconds / longest)
        own = key == "dativo"
        bold = " bold" if own else ""
        figure = f"{seconds(measured.seconds)}  ·  {memory(measured.memory)}"
        yield _text(left - 12, y + 14, measured.label, f"label{bold}", anchor="end")
        yield f'<rect class="{"own" if own else "other"}" x="{left}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3"/>'
        yield _text(left + width + 9, y + 14, figure, f"figure{bold}")


def _text(x: float, y: float, text: str, style: str, *, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def seconds(value: float) -> str:
    """Seconds as people read them: milliseconds below one."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def file_size(value: float) -> str:
    """Bytes as the sizes of files are told."""
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def memory(value: float) -> str:
    """Bytes in MiB."""
    return f"{value / (1 << 20):,.0f} MiB"
