"""Drafts of data contracts: what a source says of a stream, written so that a person can read, mend and use it.

A draft is a valid contract. What was guessed in it says so, at its place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from dativo.config.asset import Field
from dativo.config.column_names import usable
from dativo.privacy.guess import GUESSED, Guess, guess
from dativo.sources.discovery import FoundColumn, FoundStream

# Types as contracts write them, where the kind has another name or none of its own.
_WRITTEN = {"long": "integer", "json": "object", "uuid": "string", "struct": "object", "list": "array"}
_RULES = ("minimum", "maximum", "min_length", "max_length")
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "infinity"))


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft: the contract's text, its name, the guesses by column, and the columns that it leaves out."""

    name: str
    text: str
    columns: int
    guesses: dict[str, Guess]
    left_out: tuple[str, ...]


def draft(source_type: str, stream: FoundStream, samples: Mapping[str, Sequence[str]], name: str = "") -> Draft:
    """The contract of a stream with its types, keys and comments, called `name` (by default like the stream's object).

    `samples` has some values of columns, by which is guessed what they hold.
    """
    name = name or slug(stream.object)
    columns = [c for c in stream.columns if usable(c.name)]
    left_out = tuple(c.name for c in stream.columns if not usable(c.name))
    guesses = {
        c.name: found for c in columns if (found := guess(c.name, c.field.kind, samples.get(c.name, ()), stream.name))
    }
    lines = [*_head(source_type, stream, name, bool(guesses)), "schema:"]
    for column, called in zip(columns, _names([c.name for c in columns]), strict=True):
        lines += _column(stream, column, called, guesses.get(column.name))
    lines += [f"  # left out, for no column can be called so: {written(column)}" for column in left_out]
    return Draft(
        name=name,
        text="\n".join(lines) + "\n",
        columns=len(columns),
        guesses=guesses,
        left_out=left_out,
    )


def _head(source_type: str, stream: FoundStream, name: str, guesses: bool) -> Iterator[str]:
    yield f"# A draft, made by `dativo discover` from the {stream.kind} {_comment(stream.name)}. Read it before you use it."
    if guesses:
        yield f"# Classes are guesses where the tag {GUESSED} stands: check each, then take the tag away."
    if stream.cursors:
        found = ", ".join(map(_comment, stream.cursors))
        yield f"# By these columns it could be loaded incrementally (`incremental.cursor_field` of the job): {found}"
    yield "apiVersion: v3.0.2"
    yield "kind: DataContract"
    yield f"name: {written(name)}"
    yield 'version: "1.0"'
    yield "status: draft"
    if stream.comment:
        yield "description:"
        yield f"  purpose: {written(stream.comment)}"
    yield f"source_type: {written(source_type)}"
    yield f"object: {written(stream.object)}"
    yield "# Who answers for the data is to be named before the contract is active:"
    yield "# team: {owner: you@example.com}"


def _column(stream: FoundStream, column: FoundColumn, name: str, guessed: Guess | None) -> Iterator[str]:
    field = column.field
    note = f"  # {_comment(column.native)}" if column.native != _type(field) else ""
    if not column.lossless:
        note += f", which no {_type(field)} holds in all its values" if field.kind != "string" else ", read as text"
    yield f"  - name: {written(name)}"
    if name != column.name:
        yield f"    physicalName: {written(column.name)}"
    lines = list(_typed(field, 4))
    yield lines[0] + note
    yield from lines[1:]
    if column.name in stream.key:
        yield "    primary_key: true"
    if column.name in stream.key or not column.nullable:
        yield "    required: true"
    if (column.name,) in stream.unique and stream.key != (column.name,):
        yield "    unique: true"
    for rule in _RULES:
        value = getattr(field, rule)
        if value is not None:
            yield f"    {rule}: {value if isinstance(value, int | float) else written(str(value))}"
    if column.comment:
        yield f"    description: {written(column.comment)}"
    if guessed is not None:
        yield f"    classification: {guessed.classification}  # a guess: {guessed.what}, by {guessed.reason}"
        yield f"    tags: [{GUESSED}]"


def _typed(field: Field, indent: int) -> Iterator[str]:
    """The lines of a field's type and of what is inside it."""
    space = " " * indent
    yield f"{space}type: {_type(field)}"
    if field.kind == "uuid":
        yield f"{space}physicalType: uuid"
    if field.kind == "struct":
        yield f"{space}properties:"
        for inner in field.fields:
            yield f"{space}  - name: {written(inner.name)}"
            yield from _typed(inner, indent + 4)
    if field.kind == "list" and field.item is not None:
        yield f"{space}items:"
        yield from _typed(field.item, indent + 2)


def _type(field: Field) -> str:
    return _WRITTEN.get(field.kind) or field.type_text()


def slug(name: str) -> str:
    """A name that a table and a file can have: letters, digits and `_`, lower case."""
    plain = unicodedata.normalize("NFKC", name)
    bare = re.sub(r"\W+", "_", plain).strip("_").lower()
    return bare or "stream_" + "_".join(f"{ord(c):x}" for c in name[:8])


def _names(columns: Sequence[str]) -> Iterator[str]:
    """The table's columns: those of the source, where they tell them apart without letter case and have no odd signs."""
    taken: set[str] = set()
    for column in columns:
        name = column if re.fullmatch(r"[^\W\d]\w*", column) else re.sub(r"\W+", "_", column).strip("_")
        name = name if name and not name[0].isdigit() else f"c_{name}"
        found, number = name, 2
        while found.casefold() in taken:
            found, number = f"{name}_{number}", number + 1
        taken.add(found.casefold())
        yield found


def written(text: str) -> str:
    """A text as YAML: bare where nothing in it means anything to YAML, else between quotes."""
    if re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII) and text.lower() not in _RESERVED:
        return text
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    if character in ('"', "\\"):
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _comment(text: str) -> str:
    """A text for a comment: one line of what can be printed."""
    return "".join(c if c.isprintable() else " " for c in text)
