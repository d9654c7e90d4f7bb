"""The types a contract may give a column, brought into one small set of kinds.

| kind | from | in Iceberg |
|---|---|---|
| string | string, text, varchar, char, uuid, json | string |
| uuid | `physicalType: uuid` | uuid |
| long | integer, int, bigint, long, smallint | long |
| double | float, double, number, real | double |
| decimal | decimal, numeric, `decimal(p,s)` | decimal(p, s), (38, 9) by default |
| boolean | boolean, bool | boolean |
| date, time, timestamp, timestamptz, binary | the same | the same |
| list | array, list | list |
| struct | object, struct, map with `properties` | struct |
| json | object, struct, map without `properties` | string |
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal[
    "string",
    "uuid",
    "long",
    "double",
    "decimal",
    "boolean",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "binary",
    "list",
    "struct",
    "json",
]

DEFAULT_DECIMAL = (38, 9)

_NAMES: dict[str, Kind] = {
    **dict.fromkeys(
        ("string", "text", "varchar", "char", "str", "uuid", "json", "nvarchar", "character varying"), "string"
    ),
    **dict.fromkeys(("integer", "int", "bigint", "long", "smallint", "int64", "int32", "tinyint"), "long"),
    **dict.fromkeys(("float", "double", "number", "real", "double precision", "float64", "float8"), "double"),
    **dict.fromkeys(("decimal", "numeric", "dec"), "decimal"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    "date": "date",
    "time": "time",
    **dict.fromkeys(("timestamp", "datetime", "timestamp_ntz", "timestamp without time zone"), "timestamp"),
    **dict.fromkeys(("timestamptz", "timestamp_tz", "timestamp with time zone"), "timestamptz"),
    **dict.fromkeys(("binary", "bytes", "bytea", "blob", "varbinary"), "binary"),
    **dict.fromkeys(("array", "list"), "list"),
    **dict.fromkeys(("object", "struct", "map", "record"), "struct"),
}

KNOWN = tuple(_NAMES)

_WITH_ARGUMENTS = re.compile(r"([a-z_ ]+?)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\Z")


class TypeName(NamedTuple):
    """A type as it was named: its kind, and precision and scale where the name gives them."""

    kind: Kind
    precision: int | None = None
    scale: int | None = None


def parse_type(name: str) -> TypeName | None:
    """The type that `name` means, or None when it means none that is known."""
    folded = " ".join(name.lower().split())
    if folded in _NAMES:
        return TypeName(_NAMES[folded])
    match = _WITH_ARGUMENTS.match(folded)
    if match is None or match[1] not in (*_NAMES, "number"):
        return None
    kind = "decimal" if match[1] == "number" else _NAMES[match[1]]
    if kind == "decimal":
        return TypeName("decimal", int(match[2]), int(match[3] or 0))
    return TypeName(kind)


def refine(named: TypeName, physical: str | None) -> TypeName:
    """`named`, made exact by the physical type where that says more of the same thing."""
    if physical is None:
        return named
    if physical.strip().lower() == "uuid" and named.kind == "string":
        return TypeName("uuid")
    exact = parse_type(physical)
    if exact is None:
        return named
    finer: dict[Kind, tuple[Kind, ...]] = {
        "double": ("decimal",),
        "date": ("timestamp", "timestamptz"),
        "timestamp": ("timestamptz",),
        "decimal": ("decimal",),
    }
    return exact if exact.kind in finer.get(named.kind, ()) else named


_JAVA = [
    ("yyyy", "%Y"), ("yy", "%y"), ("MMMM", "%B"), ("MMM", "%b"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("hh", "%I"),
    ("mm", "%M"), ("ss", "%S"), ("SSSSSS", "%6f"), ("SSS", "%3f"), ("a", "%p"), ("XXX", "%:z"), ("XX", "%z"), ("Z", "%z"),
    ("X", "%#z"), ("EEEE", "%A"), ("EEE", "%a"), ("M", "%-m"), ("d", "%-d"), ("H", "%-H"), ("h", "%-I"),
]  # fmt: skip


def strftime_of(pattern: str) -> str:
    """A date format as strftime; the patterns of ODCS (`yyyy-MM-dd HH:mm:ss`) are translated, others pass unchanged."""
    if "%" in pattern or not re.search(r"[yMdHhms]{2}", pattern):
        return pattern
    out, rest = "", pattern
    while rest:
        if rest[0] == "'":
            quoted, _, rest = rest[1:].partition("'")
            out += quoted
            continue
        for java, ours in _JAVA:
            if rest.startswith(java):
                out, rest = out + ours, rest[len(java) :]
                break
        else:
            out, rest = out + rest[0], rest[1:]
    return out.replace(".%3f", "%.3f").replace(".%6f", "%.6f")


def has_time(pattern: str) -> bool:
    """Whether a strftime format reads a time of day."""
    return any(f in pattern for f in ("%H", "%I", "%T", "%R", "%M", "%S", "%X", "%+", "%s", "%-H", "%-I"))
