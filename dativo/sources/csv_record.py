"""One CSV record, read with care: the rules of RFC 4180, and what is wrong where they are broken.

A field that starts with a quote ends at the next quote that is not doubled, and after it comes a delimiter or the
record's end. A quote inside a field that does not start with one is just a character. Line breaks inside quotes belong
to the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache


@dataclass(slots=True, frozen=True)
class Dialect:
    """Delimiter (one character) and quote character (None: no quoting) of the text being read."""

    delimiter: str
    quote: str | None


@dataclass(slots=True)
class Record:
    """A record's fields; `fault` tells what is wrong with it, `open` that a quoted field does not end in the text.

    A field that is empty without quotes is None: nothing was written there.
    """

    fields: list[str | None]
    fault: str = ""
    open: bool = False


def read_record(text: str, dialect: Dialect) -> Record:
    """The fields of one record, its line break taken away."""
    if dialect.quote is None or dialect.quote not in text:
        return Record([f or None for f in text.split(dialect.delimiter)])
    quoted, plain = _patterns(dialect)
    fields: list[str | None] = []
    position, fault = 0, ""
    while True:
        if text.startswith(dialect.quote, position):
            match = quoted.match(text, position)
            if match is None:
                return Record([*fields, text[position + 1 :]], "unclosed_quote: a quoted field does not end", open=True)
            fields.append(match[1].replace(dialect.quote * 2, dialect.quote))
            if match.end() < len(text) and not text.startswith(dialect.delimiter, match.end()):
                fault = "quote: text follows a closing quote"
                tail = plain.match(text, match.end())
                assert tail is not None
                fields[-1] = f"{fields[-1]}{tail[0]}"
                position = tail.end()
            else:
                position = match.end()
        else:
            match = plain.match(text, position)
            assert match is not None
            fields.append(match[0] or None)
            position = match.end()
        if position >= len(text):
            return Record(fields, fault)
        position += len(dialect.delimiter)


@cache
def _patterns(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str]]:
    assert dialect.quote is not None
    q, d = re.escape(dialect.quote), re.escape(dialect.delimiter)
    # Possessive and atomic: a field of megabytes is read once, not tried again from every place.
    return re.compile(f"{q}((?:[^{q}]++|{q}{q})*+){q}", re.DOTALL), re.compile(f"[^{d}]*+", re.DOTALL)


def canonical_pattern(dialect: Dialect, columns: int) -> str:
    """A regular expression (RE2) of a record of `columns` fields that every CSV reader reads alike."""
    d = re.escape(dialect.delimiter)
    if dialect.quote is None:
        return f"^[^{d}]*(?:{d}[^{d}]*){{{columns - 1}}}$"
    q = re.escape(dialect.quote)
    field = f'(?:{q}(?:[^{q}]|{q}{q})*{q}|[^{q}{d}]*)'
    return f"^{field}(?:{d}{field}){{{columns - 1}}}$" if columns > 1 else f"^{field}$"
