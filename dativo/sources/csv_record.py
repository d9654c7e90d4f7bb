"""One CSV record, read with care: the rules of RFC 4180, and what is wrong where they are broken.

A field that starts with a quote ends at the next quote that is not doubled, and after it comes a delimiter or the
record's end. A quote inside a field that does not start with one is just a character. Line breaks inside quotes belong
to the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

UNCLOSED = "unclosed_quote: a quoted field does not end"
TAIL = "quote: text follows a closing quote"


@dataclass(slots=True, frozen=True)
class Dialect:
    """Delimiter and quote character (None: no quoting) of the text being read.

    Records are read with any delimiter, the expressions for blocks are for one character.
    """

    delimiter: str
    quote: str | None

    def canonical(self) -> tuple[str, str]:
        """Regular expressions (RE2) of a line with quotes around whole fields only, and of such a field."""
        q, d = self._escaped()
        quoted = f"{q}(?:[^{q}]|{q}{q})*{q}"
        field = f"(?:{quoted}|[^{q}{d}]*)"
        return f"^{field}(?:{d}{field})*$", quoted

    def canonical_text(self, end: str, *, doubled: bool) -> str:
        """A regular expression (RE2) of text with quotes around whole fields only, line breaks inside them or not.

        `end` is the line break outside of quotes, `doubled` whether quotes may be doubled inside them.
        """
        q, d = self._escaped()
        field = f"{q}[^{q}]*{q}" + (f"(?:{q}[^{q}]*{q})*" if doubled else "")
        bare = f"(?:[^{q}\\r\\n]|{end})"
        limit = f"(?:{d}|{end})"
        return f"^(?:{bare}*{limit})?(?:{field}{limit}(?:{bare}*{limit})?)*$"

    def _escaped(self) -> tuple[str, str]:
        assert self.quote is not None
        return re.escape(self.quote), re.escape(self.delimiter)


@dataclass(slots=True)
class Record:
    """A record's fields; `fault` tells what is wrong with it, `open` that its last field is quoted and does not end.

    A field that is empty without quotes is None: nothing was written there. Of an open field `fields` has the text as it
    stands in the record, quotes inside still doubled.
    """

    fields: list[str | None]
    fault: str = ""
    open: bool = False


def read_record(text: str, dialect: Dialect) -> Record:
    """The fields of one record, its line break taken away."""
    if dialect.quote is None or dialect.quote not in text:
        return Record([f or None for f in text.split(dialect.delimiter)])
    record = Record([])
    _read_fields(text, 0, dialect, record)
    return record


def resume_record(record: Record, text: str, dialect: Dialect) -> int | None:
    """Goes on with an open record in a further line of it.

    Gives where in the text the open field ends, or None when it does not; the fields after it are added to the record,
    the last of which may be open in turn.
    """
    assert dialect.quote is not None
    inside, plain = _patterns(dialect)
    match = inside.match(text)
    if match is None:
        return None
    record.open = False
    position = _after_quote(text, match.end(), dialect, record, plain)
    if position is not None:
        _read_fields(text, position, dialect, record)
    return match.end() - 1


def _read_fields(text: str, start: int, dialect: Dialect, record: Record) -> None:
    """Adds the fields from a position on to the record."""
    quote = dialect.quote
    assert quote is not None
    inside, plain = _patterns(dialect)
    position: int | None = start
    while position is not None:
        if text.startswith(quote, position):
            match = inside.match(text, position + 1)
            if match is None:
                record.fields.append(text[position + 1 :])
                record.open = True
                return
            record.fields.append(match[1].replace(quote * 2, quote))
            position = _after_quote(text, match.end(), dialect, record, plain)
        else:
            match = plain.match(text, position)
            assert match is not None
            record.fields.append(match[0] or None)
            position = match.end() + len(dialect.delimiter) if match.end() < len(text) else None


def _after_quote(text: str, end: int, dialect: Dialect, record: Record, plain: re.Pattern[str]) -> int | None:
    """What follows a closing quote: a delimiter, the record's end, or text that has no place there."""
    if end < len(text) and not text.startswith(dialect.delimiter, end):
        tail = plain.match(text, end)
        assert tail is not None
        record.fault = TAIL
        record.fields[-1] = f"{record.fields[-1]}{tail[0]}"
        end = tail.end()
    return end + len(dialect.delimiter) if end < len(text) else None


@cache
def _patterns(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The rest of a quoted field with the quote that ends it, and a field without quotes."""
    assert dialect.quote is not None
    q, d = re.escape(dialect.quote), re.escape(dialect.delimiter)
    # Possessive: a field of megabytes is read once, not tried again from every place.
    plain = f"[^{d}]*+" if len(dialect.delimiter) == 1 else f"(?:(?!{d}).)*+"
    return re.compile(f"((?:[^{q}]++|{q}{q})*+){q}", re.DOTALL), re.compile(plain, re.DOTALL)
