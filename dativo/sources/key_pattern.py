"""Globs over the keys of an object store: as in paths, `*` stays within a folder and `**` reaches below it."""

from __future__ import annotations

import glob
import re

_NOT_HIDDEN = r"(?!\.)"


def fixed_part(pattern: str) -> str:
    """The text before the first character that stands for others: every key that matches begins with it."""
    found = re.search(r"[*?\[]", pattern)
    return pattern if found is None else pattern[: found.start()]


def has_magic(text: str) -> bool:
    return glob.has_magic(text)


def expression(pattern: str) -> re.Pattern[str]:
    """What matches the keys that a pattern stands for; names that begin with a dot only where the pattern does so."""
    parts = pattern.split("/")
    text = ""
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            text += rf"(?:{_NOT_HIDDEN}[^/]+/)*" + (rf"{_NOT_HIDDEN}[^/]+" if last else "")
        else:
            text += _segment(part) + ("" if last else "/")
    return re.compile(rf"{text}\Z", re.DOTALL)


def _segment(part: str) -> str:
    out = _NOT_HIDDEN if part[:1] in ("*", "?", "[") else ""
    position = 0
    while position < len(part):
        character = part[position]
        position += 1
        end = part.find("]", position + 1 + part.startswith("!", position)) if character == "[" else -1
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif end > 0:
            inside = part[position:end].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out += f"[^{inside[1:]}/]" if inside.startswith("!") else f"[{inside}]"
            position = end + 1
        else:
            out += re.escape(character)
    return out
