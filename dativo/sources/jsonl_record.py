"""One JSON line, read with care: the members of its object with the text of their values, and what is wrong with it.

Numbers, lists and objects keep the text that they have in the line, so no digit is lost. RFC 8259 is taken at its word:
`NaN`, a comma too much or a control character inside a string is no JSON. Beyond it, an object that names a key twice is
a fault at any depth, because every reader would lose one of the two values.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_SPACES = (" ", "\t", "\r", "\n")
_KINDS: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


@dataclass(slots=True)
class JsonRecord:
    """A line's members: `fields` as text (null for null), `values` decoded, with numbers as Number.

    `fault` tells what is wrong with the line; the fields are then those that could be made out.
    """

    fields: dict[str, str | None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


class RecordReader:
    """Reads lines one by one; not to be shared between threads."""

    def __init__(self) -> None:
        self.repeated: list[str] = []
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_float=Number, parse_int=Number, parse_constant=_no_number
        )

    def read(self, line: str | bytes) -> JsonRecord:
        """The record of a line without its break; bytes are a line that is not UTF-8."""
        self.repeated.clear()
        record = JsonRecord()
        text = line if isinstance(line, str) else line.decode(errors="surrogateescape")
        try:
            if isinstance(line, bytes) or not self._read_plain(line, record):
                self._read(text, record)
        except json.JSONDecodeError as error:
            record.fault = f"not_json: {error.msg} (character {error.pos + 1})"
        except RecursionError:
            record.fault = "not_json: nested too deeply"
        if self.repeated and not record.fault:
            record.fault = f"duplicate_key: '{_storable(self.repeated[0])}' stands twice in one object"
        if isinstance(line, bytes):
            record.fault = "encoding: bytes that are not UTF-8"
        elif "\0" in text:
            record.fault = "nul_byte: a NUL byte in the line"
        return record

    def _read_plain(self, text: str, record: JsonRecord) -> bool:
        """Reads a good line without nested values, which is most of them, at the speed of C; whether it was one."""
        if "\\ud" in text or "\\uD" in text:
            return False
        try:
            values = self.decoder.decode(text)
        except (json.JSONDecodeError, RecursionError):
            return False
        if self.repeated or not isinstance(values, dict):
            self.repeated.clear()
            return False
        fields: dict[str, str | None] = {}
        for key, value in values.items():
            if isinstance(value, str):
                fields[key] = str(value)
            elif value is None:
                fields[key] = None
            elif isinstance(value, bool):
                fields[key] = "true" if value else "false"
            else:
                return False
        record.fields, record.values = fields, values
        return True

    def _read(self, text: str, record: JsonRecord) -> None:
        start = _after_space(text, 0)
        if not text.startswith("{", start):
            value, end = self.decoder.raw_decode(text, start)
            if _after_space(text, end) != len(text):
                raise json.JSONDecodeError("Extra data", text, end)
            record.fault = f"not_an_object: {_KINDS.get(type(value), 'a number')}"
            return
        for key, value, raw in self._members(text, start):
            if key in record.fields:
                self.repeated.append(key)
            written = _written(value, raw)
            record.values[key] = value
            record.fields[key] = storable = None if written is None else _storable(written)
            if storable != written or _storable(key) != key:
                record.fault = "encoding: half of a surrogate pair"

    def _members(self, text: str, start: int) -> Iterator[tuple[str, Any, str]]:
        """Key, value and the value's text of each member of the object that begins at `start`."""
        position = _after_space(text, start + 1)
        if text.startswith("}", position):
            return _check_end(text, position)
        while True:
            if not text.startswith('"', position):
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, position)
            key, position = self.decoder.raw_decode(text, position)
            position = _after_space(text, position)
            if not text.startswith(":", position):
                raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
            begin = _after_space(text, position + 1)
            value, position = self.decoder.raw_decode(text, begin)
            yield key, value, text[begin:position]
            position = _after_space(text, position)
            if text.startswith("}", position):
                return _check_end(text, position)
            if not text.startswith(",", position):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
            position = _after_space(text, position + 1)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object inside a value."""
        found = dict(pairs)
        if len(found) != len(pairs):
            self.repeated += [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        return found


def _after_space(text: str, position: int) -> int:
    if text[position : position + 1] not in _SPACES:
        return position
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _check_end(text: str, position: int) -> None:
    """Nothing may follow the object's closing brace."""
    end = _after_space(text, position + 1)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _no_number(text: str) -> Any:
    raise json.JSONDecodeError(f"{text} is no JSON value", text, 0)


def _written(value: Any, raw: str) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) and not isinstance(value, Number) else raw


def _storable(text: str) -> str:
    """The text as UTF-8 can hold it: half of a surrogate pair becomes its escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text
