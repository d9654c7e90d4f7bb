"""CSV read one character at a time: slow, short, and written apart from the reader that it judges."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A record: its values when it is clean, else the kind of its fault and its text."""

    fault: str | None
    values: tuple[str | None, ...] | None
    text: str | None


def read(
    data: bytes, columns: int, delimiter: str = ",", quote: str | None = '"', comment: str | None = None
) -> list[Row]:
    """Every record of UTF-8 text without a header."""
    text = data.decode(errors="surrogateescape")
    rows: list[Row] = []
    position = 0
    while position < len(text):
        line_end = text.find("\n", position)
        line_end = len(text) if line_end < 0 else line_end
        line, after = text[position:line_end].removesuffix("\r"), min(line_end + 1, len(text))
        if (not line and columns > 1) or (comment is not None and line.startswith(comment)):
            position = after
            continue
        fields, end, state = _fields(text, position, delimiter, quote)
        if state == "good":
            raw = text[position:end].removesuffix("\n").removesuffix("\r")
            fault = _fault(raw, fields, columns)
            rows.append(Row(None, tuple(fields), None) if fault is None else Row(fault, None, _shown(raw)))
            position = end
        else:
            kind = "quote" if state == "tail" and end == after else "unclosed_quote"
            rows.append(Row("encoding" if _shown(line) != line else kind, None, _shown(line)))
            position = after
    return rows


def _fields(text: str, start: int, delimiter: str, quote: str | None) -> tuple[list[str | None], int, str]:
    """The fields of the record at a place, where the next one begins, and whether it is good."""
    fields: list[str | None] = []
    position, state = start, "good"
    while True:
        value, quoted = "", quote is not None and text.startswith(quote, position)
        if quoted:
            position += 1
            while True:
                if position >= len(text):
                    return fields, len(text), "open"
                if text[position] != quote:
                    value += text[position]
                    position += 1
                elif text.startswith(quote, position + 1):
                    value += text[position]
                    position += 2
                else:
                    position += 1
                    break
        begin = position
        while position < len(text) and text[position] != "\n" and not text.startswith(delimiter, position):
            position += 1
        tail = text[begin:position]
        at_break = position >= len(text) or text[position] == "\n"
        if at_break:
            tail = tail.removesuffix("\r")
        if quoted and tail:
            state = "tail"
        fields.append(value + tail if quoted or tail else None)
        if at_break:
            return fields, min(position + 1, len(text)), state
        position += len(delimiter)


def _fault(raw: str, fields: list[str | None], columns: int) -> str | None:
    if _shown(raw) != raw:
        return "encoding"
    if len(fields) != columns:
        return "ragged"
    return "nul_byte" if any("\0" in (f or "") for f in fields) else None


def _shown(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
