"""The query of a job: one SELECT, to stand in parentheses inside another."""

from __future__ import annotations

import re

from dativo.config.resolved import Relation, ResolvedJob
from dativo.errors import SourceError
from dativo.sources.database.names import shown

_FIRST = ("select", "with", "values", "table")
# What is skipped as a whole. Nested comments are looked for in a loop of their own.
_SKIPPED = {
    "postgres": r"[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|\$(\w*)\$.*?\$\1\$",
    "mysql": r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`|#[^\n]*|--(?=\s|$)[^\n]*",
    "sqlite": r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*",
}


def one_select(job: ResolvedJob, relation: Relation, dialect: str) -> str:
    """The relation's query without a semicolon at its end; SourceError when it is not exactly one SELECT.

    Whatever it is, it runs in a transaction that can write nothing.
    """
    text = relation.sql or ""
    bare = _bare(text, dialect).rstrip()
    if bare.endswith(";"):
        text, bare = text[: len(bare) - 1], bare[:-1].rstrip()
    word = re.match(r"[\s(]*(\w+)", bare)
    why = ""
    if word is None or word[1].lower() not in _FIRST:
        why = "is not a SELECT"
    elif ";" in bare:
        why = "is more than one statement"
    elif not _closed(bare):
        why = "has a parenthesis too many or too few, or a quotation or comment without an end"
    if why:
        hint = "give one SELECT; it is read as a table is, and nothing else runs"
        raise _refused(job, f"the query '{relation.object}' {why}", hint, f"{relation.field}.sql")
    # A comment at the end of a line must not swallow the parenthesis that follows.
    return text.strip() + "\n"


def one_condition(job: ResolvedJob, relation: Relation, dialect: str) -> str:
    """The relation's filter, empty without one, to stand in parentheses; SourceError when it is not one expression."""
    if relation.where is None or not relation.where.strip():
        return ""
    bare = _bare(relation.where, dialect)
    if ";" in bare or not _closed(bare):
        what = f"the filter of {shown(relation)} is not one condition"
        raise _refused(job, what, "give what stands behind WHERE, as `country = 'DE'`", f"{relation.field}.where")
    return relation.where.strip() + "\n"


def _refused(job: ResolvedJob, message: str, hint: str, field: str) -> SourceError:
    return SourceError(message, hint=hint, mark=job.mark(field), field=field)


def _bare(text: str, dialect: str) -> str:
    """The text with blanks in the place of quotations and comments, each character where it was."""
    skipped = re.compile(_SKIPPED[dialect], re.DOTALL)
    out, at = [], 0
    while at < len(text):
        if text.startswith("/*", at):
            end = _comment_end(text, at, nested=dialect == "postgres")
        else:
            found = skipped.match(text, at)
            end = found.end() if found else None
        if end is None:
            out.append(text[at])
            at += 1
        else:
            out.append(" " * (end - at))
            at = end
    return "".join(out)


def _comment_end(text: str, at: int, *, nested: bool) -> int | None:
    """Where the comment ends that begins there; None when it has no end."""
    depth = 0
    for found in re.finditer(r"/\*|\*/", text[at:]):
        if found[0] == "*/":
            depth -= 1
        elif nested or depth == 0:
            depth += 1
        if depth == 0:
            return at + found.end()
    return None


def _closed(bare: str) -> bool:
    """Whether parentheses match and no quotation or comment is left open."""
    if any(mark in bare for mark in ("'", '"', "`", "/*")):
        return False
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
