"""Files as a lazy frame, block by block: cut at line breaks, parsed ahead by several threads, handed on in order.

A file whose bytes are its text is read in place at several positions; a compressed or transcoded one as a stream. Either
way only a few blocks are in memory at once, whatever the file's size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import polars as pl
from polars.io.plugins import register_io_source

from dativo.errors import Interrupted, SourceError
from dativo.sources.csv_block import Parsed
from dativo.sources.input import InputFile, OpenFile
from dativo.sources.protocol import FILE, ROW, Meter

BLOCK = 8 << 20
SMALL_BLOCK = 1 << 20
# No record needs a longer line; a file without line breaks would not fit into memory.
MAX_LINE = 1 << 29
_TAIL = 1 << 16


class Block(Protocol):
    """Reads the bytes of a block; called in a worker thread."""

    def __call__(self) -> bytes: ...


@dataclass(slots=True, frozen=True)
class TextFile:
    """A file ready to be read: where its first record begins, and how a block of it becomes a frame.

    `start` is the byte offset of the first record for a file that is read in place (`plain`), else the number of bytes
    of its UTF-8 text to skip. `parse(data, at_end)` gives the frame of a block that begins where a record begins.
    `cut(text)` tells after which line break of a piece of text a block should end, 0 when there is none.
    """

    file: InputFile
    index: int
    plain: bool
    start: int
    pieces: Callable[[], Iterator[bytes]]
    parse: Callable[[bytes, bool], Parsed]
    finish: Callable[[pl.DataFrame], pl.DataFrame]
    cut: Callable[[bytes], int] = lambda text: text.rfind(b"\n") + 1


def scan(files: Sequence[TextFile], schema: dict[str, pl.DataType], meter: Meter, limit: int | None) -> pl.LazyFrame:
    """All records of some files as one lazy frame with the columns of `schema`, which every file's `finish` gives.

    With `limit`, or when who takes the frame wants its first rows only, the files are read in small blocks and no further
    than that many records need.
    """

    def generate(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = min((n for n in (n_rows, limit) if n is not None), default=None)
        size = BLOCK if left is None else SMALL_BLOCK
        workers = 1 if left is not None else min(max(pl.thread_pool_size(), 1), 8)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="dativo-read")
        try:
            for file in files:
                if left is not None and left <= 0:
                    break
                for out in _records(file, pool, workers, size, meter):
                    frame = out if left is None else out.head(left)
                    if left is not None:
                        left -= frame.height
                    if with_columns is not None and len(with_columns) < frame.width:
                        frame = frame.select(with_columns)
                    yield frame if predicate is None else frame.filter(predicate)
                    if left is not None and left <= 0:
                        break
        finally:
            # The engine may drop this in any thread, one of the pool's included: waiting for them could wait for itself.
            pool.shutdown(wait=False, cancel_futures=True)

    return register_io_source(generate, schema=schema, is_pure=True)


def _records(file: TextFile, pool: ThreadPoolExecutor, workers: int, size: int, meter: Meter) -> Iterator[pl.DataFrame]:
    """The frames of one file in order, ROW counted through the file from 1."""
    blocks = _blocks(file, size)
    ahead: deque[tuple[Block, bool, Future[tuple[bytes, Parsed]]]] = deque()
    done, rest = 0, b""
    exhausted = False
    meter.bytes += file.start if file.plain else 0
    try:
        while True:
            while not exhausted and len(ahead) <= workers:
                following = next(blocks, None)
                if following is None:
                    exhausted = True
                    break
                read, at_end = following
                ahead.append((read, at_end, pool.submit(_parse, read, at_end, file)))
            if not ahead:
                break
            _stop_when_asked(meter)
            _, at_end, future = ahead.popleft()
            data, parsed = future.result()
            if rest:
                # The block before ended inside a record: this block was parsed from the wrong place.
                parsed = _finished(file.parse(rest + data, at_end), file)
            rest = parsed.rest
            meter.bytes += len(data) if file.plain else 0
            meter.rows += parsed.records
            if parsed.frame.height:
                # The engine waits here, so nothing is done to the frame but what needs the block's place in the file.
                numbers = parsed.frame.get_column(ROW) + (done + 1)
                yield parsed.frame.replace_column(parsed.frame.get_column_index(ROW), numbers)
            done += parsed.records
    finally:
        for _, _, future in ahead:
            future.cancel()
    if not file.plain:
        meter.bytes += file.file.size


def _parse(read: Block, at_end: bool, file: TextFile) -> tuple[bytes, Parsed]:
    data = read()
    return data, _finished(file.parse(data, at_end), file)


def _finished(parsed: Parsed, file: TextFile) -> Parsed:
    # Made from ROW rather than from a literal, FILE is cut into the same chunks as the other columns.
    index = (pl.col(ROW) * 0 + file.index).cast(pl.UInt32).alias(FILE)
    return Parsed(file.finish(parsed.frame.with_columns(index)), parsed.records, parsed.rest)


def _stop_when_asked(meter: Meter) -> None:
    if meter.stop.is_set():
        raise Interrupted("stopped while reading; nothing was committed")


def _blocks(file: TextFile, size: int) -> Iterator[tuple[Block, bool]]:
    """Blocks of a file, each ending with a line break; and whether it is the file's last."""
    if not file.plain:
        return _stream_blocks(file, _without(file.pieces(), file.start), size)
    opened = file.file.open()
    if opened.in_place:
        return _plain_blocks(file, opened, size)
    return _stream_blocks(file, opened.pieces(file.start, size), size)


