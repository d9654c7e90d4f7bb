"""Which keys the lines of a JSON lines file have: there is no header, so some of its lines are looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dativo.sources.input import InputFile
from dativo.sources.jsonl_block import proven_by, text_lines
from dativo.sources.jsonl_layout import Layout
from dativo.sources.jsonl_record import RecordReader
from dativo.sources.text import utf8_pieces

HEAD = 256 << 10
WHOLE_PIECE = 4 << 20
MAX_LINE = 64 << 20
_MOST_NOTES = 20


@dataclass(slots=True, frozen=True)
class Looked:
    """A file whose first lines, or all of them, were looked at.

    `whole` tells that there are no others, `records` how many of them were objects, `start` how the text begins.
    """

    file: InputFile
    layout: Layout
    keys: tuple[str, ...]
    records: int
    whole: bool
    start: str


def look(file: InputFile, compression: str, encoding: str, *, whole: bool) -> Looked:
    """A file's keys, from its first 256 KiB or all of it; SourceError when it cannot be read."""
    layout, reader = Layout(), RecordReader()
    keys: dict[str, None] = {}
    records, start, ended = 0, "", False
    for data, last in _blocks(file, compression, encoding, whole=whole):
        ended = last
        start = start or data[:64].decode(errors="replace").lstrip()
        lines = text_lines(data)
        left, size = lines.filter(lines.str.contains(r"[^ \t\r]")), 1
        while True:
            # Few lines differ from all before them: each round leaves only those that are proven by none so far.
            proven = proven_by(layout, left)
            records += int(proven.sum())
            left = left.filter(~proven)
            if not len(left):
                break
            good = [r for r in map(reader.read, left.head(size)) if not r.fault]
            records += len(good)
            for record in good:
                keys.update(dict.fromkeys(record.fields))
            layout.learn(r.values for r in good)
            left, size = left.slice(size), size * 4
    ordered = [k for k in layout.keys if k in keys]
    return Looked(file, layout, (*ordered, *(k for k in keys if k not in ordered)), records, ended, start)


def _blocks(file: InputFile, compression: str, encoding: str, *, whole: bool) -> Iterator[tuple[bytes, bool]]:
    """Whole lines from the file's start, and whether the file ends with them."""
    held = b""
    for piece in utf8_pieces(file, compression, encoding, WHOLE_PIECE if whole else HEAD):
        held += piece
        cut = held.rfind(b"\n") + 1
        if cut and len(held) >= HEAD:
            yield held[:cut], False
            held = held[cut:]
            if not whole:
                return
        elif len(held) > MAX_LINE:
            return
    yield held, True


class LateKeys:
    """Notes about keys that were met only while the rows were read, and so have no column."""

    def __init__(self, columns: Sequence[str], notes: list[str]) -> None:
        self.known = set(columns)
        self.notes = notes
        self.met = 0
        self._lock = threading.Lock()

    def meet(self, keys: Sequence[str], file: str) -> None:
        """Takes note of those keys that are new; called by several threads."""
        if self.known.issuperset(keys):
            return
        with self._lock:
            new = [k for k in keys if k not in self.known]
            self.known.update(new)
            for key in new:
                self.met += 1
                if self.met <= _MOST_NOTES:
                    self.notes.append(
                        f"'{file}': the key '{key}' first stands in a line after the first {HEAD >> 10} KiB, which tell "
                        "the columns: it was left out"
                    )
                elif self.met == _MOST_NOTES + 1:
                    self.notes.append("further keys that stand in no file's first lines were left out too")
