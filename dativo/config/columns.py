"""From the columns of a contract's file to its Fields, checking what types alone cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from dativo.config.asset_file import FieldEntry, FieldItem, Scalar
from dativo.config.column_names import usable
from dativo.config.field import Field
from dativo.config.literals import RULES, literal, written
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.types import DEFAULT_DECIMAL, KNOWN, TypeName, has_time, parse_type, refine, strftime_of
from dativo.errors import Mark, listed, nearest, one_slip

V = TypeVar("V")

# Look-around, atomic groups and back-references: what makes matching slow, and what RE2 leaves out for that.
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(\(\?(?:=|!|<=|<!|>)|\\[1-9]|\(\?P=\w+\))")


def read_columns(entries: Sequence[FieldEntry], schema: Node, problems: Problems) -> tuple[Field, ...] | None:
    """The columns of a contract, or None when one of them has a mistake; mistakes go to `problems`."""
    own = Problems()
    reader = _ColumnReader(own)
    fields = [
        reader.field(entry, node, f"schema[{position}]")
        for position, (entry, node) in enumerate(zip(entries, schema.value, strict=True))
    ]
    _check_distinct(fields, schema, "schema", own)
    problems.extend(own.found)
    return None if own.errors() else tuple(fields)


def _check_distinct(fields: Sequence[Field], schema: Node, path: str, problems: Problems) -> None:
    """Notes columns of one name, names that no column can have, and source columns that feed two."""
    seen: dict[str, Mark] = {}
    sources: dict[str, str] = {}
    for position, (field, node) in enumerate(zip(fields, schema.value, strict=True)):
        folded = field.name.casefold()
        mark = node.mark_of("name")
        if not usable(field.name):
            problems.add(
                f"no column can be called '{field.name}'",
                mark,
                f"{path}[{position}].name",
                "choose another name; `physicalName` is how the source calls it",
            )
        if folded in seen:
            problems.add(
                f"the column '{field.name}' stands twice",
                mark,
                f"{path}[{position}].name",
                f"it stands first in line {seen[folded].line}; letter case does not tell columns apart",
            )
        elif field.source_name in sources:
            problems.warn(
                f"'{field.name}' and '{sources[field.source_name]}' are both fed by the source column "
                f"'{field.source_name}'",
                node.mark_of("physicalName"),
                f"{path}[{position}].physicalName",
            )
        seen.setdefault(folded, mark)
        sources.setdefault(field.source_name, field.name)


def _as_meant(value: V | None, node: Node | None, field: Field) -> V | str | None:
    """A value of the contract as it is written where the column holds no flags and no whole or binary numbers.

    YAML makes `no` a flag and 1.10 a number that ends in 1; in a column of text they are `no` and `1.10`.
    """
    if value is None or node is None or not node.plain or field.kind in ("boolean", "long", "double"):
        return value
    return node.text


class _ColumnReader:
    """Reads the columns of one contract; mistakes go to `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def field(self, entry: FieldEntry, node: Node, path: str) -> Field:
        named = self.type_name(entry.type, node, path, entry.physical_type)
        formats = tuple(strftime_of(f) for f in [*([entry.format] if entry.format else []), *(entry.formats or [])])
        if named.kind == "date" and any(has_time(f) for f in formats) and entry.physical_type is None:
            named = TypeName("timestamp")
        field = self.typed(entry.name, named, entry, node, path)
        classes = entry.classification
        made = msgspec.structs.replace(
            field,
            source_name=entry.physical_name or entry.name,
            required=self.required(entry, node, path) or entry.primary_key,
            primary_key=entry.primary_key,
            unique=entry.unique,
            classification=",".join(classes) if isinstance(classes, list) else classes,
            description=entry.description,
            default=_as_meant(entry.default, node.get("default"), field),
            formats=formats,
            null_values=tuple(entry.null_values) if entry.null_values is not None else None,
            enum=self.enum(entry, node, field),
            pattern=self.pattern(entry.pattern, node, path),
            minimum=_as_meant(entry.minimum, node.get("minimum"), field),
            maximum=_as_meant(entry.maximum, node.get("maximum"), field),
            minimum_exclusive=entry.exclusive_minimum,
            maximum_exclusive=entry.exclusive_maximum,
            min_length=entry.min_length,
            max_length=entry.max_length,
            mark=node.mark,
        )
        self.check_rules(made, node, path)
        return made

    def check_rules(self, field: Field, node: Node, path: str) -> None:
        """Notes rules that are not for the column's type, and values that are not of it."""
        for rule, kinds in RULES.items():
            if getattr(field, rule) is not None and field.kind not in kinds:
                self.problems.add(
                    f"'{rule}' is no rule for a column of type {field.type_text()}",
                    node.mark_of(rule),
                    f"{path}.{rule}",
                    f"it is for {', '.join(kinds)}",
                )
        for rule, value in written(field):
            if field.kind not in RULES[rule]:
                continue
            try:
                literal(field, value)
            except ValueError as error:
                hint = f"write a value of the column's type ({field.type_text()})"
                self.problems.add(str(error), node.mark_of(rule), f"{path}.{rule}", hint)

    def enum(self, entry: FieldEntry, node: Node, field: Field) -> tuple[Scalar, ...] | None:
        """The values that are allowed, each as the column's type reads it."""
        block = node.get("enum")
        if entry.enum is None or block is None:
            return None
        pairs = zip(entry.enum, block.value, strict=True)
        meant: list[Scalar | None] = [_as_meant(value, child, field) for value, child in pairs]
        return tuple(value for value in meant if value is not None)

    def pattern(self, pattern: str | None, node: Node, path: str) -> str | None:
        """A regular expression; one that RE2 cannot run is noted."""
        found = _NOT_RE2.search(pattern) if pattern is not None else None
        if found is not None:
            self.problems.add(
                f"the pattern uses '{found[1]}', which RE2 does not know",
                node.mark_of("pattern"),
                f"{path}.pattern",
                "write it without look-around and back-references",
            )
        return pattern

    def required(self, entry: FieldEntry, node: Node, path: str) -> bool:
        """Whether null is a violation, by `required` or its inverse `nullable`."""
        if entry.required is not None and entry.nullable is not None and entry.required == entry.nullable:
            self.problems.add(
                f"'required: {str(entry.required).lower()}' and 'nullable: {str(entry.nullable).lower()}' contradict",
                node.mark_of("nullable"),
                f"{path}.nullable",
                "keep one of them",
            )
        return entry.required if entry.required is not None else entry.nullable is False

    def type_name(self, name: str, node: Node, path: str, physical: str | None) -> TypeName:
        named = parse_type(name)
        mark = node.mark_of("type")
        if named is None:
            slip = one_slip(name, KNOWN) or one_slip(name.split("(")[0], KNOWN)
            guess = slip or nearest(name, KNOWN, cutoff=0.8)
            if guess:
                self.problems.add(f"unknown type '{name}'", mark, f"{path}.type", f"did you mean '{guess}'?")
            else:
                self.problems.warn(
                    f"unknown type '{name}' is loaded as text",
                    mark,
                    f"{path}.type",
                    f"known: {listed(KNOWN, 40)}",
                    code="unknown_type",
                )
            return TypeName("string")
        return refine(named, physical)

    def typed(self, name: str, named: TypeName, entry: FieldEntry | FieldItem, node: Node, path: str) -> Field:
        """A field with its kind and what belongs to the kind."""
        if named.kind == "decimal":
            precision, scale = self.decimal(named, entry, node, path)
            return Field(name=name, kind="decimal", precision=precision, scale=scale, mark=node.mark)
        if named.kind == "list":
            item = self.item(entry.items, node.get("items") or node, f"{path}.items")
            return Field(name=name, kind="list", item=item, mark=node.mark)
        if named.kind == "struct":
            if not entry.properties:
                return Field(name=name, kind="json", mark=node.mark)
            properties = node.get("properties")
            assert properties is not None
            inner = tuple(
                self.field(child, child_node, f"{path}.properties[{i}]")
                for i, (child, child_node) in enumerate(zip(entry.properties, properties.value, strict=True))
            )
            _check_distinct(inner, properties, f"{path}.properties", self.problems)
            return Field(name=name, kind="struct", fields=inner, mark=node.mark)
        return Field(name=name, kind=named.kind, mark=node.mark)

    def decimal(self, named: TypeName, entry: FieldEntry | FieldItem, node: Node, path: str) -> tuple[int, int]:
        precision = entry.precision if entry.precision is not None else named.precision
        scale = entry.scale if entry.scale is not None else named.scale
        if precision is None:
            precision = DEFAULT_DECIMAL[0]
            scale = DEFAULT_DECIMAL[1] if scale is None else scale
        scale = scale or 0
        if not 1 <= precision <= 38 or scale > precision:
            self.problems.add(
                f"decimal({precision},{scale}) is not possible",
                node.mark_of("type"),
                f"{path}.type",
                "precision is 1 to 38, scale 0 to precision",
            )
            return DEFAULT_DECIMAL
        return precision, scale

    def item(self, items: FieldItem | str | None, node: Node, path: str) -> Field:
        if items is None:
            return Field(name="element", kind="string")
        entry = FieldItem(type=items) if isinstance(items, str) else items
        named = self.type_name(entry.type, node, path, entry.physical_type)
        return self.typed("element", named, entry, node, path)
