"""Partition expressions of a job or contract.

`region`, `year(d)`, `month(d)`, `day(d)`, `hour(t)`, `bucket(16, id)`, `truncate(4, code)`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from dativo.config.asset import Asset
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.types import Kind
from dativo.errors import Mark, listed, nearest

Transform = Literal["identity", "year", "month", "day", "hour", "bucket", "truncate"]
INGEST_DATE = "ingest_date"

_CALL = re.compile(r"\s*([a-z]+)\s*\(\s*(?:(\d+)\s*,\s*)?([^(),]+?)\s*(?:,\s*(\d+)\s*)?\)\s*\Z", re.IGNORECASE)
_TIMES: tuple[Kind, ...] = ("timestamp", "timestamptz")
_ALLOWED: dict[str, tuple[Kind, ...]] = {
    "year": ("date", *_TIMES),
    "month": ("date", *_TIMES),
    "day": ("date", *_TIMES),
    "hour": _TIMES,
    "bucket": ("string", "uuid", "long", "decimal", "date", "time", *_TIMES, "binary", "json"),
    "truncate": ("string", "long", "decimal", "binary", "json"),
    # No doubles: pyiceberg reads their partition values as 32-bit numbers (0.1 as 0.10000000149) and then prunes wrongly.
    "identity": ("string", "uuid", "long", "decimal", "boolean", "date", "time", *_TIMES, "binary", "json"),
}


class Partition(msgspec.Struct, frozen=True):
    """One partition field: a transform of a column; `width` is a bucket count or a truncation length."""

    column: str
    transform: Transform = "identity"
    width: int = 0

    @property
    def name(self) -> str:
        """The partition field's name, as Iceberg's own writers name it."""
        suffix = {"identity": "", "bucket": "_bucket", "truncate": "_trunc"}.get(self.transform, f"_{self.transform}")
        return self.column + suffix

    def __str__(self) -> str:
        if self.transform == "identity":
            return self.column
        return f"{self.transform}({self.width}, {self.column})" if self.width else f"{self.transform}({self.column})"


def read_partitioning(texts: Node, asset: Asset, problems: Problems, field: str) -> tuple[Partition, ...]:
    """The partition fields of a list of expressions, held against the contract's columns; mistakes go to `problems`."""
    found: list[Partition] = []
    for position, node in enumerate(texts.value):
        where = f"{field}[{position}]"
        part = _read(node.text, node.mark, where, problems)
        if part is None or not _fits(part, asset, node.mark, where, problems):
            continue
        if part.name in [p.name for p in found]:
            problems.add(f"'{part}' stands twice", node.mark, where, "keep one of them")
            continue
        found.append(part)
    return tuple(found)


def _read(text: str, mark: Mark, where: str, problems: Problems) -> Partition | None:
    match = _CALL.match(text)
    if match is None:
        if "(" in text or ")" in text:
            problems.add(
                f"'{text}' is not a partition expression",
                mark,
                where,
                "write a column, or year(c), month(c), day(c), hour(c), bucket(n, c), truncate(n, c)",
            )
            return None
        return Partition(text.strip())
    transform, width = match[1].lower(), match[2] or match[4]
    if transform not in _ALLOWED:
        guess = nearest(transform, _ALLOWED)
        problems.add(
            f"'{match[1]}' is not a partition transform",
            mark,
            where,
            f"did you mean '{guess}'?" if guess else f"known: {', '.join(_ALLOWED)}",
        )
        return None
    if (transform in ("bucket", "truncate")) != bool(width) or width == "0":
        problems.add(
            f"'{text}': {transform} takes {'a width and a column' if not width or width == '0' else 'a column only'}",
            mark,
            where,
            f"as `{transform}({'16, ' if transform in ('bucket', 'truncate') else ''}{match[3]})`",
        )
        return None
    return Partition(match[3].strip(), transform, int(width or 0))  # type: ignore[arg-type]


def _fits(part: Partition, asset: Asset, mark: Mark, where: str, problems: Problems) -> bool:
    column = asset.field(part.column)
    if column is None:
        if part.column == INGEST_DATE and part.transform in ("identity", "year", "month", "day"):
            return True
        names = [f.name for f in asset.fields]
        guess = nearest(part.column, names)
        hint = f"did you mean '{guess}'?   " if guess else ""
        problems.add(
            f"'{part.column}' is not a column of asset {asset.label}", mark, where, f"{hint}columns: {listed(names)}"
        )
        return False
    if column.kind not in _ALLOWED[part.transform]:
        problems.add(
            f"{part.transform} cannot partition '{part.column}' of type {column.type_text()}",
            mark,
            where,
            f"it takes {', '.join(_ALLOWED[part.transform])}",
        )
        return False
    return True
