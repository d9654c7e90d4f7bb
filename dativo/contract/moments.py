"""Text as dates and times: by the contract's formats, else in any spelling of ISO 8601; exactly, or null.

A minute has sixty seconds, a second a million parts, and years are 1 to 9999: what a text says beyond that would be lost
or guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import polars as pl

from dativo.config.asset import Field
from dativo.contract.formats import OFFSET, Format, read_format
from dativo.contract.lanes import Lanes
from dativo.contract.text import TextRules
from dativo.errors import ConfigError, Problem

DATE = r"\d{4}-\d{1,2}-\d{1,2}"
CLOCK = r"\d{1,2}:\d{1,2}(?::[0-5]?\d(?:\.\d{1,6}0*)?)?"
_ZONED = rf":\d{{1,2}}(?:\.\d+)?\s*{OFFSET}$"
# Years of fewer than four digits are left to the careful way: Polars reads one from ` 024` too.
_FAST_FROM = 1000


def date_of(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    if field.formats:
        return pl.coalesce(*(_date_by(raw, f) for f in _formats(field)))
    own = [_date_by(raw, f) for f in _source_formats(rules)]

    def careful(text: pl.Expr) -> pl.Expr:
        clean = text.str.strip_chars()
        only = pl.when(clean.str.contains(f"^{DATE}$")).then(clean).str.to_date("%Y-%m-%d", strict=False)
        # A date has no zone: midnight where it was written is meant.
        moment = _iso_moment(text, TextRules())
        midnight = moment.dt.time() == pl.time(0, 0, 0)
        return pl.coalesce(_dated(only), pl.when(midnight).then(moment.dt.date()))

    fast = pl.when(raw.str.len_bytes() == 10).then(raw.str.to_date("%Y-%m-%d", strict=False))
    fast = pl.when(fast >= date(_FAST_FROM, 1, 1)).then(fast)
    return Lanes(pl.coalesce(*own, fast) if own else fast, careful)


def time_of(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    if field.formats:
        return pl.coalesce(*(_shaped(raw, f).str.to_time(f.pattern, strict=False) for f in _formats(field)))

    def careful(text: pl.Expr) -> pl.Expr:
        clean = text.str.strip_chars()
        clean = pl.when(clean.str.contains(f"^{CLOCK}$")).then(clean)
        short = clean.str.to_time("%H:%M", strict=False)
        return pl.coalesce(clean.str.to_time("%H:%M:%S%.f", strict=False), short)

    usual = (raw.str.len_bytes() == 8) & ~raw.str.ends_with("60")
    return Lanes(pl.when(usual).then(raw.str.to_time("%H:%M:%S", strict=False)), careful)


def timestamp_of(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    """UTC without a zone; a value with an offset is converted, one without is read in the source's zone."""
    if field.formats:
        return pl.coalesce(*(_moment_by(raw, f, rules) for f in _formats(field)))
    own = [_moment_by(raw, f, rules) for f in _source_formats(rules)]
    # Times rarely repeat: remembering them costs more than reading them again.
    read = raw.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False, cache=False)
    usual = (raw.str.len_bytes() == 19) & ~raw.str.ends_with("60") & (read >= datetime(_FAST_FROM, 1, 1))
    fast = in_utc(pl.when(usual).then(read), rules)
    return Lanes(pl.coalesce(*own, fast) if own else fast, lambda text: _iso_moment(text, rules))


def timestamptz_of(field: Field, raw: pl.Expr, rules: TextRules) -> pl.Expr | Lanes:
    found = timestamp_of(field, raw, rules)
    if not isinstance(found, Lanes):
        return found.dt.replace_time_zone("UTC")
    fast, careful = found
    assert careful is not None
    return Lanes(fast.dt.replace_time_zone("UTC"), lambda text: careful(text).dt.replace_time_zone("UTC"))


def in_utc(local: pl.Expr, rules: TextRules) -> pl.Expr:
    """Times without a zone, read in the source's zone, as UTC without a zone.

    A wall time that a clock change skips or doubles is null, unless the rules choose one side.
    """
    if rules.timezone in ("UTC", "Etc/UTC", "Z"):
        return local
    ambiguous = {"earlier": "earliest", "later": "latest"}.get(rules.dst or "", "null")

    def utc(naive: pl.Expr) -> pl.Expr:
        zoned = naive.dt.replace_time_zone(rules.timezone, ambiguous=ambiguous, non_existent="null")  # type: ignore[arg-type]
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    read = utc(local)
    if rules.dst is None:
        return read
    # A skipped wall time is read with the offset before the change (earlier) or after it (later).
    shift = pl.duration(hours=-3 if rules.dst == "earlier" else 3)
    return pl.coalesce(read, utc(local + shift) - shift)