def _plain_blocks(file: TextFile, opened: OpenFile, size: int) -> Iterator[tuple[Block, bool]]:
    """Blocks of a file that is read in place."""
    start, total = file.start, opened.size
    while start < total:
        end = _block_end(file, opened, start, start + size)

        def read(start: int = start, end: int = end) -> bytes:
            return _read_range(file, opened, start, end)

        yield read, end >= total
        start = end


def _block_end(file: TextFile, opened: OpenFile, start: int, target: int) -> int:
    """The offset after the last line break between `start` and `target`, or after the first one behind them."""
    if target >= opened.size:
        return opened.size
    low = max(target - _TAIL, start)
    found = file.cut(opened.read(low, target - low))
    if found > 0:
        return low + found
    position = target
    while position < opened.size:
        data = opened.read(position, 1 << 20)
        if not data:
            raise _shorter(file.file.name)
        found = data.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(data)
        if position - start > MAX_LINE:
            raise _too_long(file.file.name, start)
    return opened.size


def _read_range(file: TextFile, opened: OpenFile, start: int, end: int) -> bytes:
    data = opened.read(start, end - start)
    if len(data) < end - start:
        raise _shorter(file.file.name)
    return data


def _shorter(name: str) -> SourceError:
    return SourceError(f"'{name}' became shorter while it was read", hint="run again when it is complete")


def _too_long(name: str, start: int) -> SourceError:
    return SourceError(
        f"'{name}' has a line of more than {MAX_LINE >> 20} MiB after byte {start}", hint="is this the right file?"
    )


def _stream_blocks(file: TextFile, pieces: Iterator[bytes], size: int) -> Iterator[tuple[Block, bool]]:
    """Blocks of a file that comes as a stream of UTF-8 pieces."""
    buffered, length = [], 0
    for data in pieces:
        length += len(data)
        buffered.append(data)
        if b"\n" not in data and length > MAX_LINE:
            raise _too_long(file.file.name, file.start)
        if length < size or b"\n" not in data:
            continue
        whole = b"".join(buffered)
        low = max(len(whole) - _TAIL, 0)
        found = file.cut(whole[low:])
        cut = low + found if found > 0 else whole.rfind(b"\n") + 1
        buffered, length = [whole[cut:]], len(whole) - cut
        yield _given(whole[:cut]), False
    yield _given(b"".join(buffered)), True


def _without(pieces: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """The pieces without so many bytes at their beginning, and without empty ones."""
    for piece in pieces:
        data = piece[skip:] if skip else piece
        skip = max(skip - len(piece), 0)
        if data:
            yield data


def _given(data: bytes) -> Block:
    return lambda: data
