"""JSON lines beside a plain JSON reader: the same answer on every way, whatever the lines are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dativo.sources.jsonl_block import LineFormat, read_lines
from dativo.sources.jsonl_layout import Layout
from dativo.sources.jsonl_record import RecordReader
from dativo.sources.protocol import FAULT, ROW

KEYS = ["id", "name", "n", "päß", "a.b"]
texts = st.one_of(st.text(st.characters(codec="utf-8"), max_size=8), st.text('{}[]",:\\ kn1', max_size=12))
numbers = st.one_of(
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"@{d:f}@"),
)
scalars = st.one_of(texts, numbers, st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "k"]), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)
styles = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :  ")])


def written(value: Any, style: tuple[str, str], ascii_only: bool) -> bytes:
    text = json.dumps(value, separators=style, ensure_ascii=ascii_only)
    # Decimals are written bare, with all their places.
    return text.replace('"@', "").replace('@"', "").encode("utf-8", "surrogatepass")


def mutated(line: bytes, place: int, byte: int, kind: int) -> bytes:
    place %= len(line) + 1
    if kind == 0:
        return line[:place]
    if kind == 1:
        return line[:place] + bytes([byte]) + line[place:]
    return line[:place] + line[place + 1 :]


def expected(line: bytes) -> tuple[dict[str, Any], bool] | None:
    """The line's members, and whether it is good; None when it is blank."""
    repeated = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated |= len(dict(found)) != len(found)
        return dict(found)

    def refuse(name: str) -> Any:
        raise ValueError(name)

    if not line.strip(b" \t\r"):
        return None
    try:
        found = json.loads(
            line.decode(), object_pairs_hook=pairs, parse_float=Exact, parse_int=Exact, parse_constant=refuse
        )
        good = isinstance(found, dict) and not repeated and b"\0" not in line
        for key, value in found.items() if good else ():
            f"{key}{value if isinstance(value, str) else ''}".encode()
    except ValueError:
        return {}, False
    return (found, True) if good else ({}, False)


class Exact(str):
    """A number's own text."""

    __slots__ = ()


def as_seen(value: Any) -> Any:
    """What the source has for a decoded value; nested ones decoded, because their white space is the file's."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else value


@given(
    st.lists(st.tuples(objects, styles, st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 400), st.integers(0, 255), st.integers(0, 2)), max_size=4),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(0, 12),
)
def test_lines_are_read_as_a_plain_json_reader_reads_them(
    items: list[tuple[dict[str, Any], tuple[str, str], bool, bool]],
    damage: list[tuple[int, int, int, int]],
    end: bytes,
    taught: int,
) -> None:
    made = [written(dict(reversed(o.items())) if back else o, style, plain) for o, style, plain, back in items]
    for index, place, byte, kind in damage:
        if index < len(made) and byte not in b"\n\r":
            made[index] = mutated(made[index], place, byte, kind)
    layout = Layout()
    reader = RecordReader()
    good = (reader.read(line.decode(errors="surrogateescape")) for line in made[:taught])
    layout.learn([r.values for r in good if not r.fault])
    met: set[str] = set()
    parsed = read_lines(end.join(made), LineFormat(tuple(KEYS), layout, met.update))
    want = [e for e in map(expected, made) if e is not None]
    frame = parsed.frame
    assert parsed.records == frame.height == len(want)
    assert frame[ROW].to_list() == list(range(len(want)))
    assert frame[FAULT].is_null().to_list() == [ok for _, ok in want]
    for (found, ok), row in zip(want, frame.iter_rows(named=True), strict=True):
        for key in KEYS if ok else ():
            value = as_seen(found.get(key))
            seen = row[key]
            if isinstance(value, dict | list):
                seen = json.loads(seen, parse_float=Exact, parse_int=Exact)
            assert seen == value
