"""Drawing: tables, sizes and numbers as a person reads them. Data goes to standard output, everything else to error."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dativo.cli.masking import masked, masked_values
from dativo.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def out() -> Console:
    """Standard output."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    """A console on which no text, wherever it comes from, does anything but stand there."""
    from rich.console import Console
    from rich.text import Text

    class Defused(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            # A sentence is broken by the terminal itself: a path that is copied from it stays one path.
            options.setdefault("soft_wrap", all(isinstance(o, str) for o in objects))
            super().print(*(masked(o) if isinstance(o, str) else o for o in objects), **options)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more")

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(safe(text), **options)

    return Defused(stderr=stderr, markup=False, highlight=False, emoji=False)


class DataOut(io.RawIOBase):
    """Standard output for bytes of UTF-8 text that are data: as they are into a file or a pipe, defused on a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        if sys.stdout.isatty():
            sys.stdout.write(safe(self._decoder.decode(content)))
        else:
            sys.stdout.buffer.write(content)
        return len(content)

    def flush(self) -> None:
        sys.stdout.flush()


def say(text: str = "") -> None:
    """A line for the person, on standard error; nothing where nobody reads it any more."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{safe(masked(text))}\n")
        sys.stderr.flush()


def show_problems(problems: Iterable[Problem]) -> None:
    """Problems as text on standard error."""
    for problem in problems:
        say(problem.render())


def print_json(value: Any, *, data: bool = False) -> None:
    """A value as JSON on standard output; with `data` nothing in it is masked, because it holds rows."""
    import msgspec

    plain = msgspec.to_builtins(value)
    plain = plain if data else masked_values(plain)
    print_json_text(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_json_text(text: str) -> None:
    """JSON on standard output. What would move a cursor, and what the output cannot show, is escaped as JSON has it."""
    limit = 0x10FFFF if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else 0x7F
    odd = [c for c in set(text) if (ord(c) > limit or _CONTROL.match(c))]
    for character in odd:
        text = text.replace(character, json.dumps(character)[1:-1])
    sys.stdout.write(f"{text}\n")


def print_data(text: str) -> None:
    """Data on standard output: as it is into a file or a pipe, defused on a terminal."""
    sys.stdout.write(f"{safe(text) if sys.stdout.isatty() else text}\n")


def safe(text: object) -> str:
    """Text without characters that would move the cursor, colour the terminal or turn the line around."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", str(text))


def cell(value: object, longest: int = 60) -> str:
    """A value for a table: one line, not too long."""
    text = safe(value).replace("\n", "⏎").replace("\t", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def size(count: int) -> str:
    """Bytes as KiB, MiB, GiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def plural(count: int, word: str) -> str:
    """`1 row`, `2 rows`, `1,204 rows`, `2 policies`, `0 branches`."""
    if count == 1:
        return f"1 {word}"
    if word.endswith("y"):
        return f"{count:,} {word[:-1]}ies"
    return f"{count:,} {word}{'es' if word.endswith(('ch', 'sh', 's', 'x')) else 's'}"


def table(*columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """A plain table; the columns of `right` are numbers, which like those of `whole` are never broken into two lines."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        number = name in right
        made.add_column(name, justify="right" if number else "left", no_wrap=number or name in whole, overflow="fold")
    return made
