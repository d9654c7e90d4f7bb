"""JSON lines files: one object a line, in any encoding and compression, one frame of text.

The columns are the keys found in the first 256 KiB of each file, in all of it when the job's mode is `warn`, which keeps
columns that the contract does not know. A column of the contract that is not among them is still read wherever it
stands; it counts as missing only if every file was looked at to its end. Any other key that appears later on is left out
with a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl

from dativo.config.column_names import left_out, usable
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.contract.text import FALSE, TRUE, TextRules
from dativo.sources.blocks import TextFile, scan
from dativo.sources.csv_block import Parsed
from dativo.sources.files import list_files
from dativo.sources.input import InputFile, Listing, each, enough
from dativo.sources.jsonl_block import LineFormat, read_lines
from dativo.sources.jsonl_keys import LateKeys, Looked, look
from dativo.sources.options import JsonlOptions, jsonl_options
from dativo.sources.protocol import PROVENANCE, Extract, Meter, SourceColumn
from dativo.sources.selection import select, settled, without_rows
from dativo.sources.text import bom_length, is_plain, members, utf8_pieces
from dativo.state.cursor import Cursor

MAX_EXTRA = 1_000


class JsonlSource:
    """Reads JSON lines as text; the contract makes values of it."""

    def __init__(self, job: ResolvedJob, listing: Listing = list_files) -> None:
        self.job = job
        self.listing = listing
        self.options = jsonl_options(job)
        self._looked: dict[tuple[InputFile, bool], Looked] = {}

    def streams(self) -> Sequence[str]:
        return [s.name for s in self.job.streams]

    def check(self, stream: StreamConfig) -> list[dict[str, Any]]:
        looked = self.looked(self.listing(self.job, stream), whole=False)
        return [_finding(one) for one in looked]

    def read(
        self,
        stream: StreamConfig,
        since: Cursor | None,
        *,
        meter: Meter,
        limit: int | None = None,
        full: bool = False,
    ) -> Extract:
        selection = select(self.listing(self.job, stream), self.job, since, full=full)
        whole = self.job.validation_mode == "warn" and limit is None
        looked = self.looked(enough(selection.files, limit), whole=whole)
        notes = [*selection.notes, *(n for n in map(_no_lines, looked) if n)]
        columns = _columns(looked, [f.source_name for f in stream.asset.fields], notes)
        meter.total_bytes = sum(one.file.size for one in looked)
        schema: dict[str, pl.DataType] = {
            **dict.fromkeys(columns, pl.String()),
            **dict(zip(PROVENANCE, (pl.UInt32(), pl.Int64(), pl.String(), pl.String()), strict=True)),
        }
        late = LateKeys([*columns, *(k for one in looked for k in one.keys)], notes)
        files = [self.text_file(one, i, columns, late) for i, one in enumerate(looked)]
        extract = Extract(
            frame=scan(files, schema, meter, limit),
            encoding="text",
            columns=tuple(SourceColumn(c, sum(c in one.keys for one in looked)) for c in columns),
            files=tuple(one.file.name for one in looked),
            rules=_rules(self.options),
            cursor=partial(settled, selection.files, selection.cursor),
            skipped=selection.skipped,
            unchanged=not selection.files,
            notes=notes,
        )
        return without_rows(extract) if selection.rowless else extract

    def looked(self, files: Sequence[InputFile], *, whole: bool) -> list[Looked]:
        """The files, those inside archives too, each with its keys."""
        found = [m for inside in each(files, lambda f: members(f, self.options.compression)) for m in inside]
        return each(found, lambda f: self.look(f, whole=whole))

    def look(self, file: InputFile, *, whole: bool) -> Looked:
        """The file's keys; a file that was looked at before is not read for them again."""
        known = self._looked.get((file, whole))
        if known is None:
            known = look(file, self.options.compression, self.options.encoding, whole=whole)
            self._looked[file, whole] = known
        return known

    def text_file(self, looked: Looked, index: int, columns: tuple[str, ...], late: LateKeys) -> TextFile:
        file, options = looked.file, self.options
        plain = is_plain(file, options.compression, options.encoding)
        form = LineFormat(columns, looked.layout, partial(late.meet, file=file.name))
        order = [*columns, *PROVENANCE]
        return TextFile(
            file=file,
            index=index,
            plain=plain,
            start=bom_length(file) if plain else 0,
            pieces=partial(self.pieces, file),
            parse=partial(_parse, form=form),
            finish=lambda frame: frame.select(order),
        )

    def pieces(self, file: InputFile) -> Iterator[bytes]:
        return utf8_pieces(file, self.options.compression, self.options.encoding)


def _parse(data: bytes, _at_end: bool, form: LineFormat) -> Parsed:
    return read_lines(data, form)


def _columns(looked: Sequence[Looked], contract: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """The columns in the order in which the files have them, those of the contract that may still appear at the end."""
    found = list(dict.fromkeys(k for one in looked for k in one.keys))
    unusable = [k for k in found if not usable(k)]
    wanted = {name.strip() for name in contract}
    extra = [k for k in found if k.strip() not in wanted and k not in unusable]
    if unusable:
        notes.append(left_out(unusable))
    if len(extra) > MAX_EXTRA:
        notes.append(f"{len(extra)} keys are not in the contract; those after the first {MAX_EXTRA} were left out")
    out = {*unusable, *extra[MAX_EXTRA:]}
    columns = [k for k in found if k not in out]
    if all(one.whole for one in looked) and any(one.records for one in looked):
        return tuple(columns)
    have = {c.strip() for c in columns}
    return (*columns, *(name for name in contract if name.strip() not in have))


def _no_lines(looked: Looked) -> str:
    """A hint for a file that is JSON, but not in lines."""
    if looked.records or not looked.start.startswith(("[", "{")):
        return ""
    what = "one JSON array" if looked.start.startswith("[") else "JSON over several lines"
    each = ".[]" if looked.start.startswith("[") else "."
    return f"'{looked.file.name}' looks like {what}, not one object a line: `jq -c '{each}'` makes lines of it"


def _finding(looked: Looked) -> dict[str, Any]:
    hint = _no_lines(looked)
    where = "" if looked.whole else " in its first lines"
    message = f"{len(looked.keys)} keys{where}" if not hint else "no line of it is an object"
    return {"name": looked.file.name, "ok": not hint, "message": message, "hint": hint}


def _rules(options: JsonlOptions) -> TextRules:
    return TextRules(
        nulls=tuple(options.null_values or ()),
        date_formats=tuple(options.date_formats or ()),
        timezone=options.timezone,
        dst=options.dst,
        true_values=tuple(v.lower() for v in options.true_values) if options.true_values is not None else TRUE,
        false_values=tuple(v.lower() for v in options.false_values) if options.false_values is not None else FALSE,
    )
