"""Position delete files: which rows of a data file are deleted, read and written.

Each file that is written here is about one data file, whose whole path its bounds give: readers that take it for another
one are slow or fail, and it can leave the table together with its data file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.delete_file_index import PATH_FIELD_ID
from pyiceberg.types import LongType, NestedField, StringType

from dativo.errors import TargetError
from dativo.targets.iceberg.catalog import is_local, local_path
from dativo.targets.iceberg.contents import LiveFile
from dativo.targets.iceberg.files import COMPRESSION_LEVEL

# Names and ids are those of Iceberg's specification.
_PATH, _POSITION = PATH_FIELD_ID, 2147483545
_SCHEMA = Schema(
    NestedField(_PATH, "file_path", StringType(), required=True),
    NestedField(_POSITION, "pos", LongType(), required=True),
)
# Sinks that run at once; each is a small file.
AT_ONCE = 64


def deleted_positions(files: Sequence[LiveFile], storage: dict[str, str] | None) -> pl.DataFrame:
    """The deleted rows of data files, each once: `file` (UInt32, its place in `files`) and `pos` (Int64, from 0).

    Raises TargetError for delete files in a format that cannot be read.
    """
    wanted = {d.file_path: d for live in files for d in live.deletes}
    nothing = pl.DataFrame(schema={"file": pl.UInt32, "pos": pl.Int64})
    if not wanted:
        return nothing
    for file in wanted.values():
        if file.file_format != FileFormat.PARQUET:
            raise TargetError(
                f"deleted positions in {file.file_path} cannot be read: the file is no Parquet file",
                hint="rewrite the table's data files with the program that wrote it",
            )
    numbers = pl.LazyFrame(
        {"file_path": [live.file.file_path for live in files], "file": range(len(files))},
        schema={"file_path": pl.String, "file": pl.UInt32},
    )
    paths = [local_path(p) if is_local(p) else p for p in wanted]
    rows = pl.scan_parquet(paths, storage_options=storage, glob=False, missing_columns="raise", extra_columns="ignore")
    found = rows.select("file_path", "pos").join(numbers, on="file_path", how="inner")
    return found.select("file", pl.col("pos").cast(pl.Int64)).unique().collect(engine="streaming")


@dataclass(slots=True, frozen=True)
class Deletion:
    """Rows of one data file that are to be deleted (`pos` Int64, sorted), and where the delete file goes."""

    about: DataFile
    pos: pl.Series
    location: str


def write_deletes(deletions: Sequence[Deletion], storage: dict[str, str] | None) -> list[DataFile]:
    """The delete files, described for the manifest."""
    sizes: dict[str, int] = {}
    for start in range(0, len(deletions), AT_ONCE):
        done: list[Any] = []
        some = deletions[start : start + AT_ONCE]
        pl.collect_all([_sink(d, storage, done.append) for d in some], engine="streaming")
        sizes.update((path.path, path.num_bytes) for given in done for path in given.paths)
    return [_described(d, sizes[_reached(d.location)]) for d in deletions]


def _reached(location: str) -> str:
    return local_path(location) if is_local(location) else location


def _sink(deletion: Deletion, storage: dict[str, str] | None, done: Callable[[Any], None]) -> pl.LazyFrame:
    rows = pl.LazyFrame({"pos": deletion.pos})
    sink = rows.select(file_path=pl.lit(deletion.about.file_path), pos="pos").sink_parquet(
        _reached(deletion.location),
        arrow_schema=schema_to_pyarrow(_SCHEMA, include_field_ids=True),
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        storage_options=storage,
        mkdir=storage is None,
        maintain_order=True,
        lazy=True,
        sinked_paths_callback=done,
    )
    assert sink is not None
    return sink


def _described(deletion: Deletion, size: int) -> DataFile:
    about, pos = deletion.about, deletion.pos
    path = about.file_path.encode()
    low, high = (int(v).to_bytes(8, "little") for v in (pos[0], pos[-1]))
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=deletion.location,
        file_format=FileFormat.PARQUET,
        partition=about.partition,
        record_count=len(pos),
        file_size_in_bytes=size,
        lower_bounds={_PATH: path, _POSITION: low},
        upper_bounds={_PATH: path, _POSITION: high},
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
    )
    # The number of its partitioning stands in the manifest and not in the entry.
    file.spec_id = about.spec_id
    return file
