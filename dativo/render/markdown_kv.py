"""Rows as Markdown-KV: one document a row, front matter and `key:: value` lines, made for language models.

    ---
    doc_id: "17"
    markdown_kv: 1
    ---

    name:: Ada Lovelace
    born:: 1815-12-10

A null leaves its pair out. A value that a reader could take for something else (empty, with white space around it, with
control characters, quoted, or of several lines that look like pairs) is written as a JSON string; other texts of several
lines are indented by two spaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from dativo.config.asset import Asset, Field
from dativo.contract.written import as_json, written

FRONT = ("title", "id", "doc_id")
IDENTITIES = (
    "businessentityid",
    "productid",
    "customerid",
    "salesorderid",
    "addressid",
    "productcategoryid",
    "id",
    "doc_id",
)

# In a key: colons and control characters, the encoding's own sign, and what a line of Markdown may begin or end with.
_MARKS = re.compile(r"[%:\x00-\x1f\x7f-\x9f\u2028\u2029]|^[\s#>*+`-]|[\s*]$")
# What YAML does not take as it is, or what some readers take for the end of a line.
_ODD = [*map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff"]
# What cannot stand as it is: nothing, outer white space, control characters, a quote first, and of several lines those
# that are blank, indented or hold the mark of a pair.
_AMBIGUOUS = r'(?s)^$|^\s|\s$|^"|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\n\s|\n\n|\n.*::|\n#|\n-'


def document(columns: Sequence[Field], asset: Asset) -> pl.Expr:
    """Each row's document, without a line break at its end."""
    front = [f for f in columns if f.name in FRONT]
    identity = doc_id(columns, asset)
    lines = [pl.lit("---\n"), *_front_lines(front, identity), pl.lit("---\n")]
    pairs = [_pair(f) for f in columns if f.name not in FRONT]
    body = pl.concat_str(pairs, ignore_nulls=True) if pairs else pl.lit("")
    text = pl.concat_str([*lines, pl.lit("\n"), body], ignore_nulls=True)
    return text.str.strip_chars_end("\n").alias("document")


def doc_id(columns: Sequence[Field], asset: Asset) -> pl.Expr:
    """A row's identity: its `doc_id`, the contract's key, a well-known name, the first required column, a hash of it all."""
    by_name = {f.name: f for f in columns}
    key = [by_name[n] for n in asset.key if n in by_name]
    if "doc_id" in by_name:
        key = [by_name["doc_id"]]
    if not key:
        known = next((by_name[n] for n in IDENTITIES if n in by_name), None)
        required = next((f for f in columns if f.required), None)
        chosen = known or required
        key = [chosen] if chosen is not None else []
    whole = pl.concat_str([written(f, pl.col(f.name)).fill_null("") for f in columns], separator="\x1f")
    hashed = whole.hash(seed=0).cast(pl.String)
    if not key:
        return hashed
    return pl.coalesce(pl.concat_str([written(f, pl.col(f.name)) for f in key], separator="-"), hashed)


def _front_lines(front: Sequence[Field], identity: pl.Expr) -> list[pl.Expr]:
    """`name: value` lines in the order of their names; texts are JSON strings, which YAML reads as they are."""
    entries: dict[str, pl.Expr] = {"doc_id": _quoted(identity), "markdown_kv": pl.lit("1")}
    for field in front:
        if field.name != "doc_id":
            text = written(field, pl.col(field.name))
            bare = field.kind in ("long", "boolean")
            entries[field.name] = text if bare else pl.when(text.is_not_null()).then(_quoted(text))
    return [_line(f"{name}: ", entries[name]) for name in sorted(entries)]


def _line(prefix: str, value: pl.Expr) -> pl.Expr:
    return pl.concat_str([pl.lit(prefix), value, pl.lit("\n")])


def _pair(field: Field) -> pl.Expr:
    text = written(field, pl.col(field.name))
    if field.kind in ("string", "json"):
        indented = text.str.replace_all("\n", "\n  ", literal=True)
        text = pl.when(text.str.contains(_AMBIGUOUS)).then(_quoted(text)).otherwise(indented)
    return _line(f"{_key(field.name)}:: ", text)


def _quoted(text: pl.Expr) -> pl.Expr:
    """A text as a JSON string that YAML reads as well, and that stands on one line for every reader."""
    return as_json(text).str.replace_many(_ODD, [f"\\u{ord(c):04x}" for c in _ODD])


def _key(name: str) -> str:
    """A column's name as a key: what would end it, or be taken for a heading or a bullet, is percent-encoded."""
    return _MARKS.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name)
