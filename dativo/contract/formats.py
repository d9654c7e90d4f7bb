"""Date formats (strftime, as Python and Polars write them) together with the shape of the texts that they read.

Polars fills in what a text leaves open: it reads `2024115` by `%Y%m%d` as 5 November, `60` seconds as a minute more, and
`.5` by `.%f` as five nanoseconds. So a text is only read by a format whose shape it has.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?[0-5]\d)?)"

_WHOLE = {
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "r": "%I:%M:%S %p",
    "c": "%a %b %e %H:%M:%S %Y",
    "v": "%e-%b-%Y",
    "h": "%b",
    "+": "%Y-%m-%dT%H:%M:%S%.f%#z",
}
# How many digits a directive reads: what it may do with, and what it takes where digits stand beside it.
_DIGITS = {
    **dict.fromkeys("YG", (4, 4)),
    **dict.fromkeys("yCg", (2, 2)),
    **dict.fromkeys("mdHIMSeklVUW", (1, 2)),
    "j": (1, 3),
    **dict.fromkeys("uw", (1, 1)),
}
_FRACTIONS = {
    "%f": r"\d{6}",
    "%3f": r"\d{3}",
    "%6f": r"\d{6}",
    "%9f": r"\d{6}000",
    "%.f": r"(?:\.\d{1,6}0*)?",
    "%.3f": r"\.\d{3}",
    "%.6f": r"\.\d{6}",
    "%.9f": r"\.\d{6}000",
}
_TOKEN = re.compile(r"%[-_0]?[A-Za-z+%]|%[:#]*z|%\.?[369]?f|[^%]")


class Format(NamedTuple):
    """A format as Polars takes it, the regular expression of its texts, and whether they have a time and an offset."""

    pattern: str
    shape: str
    clock: bool
    zoned: bool


@cache
def read_format(form: str) -> Format:
    """The format that a text stands for; ValueError says what is wrong with it."""
    tokens = _tokens(form)
    letters = {t[-1] for t in tokens if t.startswith("%")}
    _check(form, letters)
    shape = ""
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        shape += _shape(token, among_digits=_is_number(before) or _is_number(after))
    pattern = "".join("%#z" if t[0] == "%" and t[-1] == "z" else "%6f" if t == "%f" else t for t in tokens)
    return Format(pattern, f"^{shape}$", bool(letters & set("HIMSklsf")), "z" in letters)


def _tokens(form: str) -> list[str]:
    # A fraction of a second has as many digits as it has, whatever other libraries make of `%f`.
    form = form.replace(".%f", "%.f")
    if re.search(r"%[SfT]Z\Z|%\.[369]?fZ\Z", form):
        form = f"{form[:-1]}%#z"
    form = re.sub(r"%([FTXRDxrcvh+])", lambda m: _WHOLE[m[1]], form)
    tokens = _TOKEN.findall(form)
    if "".join(tokens) != form:
        raise ValueError(f"'{form}' has a % that begins no directive")
    return tokens


def _check(form: str, letters: set[str]) -> None:
    unknown = sorted(letters - {*_DIGITS, *"bBaApPzsfntZ%"})
    if unknown:
        raise ValueError(f"'{form}' has the unknown directive '%{unknown[0]}'")
    if "Z" in letters:
        raise ValueError(f"'{form}' reads the name of a time zone, which names no offset; use %z")
    if letters & set("Ikl") - {"k"} and not letters & set("pP"):
        raise ValueError(f"'{form}' reads an hour of twelve without %p")
    hours, minutes = bool(letters & set("HIkl")), "M" in letters
    if hours != minutes or (letters & set("Sf") and not hours):
        raise ValueError(f"'{form}' reads part of a time: it takes an hour and a minute at least")


def _is_number(token: str) -> bool:
    if token[:1] != "%":
        return token.isdigit()
    return token[-1] in _DIGITS or (token[-1] == "f" and "." not in token)


def _shape(token: str, *, among_digits: bool) -> str:
    """The regular expression of what a token reads."""
    if token[0] != "%":
        return re.escape(token)
    letter = token[-1]
    if token in _FRACTIONS:
        return _FRACTIONS[token]
    if letter in _DIGITS:
        least, most = _DIGITS[letter]
        least = most if among_digits else least
        padding = " ?" if letter in "ekl" or "_" in token else ""
        if letter == "S":
            return rf"{padding}[0-5]\d" if among_digits else rf"{padding}[0-5]?\d"
        return rf"{padding}\d{{{least},{most}}}"
    shapes = {"z": OFFSET, "s": r"-?\d{1,12}", "n": r"\n", "t": r"\t", "%": "%", "p": "(?i:am|pm)", "P": "(?i:am|pm)"}
    return shapes.get(letter, "[A-Za-z]+")
