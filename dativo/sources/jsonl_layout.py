"""What the lines of a JSON lines file look like, as a regular expression that proves that a line is read right in bulk.

Polars reads JSON in parallel and fast, but it skips keys that it was not asked for, takes one of two equal keys, and
passes every number with a fraction through a double. Lines that machines write look alike, though: the same keys in the
same order, some of them left out. So a layout is learned from some lines, and a line that matches it is proven to hold
no other key, no key twice at any depth, and no number that needs care outside the columns known for such numbers.

The expression follows every string and bracket exactly, so no key is taken for one of another object. Commas may be
missing or too many in what it takes; that is left to the JSON reader, which refuses it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dativo.sources.jsonl_record import Number

MAX_DEPTH = 12
MAX_KEYS = 2_000
# Beyond these an expression takes longer than reading line by line.
MAX_CLOSURES = 6_000
MAX_LENGTH = 400_000

_ESCAPE = (
    r'\\(?:["\\/bfnrt]|u(?:[0-9a-ceA-CEfF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_STRING = rf'"(?:[^"\\\x00-\x1f]|{_ESCAPE})*"'
# Whole numbers of up to 18 digits keep their text on the way through a 64-bit integer; `-0` does not.
_WHOLE = r"(?:0|-?[1-9][0-9]{0,17})"
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_IS_WHOLE = re.compile(_WHOLE)


@dataclass(slots=True)
class _Shape:
    """What was seen in one place: an object with these members, an array with such items, a number that needs care.

    `optional` tells of a member that some of the objects do not have.
    """

    members: dict[str, _Shape] = field(default_factory=dict)
    is_object: bool = False
    item: _Shape | None = None
    careful_numbers: bool = False
    optional: bool = False


@dataclass(slots=True, frozen=True)
class LinePattern:
    """A layout as it was at one time.

    `line` matches the lines that are proven. `keys` are their keys, and `exact` gives, for those whose values Polars
    would write differently (nested ones and numbers that need care), the expression that finds such a value's text.
    """

    line: str
    keys: tuple[str, ...]
    exact: tuple[tuple[str, str], ...]


class Layout:
    """The keys of a file's lines in order, at every depth; grows as it learns, by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shape = _Shape()
        self._pattern: LinePattern | None = None
        self._keys = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the lines themselves, in the order in which they stand there."""
        return tuple(self._shape.members)

    @property
    def pattern(self) -> LinePattern | None:
        """What proves a line; None when nothing was learned, or too much for an expression to be of use."""
        return self._pattern

    def learn(self, objects: Iterable[dict[str, Any]]) -> bool:
        """Takes in what some lines hold; whether anything of it was new."""
        with self._lock:
            grown = False
            for value in objects:
                grown |= self._take(self._shape, value, 0)
            if grown:
                small = _closures(self._shape) <= MAX_CLOSURES
                found = _pattern(self._shape) if small else None
                self._pattern = found if found is not None and len(found.line) <= MAX_LENGTH else None
            return grown

    def _take(self, shape: _Shape, value: Any, depth: int) -> bool:
        if isinstance(value, Number):
            if shape.careful_numbers or _IS_WHOLE.fullmatch(value):
                return False
            shape.careful_numbers = True
            return True
        if depth >= MAX_DEPTH:
            return False
        if isinstance(value, dict):
            return self._take_members(shape, value, depth)
        if isinstance(value, list):
            new = shape.item is None
            shape.item = item = shape.item or _Shape()
            for entry in value:
                new |= self._take(item, entry, depth + 1)
            return new
        return False

    def _take_members(self, shape: _Shape, value: dict[str, Any], depth: int) -> bool:
        """Puts each new key behind the one that stands before it in the value."""
        places = {key: place for place, key in enumerate(shape.members, 1)}
        new: dict[int, list[str]] = {}
        place = 0
        for key in value:
            if key in places:
                place = places[key]
            elif self._keys < MAX_KEYS or depth == 0:
                new.setdefault(place, []).append(key)
                self._keys += 1
        grown = bool(new) or not shape.is_object
        if new:
            kept = ["", *shape.members]
            order = (key for at, old in enumerate(kept) for key in (*([old] if at else []), *new.get(at, ())))
            shape.members = {key: shape.members.get(key) or _Shape(optional=shape.is_object) for key in order}
        for key, member in shape.members.items():
            if key in value:
                grown |= self._take(member, value[key], depth + 1)
            elif not member.optional:
                member.optional = grown = True
        shape.is_object = True
        return grown


def _closures(shape: _Shape) -> int:
    """How many places an expression for the shape may be in at once, summed up over its members.

    From a member on, any of the optional ones that follow may come next; many of them in a row overwhelm the automaton.
    """
    total = following = 0
    for member in reversed(shape.members.values()):
        total += 1 + following + _closures(member)
        following = following + 1 if member.optional else 0
    return total + (_closures(shape.item) if shape.item is not None else 0)


def _pattern(shape: _Shape) -> LinePattern:
    members = shape.members
    head = r"^ *\{ *"
    line = head + "".join(_member(k, s) for k, s in members.items()) + r"\} *$"
    inside = {name for s in members.values() for name in _names(s)}
    exact = []
    for key, own in members.items():
        alternatives = _careful(own)
        if not alternatives:
            continue
        value = rf"{_key(key)} *: *({'|'.join(alternatives)}) *[,}}]"
        # Text that looks like a key outside of strings is one, but only a letter at its start makes sure of that.
        if key[:1].isalpha() and key not in inside:
            exact.append((key, r"[{,] *" + value))
        else:
            before = list(members)[: list(members).index(key)]
            exact.append((key, head + "".join(_member(k, members[k]) for k in before) + r",? *" + value))
    return LinePattern(line, tuple(members), tuple(exact))


def _member(key: str, shape: _Shape) -> str:
    return rf"(?:,? *{_key(key)} *: *{_value(shape)} *)" + ("?" if shape.optional else "")


def _key(key: str) -> str:
    """A key between its quotes, as it stands and with everything beyond ASCII escaped."""
    spellings = dict.fromkeys(re.escape(json.dumps(key, ensure_ascii=a)[1:-1]) for a in (False, True))
    return f'"(?:{"|".join(spellings)})"'


def _value(shape: _Shape) -> str:
    plain = [_STRING, "true", "false", "null"]
    number = [] if shape.careful_numbers else [_WHOLE]
    return f"(?:{'|'.join([*plain, *number, *_careful(shape)])})"


def _careful(shape: _Shape) -> list[str]:
    """The values of a place that Polars would write differently."""
    found = [_NUMBER] if shape.careful_numbers else []
    if shape.is_object:
        found.append(r"\{ *" + "".join(_member(k, s) for k, s in shape.members.items()) + r"\}")
    if shape.item is not None:
        found.append(rf"\[ *(?:{_value(shape.item)} *(?:, *)?)*\]")
    return found


def _names(shape: _Shape) -> Iterable[str]:
    """Every key inside a value."""
    for key, inner in shape.members.items():
        yield key
        yield from _names(inner)
    if shape.item is not None:
        yield from _names(shape.item)
