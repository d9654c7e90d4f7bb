"""Rows of a source kept on disk: read once, taken over from a run that died, never more than the source still has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from dativo import load_job
from dativo.config.resolve import ResolvedJob
from dativo.contract.text import TextRules
from dativo.errors import SourceError, TargetError
from dativo.pipeline import kept as module
from dativo.pipeline import spool as spool_module
from dativo.pipeline.kept import open_folder
from dativo.pipeline.spool import Spool, _fingerprint
from dativo.sources.protocol import FAULT, FILE, ROW, TEXT, Extract, Meter, Piece, Staged
from dativo.state.cursor import Cursor
from tests.project import Project

DEAD = "4194303-1"  # a process that cannot be: beyond the highest pid


class Source:
    """Pieces of ten rows each; counts what is read of it, and can break off, or have changed since."""

    def __init__(self, pieces: int = 5, file_of: Callable[[int], int] = lambda _: 0) -> None:
        self.values = {f"p{i}": [10 * i + n for n in range(10)] for i in range(pieces)}
        self.file_of = file_of
        self.read: list[str] = []
        self.breaks_at: str | None = None

    def extract(self) -> Extract:
        names = [f"f{i}" for i in range(1 + max(map(self.file_of, range(len(self.values)))))]
        return Extract(
            frame=self.frame([], 0).lazy(), encoding="typed", columns=(), files=tuple(names), rules=TextRules(),
            cursor=Cursor, pieces=self.pieces,
        )  # fmt: skip

    def pieces(self, staged: Sequence[Staged]) -> Iterable[Piece | Staged]:
        known = {s.name: s for s in staged}
        for at, (name, values) in enumerate(self.values.items()):
            kept = known.get(name)
            if kept is not None and kept.proof == {"sum": sum(values)}:
                yield kept
                continue
            if name == self.breaks_at:
                raise SourceError("the server went away")
            self.read.append(name)
            total = {"sum": sum(values)}
            yield Piece(name, partial(self.frames, values, self.file_of(at)), lambda total=total: total)

    def frames(self, values: list[int], file: int) -> Generator[pl.DataFrame, None, None]:
        for start in range(0, len(values), 4):
            yield self.frame(values[start : start + 4], file)

    def frame(self, values: list[int], file: int) -> pl.DataFrame:
        return pl.DataFrame({"id": values}, schema={"id": pl.Int64}).with_columns(
            pl.lit(file, dtype=pl.UInt32).alias(FILE), pl.lit(7, dtype=pl.Int64).alias(ROW),
            pl.lit(None, dtype=pl.String).alias(FAULT), pl.lit(None, dtype=pl.String).alias(TEXT),
        )  # fmt: skip


class Texts(Source):
    """Pieces with a text in each row, which are parts of one column of so many rows."""

    def __init__(self, of: int = 50) -> None:
        super().__init__()
        texts = [self.text(i) for i in range(of)]
        self.column = pl.Series("name", texts, dtype=pl.String)

    def text(self, i: int) -> str | None:
        return None if i % 7 == 3 else "é" * (i % 30)

    def frame(self, values: list[int], file: int) -> pl.DataFrame:
        found = super().frame(values, file)
        start = values[0] if values else 0
        return found.insert_column(1, self.column.slice(start, len(values)))


class Blocks(Source):
    """Pieces with two texts in each row that are views of the same memory."""

    LONG = 2_000

    def text(self, i: int, column: int) -> str:
        return f"{i}.{column} ".ljust(self.LONG, "x")

    def frame(self, values: list[int], file: int) -> pl.DataFrame:
        found = super().frame(values, file)
        block = pl.Series([self.text(i, 0) + self.text(i, 1) for i in values], dtype=pl.String)
        return found.with_columns(block.str.slice(0, self.LONG).alias("name"), block.str.slice(self.LONG).alias("town"))


@pytest.fixture
def job(project: Project) -> ResolvedJob:
    project.asset([{"name": "id", "type": "integer"}])
    project.write("data/people.csv", "id\n1\n")
    return load_job(project.job())


def opened(job: ResolvedJob, extract: Extract, token: str = "a", *, fresh: bool = False) -> Spool:
    found = open_folder(job, job.streams[0], token, _fingerprint(job, job.streams[0], extract), fresh=fresh)
    return Spool(found)


def died(spool: Spool) -> None:
    """The folder as it is when its process was killed."""
    spool.folder.path.rename(spool.folder.path.with_name(f"dead~{DEAD}"))


def taken(spool: Spool, extract: Extract) -> pl.DataFrame:
    return spool.over(extract, Meter()).frame.collect(engine="streaming")


def folders(job: ResolvedJob) -> list[Path]:
    return sorted((Path(job.root) / ".local" / "resume").glob("*/*/*/*"))


def test_every_row_is_there_once_numbered_from_one(job: ResolvedJob) -> None:
    source = Source()
    extract = source.extract()
    frame = taken(opened(job, extract), extract)
    assert frame["id"].to_list() == list(range(50))
    assert frame[ROW].to_list() == list(range(1, 51))
    assert frame.columns == extract.frame.collect_schema().names()


def test_rows_are_numbered_anew_in_each_file(job: ResolvedJob) -> None:
    source = Source(pieces=5, file_of=lambda at: (0, 0, 2, 3, 3)[at])
    extract = source.extract()
    frame = taken(opened(job, extract), extract)
    assert frame.group_by(FILE, maintain_order=True).agg(pl.col(ROW)).rows() == [
        (0, list(range(1, 21))), (2, list(range(1, 11))), (3, list(range(1, 21)))]  # fmt: skip
    assert frame["id"].to_list() == list(range(50))


@pytest.mark.parametrize("room", [0, 1 << 62], ids=["room", "no room"])
def test_texts_are_kept_as_they_were_and_read_again(
    job: ResolvedJob, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read once and kept, then read from what was kept: plain, and compressed where there is little room."""
    monkeypatch.setattr(spool_module, "ROOM", room)
    source = Texts()
    extract = source.extract()
    over = opened(job, extract).over(extract, Meter()).frame
    first, second = over.collect(engine="streaming"), over.collect(engine="streaming")
    assert first["name"].to_list() == [source.text(i) for i in range(50)]
    assert second.equals(first)
    assert source.read == list(source.values)


