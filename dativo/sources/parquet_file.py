"""One Parquet file: its columns from the footer, and its rows batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from dativo.config.column_names import usable
from dativo.errors import Interrupted, SourceError
from dativo.sources.input import InputFile, seekable
from dativo.sources.parquet_schema import converted
from dativo.sources.protocol import FILE, ROW, Meter

_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"PK": "zip"}
# A file of no more rows and bytes than these is read at once.
SMALL = 50_000
SMALL_BYTES = 4 << 20
# The ends of what Polars raises for a file; a panic is not an Exception.
_FOREIGN = (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException)


@dataclass(slots=True, frozen=True)
class Footer:
    """A file with the dtypes of its columns as Polars reads them.

    `uuids` are the columns of bytes that are UUIDs, `unusable` those left out for their names.
    """

    file: InputFile
    dtypes: dict[str, pl.DataType]
    uuids: frozenset[str]
    unusable: tuple[str, ...]

    def rows(self) -> int:
        """How many rows the file has."""
        return _height_of(self.file.scan())

    def batches(
        self, index: int, schema: dict[str, pl.DataType], names: Sequence[str] | None, limit: int | None, meter: Meter
    ) -> Iterator[pl.DataFrame]:
        """The file's rows with some columns of `schema`, in order; SourceError when it is damaged."""
        wanted = {n: schema[n] for n in (schema if names is None else names)}
        own = {n: dtype for n, dtype in wanted.items() if n in self.dtypes}
        before, read = meter.bytes, 0
        try:
            # One scan for both: what it knows of the file once, it need not ask for again.
            scan = self.file.scan()
            total = _height_of(scan)
            for data in self._data(scan, own, total, limit):
                if meter.stop.is_set():
                    raise Interrupted("stopped while reading; nothing was committed")
                frame = _completed(data, wanted, index, read + 1) if wanted else data
                read += data.height
                meter.rows += data.height
                meter.bytes = before + (self.file.size * read // total if total else self.file.size)
                yield frame
        except _FOREIGN as error:
            raise self.file.on_the_way(error) or _damaged(self.file, str(error)) from None
        if limit is None and read != total:
            raise _damaged(self.file, f"its footer tells of {total} rows, and there are {read}")

    def _data(
        self, scan: pl.LazyFrame, wanted: dict[str, pl.DataType], total: int, limit: int | None
    ) -> Iterator[pl.DataFrame]:
        """The file's own columns in batches; frames of the right heights where none is wanted."""
        rows = total if limit is None else min(limit, total)
        if not wanted:
            yield from (_height(min(SMALL, rows - start)) for start in range(0, rows, SMALL))
            return
        # Rows are numbered afterwards: Polars' own row index makes its reader hold far more of the file in memory.
        frame = scan.select(self._column(n, dtype).alias(n) for n, dtype in wanted.items())
        if rows < total:
            frame = frame.head(rows)
        if total <= SMALL and self.file.size <= SMALL_BYTES:
            yield frame.collect()
        else:
            yield from frame.collect_batches(engine="streaming", maintain_order=True)

    def _column(self, name: str, dtype: pl.DataType) -> pl.Expr:
        if name in self.uuids:
            return _uuid(pl.col(name))
        return converted(pl.col(name), self.dtypes[name], dtype)


def read_footer(file: InputFile) -> Footer:
    """The columns of a file; SourceError when it is no Parquet file or has columns that cannot be read."""
    if file.size == 0:
        raise _no_parquet(file, "")
    try:
        dtypes: dict[str, pl.DataType] = dict(file.scan().collect_schema())
    except _FOREIGN as error:
        raise file.on_the_way(error) or _no_parquet(file, error) from None
    uuids = _uuids(file) if any(isinstance(d, pl.Binary) for d in dtypes.values()) else frozenset()
    unusable = tuple(n for n in dtypes if not usable(n))
    return Footer(file, {n: d for n, d in dtypes.items() if n not in unusable}, uuids, unusable)


def _completed(data: pl.DataFrame, wanted: dict[str, pl.DataType], index: int, start: int) -> pl.DataFrame:
    """A batch with all wanted columns: file, row numbers from `start`, and null where the file has no such column."""
    columns = data.to_dict()
    for name, dtype in wanted.items():
        if name == ROW:
            columns[name] = pl.int_range(start, start + data.height, dtype=pl.Int64, eager=True)
        elif name not in columns:
            value = index if name == FILE else None
            columns[name] = pl.Series([value], dtype=dtype).new_from_index(0, data.height)
    return pl.DataFrame({name: columns[name] for name in wanted})


def _height_of(scan: pl.LazyFrame) -> int:
    return int(scan.select(pl.len()).collect().item())


def _height(rows: int) -> pl.DataFrame:
    """A frame of so many rows and no columns."""
    return pl.DataFrame({"": [None]}).clear(rows).drop("")


def _uuids(file: InputFile) -> frozenset[str]:
    """The columns whose bytes are UUIDs, which Polars does not tell."""
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        schema = pq.ParquetFile(seekable(file.open())).schema  # type: ignore[no-untyped-call]
    except (ArrowException, OSError):
        return frozenset()
    columns = [schema.column(i) for i in range(len(schema))]
    return frozenset(c.path for c in columns if c.logical_type.type == "UUID")


def _uuid(value: pl.Expr) -> pl.Expr:
    digits = value.bin.encode("hex")
    parts = [digits.str.slice(a, n) for a, n in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    return pl.concat_str(parts, separator="-")


def _no_parquet(file: InputFile, said: object) -> SourceError:
    start = b""
    with suppress(SourceError):
        start = file.open().read(0, 4)
    packed = next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)
    if start in (b"PAR1", b"PARE"):
        return SourceError(
            f"'{file.name}' cannot be read as Parquet: {_first_line(str(said))}",
            hint="was it written to its end? Fetch it again; if it is whole, write the column named above as another type",
        )
    if packed is not None:
        return SourceError(
            f"'{file.name}' is not a Parquet file but {packed}",
            hint="unpack it first; Parquet files are compressed inside",
        )
    what = "is empty" if file.size == 0 else "is not a Parquet file"
    return SourceError(f"'{file.name}' {what}", hint="Parquet files begin and end with PAR1; is it CSV or JSON lines?")


def _damaged(file: InputFile, said: str) -> SourceError:
    try:
        file.verify()
    except SourceError as changed:
        return changed
    return SourceError(f"'{file.name}' is damaged: {_first_line(said)}", hint="fetch the file again")


def _first_line(said: str) -> str:
    """What Polars says, its first line without its own preface."""
    return (said.strip().splitlines() or ["no reason given"])[0].removeprefix("parquet: ")