def _iso_moment(text: pl.Expr, rules: TextRules) -> pl.Expr:
    """A time in any spelling of ISO 8601 that the formats allow, in UTC without a zone."""
    clean = text.str.strip_chars()
    clean = pl.when(clean.str.contains(rf"^{DATE}(?:[ T]{CLOCK}\s*{OFFSET}?)?$")).then(clean)
    clean = clean.str.replace("T", " ", literal=True)
    with_offset = clean.str.contains(_ZONED)
    zoned = pl.when(with_offset).then(clean).str.replace(r"[Zz]$", "+00:00").str.replace(r"\s+([+-])", "${1}")
    local = pl.when(~with_offset).then(clean)
    read_zoned = [
        zoned.str.to_datetime(
            f"%Y-%m-%d {clock}%#z", time_unit="us", strict=False, time_zone="UTC"
        ).dt.replace_time_zone(None)
        for clock in ("%H:%M:%S%.f", "%H:%M")
    ]
    read_local = [
        local.str.to_datetime(f"%Y-%m-%d {clock}", time_unit="us", strict=False) for clock in ("%H:%M:%S%.f", "%H:%M")
    ]
    only_date = local.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    return _timed(pl.coalesce(*read_zoned, in_utc(_timed(pl.coalesce(*read_local, only_date)), rules)))


def _dated(value: pl.Expr) -> pl.Expr:
    """Dates of the years that every reader knows."""
    return pl.when(value.is_between(date.min, date.max)).then(value)


def _timed(value: pl.Expr) -> pl.Expr:
    """Times of the years that every reader knows."""
    return pl.when(value.is_between(datetime.min, datetime.max)).then(value)


def _shaped(raw: pl.Expr, form: Format) -> pl.Expr:
    """The texts that have a format's shape."""
    text = raw.str.strip_chars()
    return pl.when(text.str.contains(form.shape)).then(text)


def _moment_by(raw: pl.Expr, form: Format, rules: TextRules) -> pl.Expr:
    text = _shaped(raw, form)
    if form.pattern == "%s":
        seconds = text.cast(pl.Int64, strict=False)
        return _timed(pl.when(seconds.abs() < 250_000_000_000).then(seconds * 1_000_000).cast(pl.Datetime("us")))
    if form.zoned:
        text = text.str.replace(r"([^A-Za-z])[Zz]", "${1}+00:00")
        read = text.str.to_datetime(form.pattern, time_unit="us", strict=False, time_zone="UTC")
        return _timed(read.dt.replace_time_zone(None))
    if not form.clock:
        return in_utc(_dated(text.str.to_date(form.pattern, strict=False)).cast(pl.Datetime("us")), rules)
    return _timed(in_utc(_timed(text.str.to_datetime(form.pattern, time_unit="us", strict=False)), rules))


def _date_by(raw: pl.Expr, form: Format) -> pl.Expr:
    if not form.clock:
        return _dated(_shaped(raw, form).str.to_date(form.pattern, strict=False))
    moment = _moment_by(raw, form, TextRules())
    return pl.when(moment.dt.time() == pl.time(0, 0, 0)).then(moment.dt.date())


def _formats(field: Field) -> list[Format]:
    def wrong(message: str) -> Problem:
        return Problem(message, field.mark, f"schema.{field.name}.formats", "as '%d.%m.%Y' or 'dd.MM.yyyy'")

    return _read(field.formats, wrong)


def _source_formats(rules: TextRules) -> list[Format]:
    def wrong(message: str) -> Problem:
        return Problem(message, None, "source.engine.options.date_formats", "as '%d.%m.%Y'")

    return _read(rules.date_formats, wrong)


def _read(forms: Sequence[str], wrong: Callable[[str], Problem]) -> list[Format]:
    found, problems = [], []
    for form in forms:
        try:
            found.append(read_format(form))
        except ValueError as error:
            problems.append(wrong(str(error)))
    if problems:
        raise ConfigError(problems)
    return found