def test_a_view_of_a_long_text_is_kept_without_the_rest_of_it(job: ResolvedJob) -> None:
    source = Texts(of=100_000)
    extract = source.extract()
    spool = opened(job, extract)
    frame = taken(spool, extract)
    assert frame["name"].to_list() == [source.text(i) for i in range(50)]
    assert spool.taken is not None
    # The column that each piece is a part of has megabytes.
    assert all(kept.bytes < 100_000 for kept in spool.taken)


def test_columns_that_are_views_of_one_block_are_kept_without_each_other(job: ResolvedJob) -> None:
    """As the columns of MySQL's rows are, which are not copied out of what came from the server."""
    source = Blocks()
    extract = source.extract()
    spool = opened(job, extract)
    frame = taken(spool, extract)
    assert frame["name"].to_list() == [source.text(i, 0) for i in range(50)]
    assert frame["town"].to_list() == [source.text(i, 1) for i in range(50)]
    assert spool.taken is not None
    # The block of a piece has as many bytes as both columns together.
    assert all(kept.bytes < 1.3 * 10 * 2 * source.LONG for kept in spool.taken)


def test_no_piece_at_all_is_no_row(job: ResolvedJob) -> None:
    source = Source()
    source.values = {"p0": [], "p1": []}
    extract = source.extract()
    frame = taken(opened(job, extract), extract)
    assert frame.height == 0
    assert frame.schema == extract.frame.collect_schema()


def test_a_killed_reading_is_gone_on_with(job: ResolvedJob) -> None:
    source = Source()
    source.breaks_at = "p3"
    first = opened(job, source.extract())
    with pytest.raises(SourceError):
        taken(first, source.extract())
    died(first)
    source.read, source.breaks_at = [], None
    extract = source.extract()
    second = opened(job, extract, "b")
    frame = taken(second, extract)
    assert source.read == ["p3", "p4"]
    assert extract.notes == ["30 rows were kept from a run that did not end"]
    assert frame["id"].to_list() == list(range(50))
    assert frame[ROW].to_list() == list(range(1, 51))


