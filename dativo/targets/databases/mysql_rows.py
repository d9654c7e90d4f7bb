"""Rows of a table in MySQL or MariaDB as frames: numbers as they are, all else as text, as the dialect's `selected` asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from dativo.errors import TargetError
from dativo.mysql.decode import decoded
from dativo.mysql.types import Column, Form, column_of
from dativo.mysql.wire import Block, WireColumn


def frame(block: Block, wire: Sequence[WireColumn]) -> pl.DataFrame:
    """The rows of a block. Raises TargetError for a value that no column holds, which the table cannot have from us."""
    found = decoded(block, [_column(w) for w in wire])
    if found.faults:
        raise TargetError(
            f"the table has a value that cannot be read: {min(found.faults.items())[1]}",
            hint="somebody else than dativo wrote it: correct it in the database",
        )
    return pl.DataFrame(list(found.columns.values()))


def _column(wire: WireColumn) -> Column:
    """As the source reads it where text is wanted; what has no character set is text of ASCII."""
    column = column_of(wire, "string")
    return replace(column, form=Form.TEXT, dtype=pl.String()) if column.form == Form.BYTES else column
