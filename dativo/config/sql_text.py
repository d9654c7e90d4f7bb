"""What of a job's SQL can be told without a database: whether it is one statement, and whether it only reads.

This is no parser: it knows quotes and comments, so that what stands in them is not taken for SQL.
"""

from __future__ import annotations

import re

_READS = ("select", "with", "values", "table")
# A quoted text or name, a comment, or one other character. Unfinished ones run to the end and are told by `rest`.
_POSTGRES = re.compile(
    r"""(?P<text>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | (?<!\w)\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<name>"(?:[^"]|"")*")
    | (?P<comment>--[^\n]*(?:\n|$) | /\*.*?\*/)
    | (?P<open>['"] | /\* | (?<!\w)\$\w*\$)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_MYSQL = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
    | (?P<name>`(?:[^`]|``)*`)
    | (?P<comment>(?:--(?=\s|$)|\#)[^\n]*(?:\n|$) | /\*.*?\*/)
    | (?P<open>['"`] | /\*)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_SQLITE = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\])
    | (?P<comment>--[^\n]*(?:\n|$) | /\*.*?\*/)
    | (?P<open>['"`\[] | /\*)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_LEXERS = {"postgres": _POSTGRES, "mysql": _MYSQL, "sqlite": _SQLITE}


def query_mistake(kind: str, sql: str) -> str | None:
    """Why a text cannot be a query of one statement that reads, or None. `kind` is that of the database."""
    bare, mistake = _bare(kind, sql)
    if mistake is not None:
        return mistake
    word = re.match(r"[\s(]*([a-z]+)", bare, re.IGNORECASE)
    if not bare.strip():
        return "it has no SQL"
    if word is None or word[1].lower() not in _READS:
        return f"it begins with '{word[1] if word else bare.strip()[:1]}', and only SELECT and WITH read"
    if ";" in bare:
        return "it has a ';' inside: it must be one statement"
    return None


def condition_mistake(kind: str, sql: str) -> str | None:
    """Why a text cannot be a condition, or None."""
    bare, mistake = _bare(kind, sql)
    if mistake is not None:
        return mistake
    if not bare.strip():
        return "it is empty"
    if ";" in bare:
        return "it has a ';'"
    depth = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return "it closes a parenthesis that it does not open"
    return "it does not close a parenthesis" if depth else None


def _bare(kind: str, sql: str) -> tuple[str, str | None]:
    """The SQL with a blank for every comment, text and quoted name; and what is not closed, if anything is."""
    kept = []
    for match in _LEXERS[kind].finditer(sql):
        if match["open"] is not None:
            return "", f"a {match['open']} in it is not closed"
        kept.append(match["other"] if match["other"] is not None else " " if match["comment"] else "_")
    return "".join(kept), None