def test_a_reading_that_failed_leaves_what_is_complete_in_the_same_process_too(job: ResolvedJob) -> None:
    source = Source()
    source.breaks_at = "p2"
    first = opened(job, source.extract())
    with pytest.raises(SourceError):
        taken(first, source.extract())
    first.folder.leave()
    source.read, source.breaks_at = [], None
    assert taken(opened(job, source.extract(), "b"), source.extract())["id"].to_list() == list(range(50))
    assert source.read == ["p2", "p3", "p4"]


def test_a_piece_that_changed_since_is_read_again_each_time(job: ResolvedJob) -> None:
    source = Source()
    for token, changed in (("a", 1), ("b", 2), ("c", 3)):
        spool = opened(job, source.extract(), token)
        taken(spool, source.extract())
        spool.folder.leave()
        source.values["p1"] = [1000 * changed + n for n in range(10)]
    source.read = []
    frame = taken(opened(job, source.extract(), "d"), source.extract())
    assert source.read == ["p1"]
    assert frame["id"].to_list() == [*range(10), *range(3000, 3010), *range(20, 50)]


def test_a_folder_in_use_is_left_alone(job: ResolvedJob) -> None:
    source = Source()
    first = opened(job, source.extract())
    taken(first, source.extract())
    source.read = []
    second = opened(job, source.extract(), "b")
    taken(second, source.extract())
    assert source.read == list(source.values)
    assert len(folders(job)) == 2


@pytest.mark.parametrize("why", ["fresh", "fingerprint", "no manifest", "torn head", "file gone", "file shorter"])
def test_what_does_not_fit_is_read_anew(job: ResolvedJob, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(pieces=2)
    first = opened(job, source.extract())
    taken(first, source.extract())
    died(first)
    left = folders(job)[0]
    manifest = left / module.MANIFEST
    if why == "fingerprint":
        monkeypatch.setattr(module, "VERSION", 2)
    elif why == "no manifest":
        manifest.unlink()
    elif why == "torn head":
        manifest.write_bytes(manifest.read_bytes()[:10])
    elif why == "file gone":
        (left / "piece-000001.arrow").unlink()
    elif why == "file shorter":
        (left / "piece-000001.arrow").write_bytes(b"ARROW1")
    source.read = []
    frame = taken(opened(job, source.extract(), "b", fresh=why == "fresh"), source.extract())
    assert source.read == ["p0", "p1"]
    assert frame["id"].to_list() == list(range(20))


def test_a_torn_last_line_is_no_piece(job: ResolvedJob) -> None:
    source = Source(pieces=3)
    first = opened(job, source.extract())
    taken(first, source.extract())
    died(first)
    manifest = folders(job)[0] / module.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    source.read = []
    assert taken(opened(job, source.extract(), "b"), source.extract())["id"].to_list() == list(range(30))
    assert source.read == ["p2"]


def test_a_folder_that_cannot_be_made_is_told(job: ResolvedJob) -> None:
    (Path(job.root) / ".local").mkdir(exist_ok=True)
    (Path(job.root) / ".local" / "resume").write_text("in the way")
    with pytest.raises(TargetError, match="rows cannot be kept"):
        opened(job, Source().extract())


def test_nothing_is_left_behind_when_nothing_was_complete(job: ResolvedJob) -> None:
    spool = opened(job, Source().extract())
    spool.folder.leave()
    assert folders(job) == []


def test_what_nobody_wanted_for_a_week_is_removed(job: ResolvedJob) -> None:
    for name, days in (("young", 6), ("old", 8)):
        folder = Path(job.root) / ".local" / "resume" / "acme" / "gone" / name / f"t~{DEAD}"
        folder.mkdir(parents=True)
        moment = time.time() - days * 86_400
        os.utime(folder, (moment, moment))
    opened(job, Source().extract())
    assert sorted(f.parent.name for f in folders(job)) == ["people", "young"]
