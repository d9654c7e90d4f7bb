"""One column of a contract in the one form the rest of the program knows."""

from __future__ import annotations

import msgspec

from dativo.config.asset_file import Bound, Scalar
from dativo.config.types import Kind
from dativo.errors import Mark


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a contract, or a field or entry inside one.

    `formats` are strftime formats; `minimum_exclusive` and `maximum_exclusive` tell whether the bound itself is out.
    """

    name: str
    kind: Kind
    source_name: str = ""
    precision: int = 0
    scale: int = 0
    item: Field | None = None
    fields: tuple[Field, ...] = ()
    required: bool = False
    primary_key: bool = False
    unique: bool = False
    classification: str | None = None
    description: str | None = None
    default: Scalar | None = None
    formats: tuple[str, ...] = ()
    null_values: tuple[str, ...] | None = None
    enum: tuple[Scalar, ...] | None = None
    pattern: str | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    minimum_exclusive: bool = False
    maximum_exclusive: bool = False
    min_length: int | None = None
    max_length: int | None = None
    mark: Mark | None = None

    def type_text(self) -> str:
        """The type as a person writes it."""
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.kind == "list" and self.item is not None:
            return f"list<{self.item.type_text()}>"
        if self.kind == "struct":
            return "struct<" + ", ".join(f"{f.name}: {f.type_text()}" for f in self.fields) + ">"
        return self.kind
