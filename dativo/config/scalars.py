"""What an unquoted scalar of YAML means.

Scalars follow YAML 1.1 as its users know it (`yes`, `on` are booleans), without the parts that surprise: `12:30` is
text, not a number in base 60, and a date is text until a field asks for a date. `1e3` is text until a number is wanted.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_BOOLEANS = {w: b for words, b in (("yes true on", True), ("no false off", False)) for w in words.split()}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?\Z")
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+\Z")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")


def resolve_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _NULLS:
        return None
    if text.lower() in _BOOLEANS and text in (text.lower(), text.upper(), text.capitalize()):
        return _BOOLEANS[text.lower()]
    try:
        if _INT.match(text):
            return int(text.replace("_", ""))
        if _HEX.match(text):
            return int(text.replace("_", ""), 16)
        if _FLOAT.match(text):
            return float(text.replace("_", ""))
    except ValueError:
        return text
    if _SPECIAL_FLOAT.match(text):
        return float(text.replace(".", "", 1))
    return text


def resolve_number(text: str) -> Scalar:
    """The value of text where a number or a flag is wanted: `1e3`, which YAML 1.1 takes for a word, is a number too."""
    return float(text) if _EXPONENT.match(text) else resolve_scalar(text)
