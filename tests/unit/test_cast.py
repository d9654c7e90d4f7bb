"""Text becomes values exactly or not at all: each type against Python's own arithmetic."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dativo.config.asset import Field
from dativo.contract.cast import from_text
from dativo.contract.formats import read_format
from dativo.contract.text import TextRules
from dativo.errors import ConfigError

RULES = TextRules()


def cast(field: Field, texts: list[str | None], rules: TextRules = RULES) -> list[Any]:
    frame = pl.DataFrame({"t": texts}, schema={"t": pl.String})
    return frame.select(from_text(field, pl.col("t"), rules).alias("v"))["v"].to_list()


def one(kind: str, text: str, rules: TextRules = RULES, **more: Any) -> Any:
    return cast(Field(name="x", kind=kind, **more), [text], rules)[0]  # type: ignore[arg-type]


def stripped(text: str) -> str:
    return text.strip(" \t\xa0")


def some(*pieces: str, most: int = 6) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


# -- numbers -----------------------------------------------------------------------------------------------------------

digits = st.text(alphabet="0123456789", max_size=42)
numerals = st.one_of(
    st.builds(
        lambda pad, sign, whole, point, fraction, exponent: f"{pad}{sign}{whole}{point}{fraction}{exponent}{pad}",
        st.sampled_from(["", " ", "\t", "\xa0"]),
        st.sampled_from(["", "", "+", "-"]),
        digits,
        st.sampled_from(["", "."]),
        st.one_of(digits, some("0", most=50)),
        st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E", "e-", "e+"]), st.integers(0, 60))),
    ),
    some("0", "9", "1", ".", "-", "+", "e", " ", "_", ",", "٣", "x", "inf", "nan", most=8),
)


def as_long(text: str) -> int | None:
    match = re.fullmatch(r"([+-]?[0-9]+)(?:\.0*)?", stripped(text))
    value = int(match[1]) if match else None
    return value if value is not None and -(2**63) <= value < 2**63 else None


def as_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    bare = stripped(text)
    if not re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", bare):
        return None
    value = Decimal(bare)
    with localcontext() as context:
        context.prec = 300
        shifted = value.scaleb(scale)
        if shifted != shifted.to_integral_value() or abs(shifted) >= 10**precision:
            return None
    return value


def as_double(text: str) -> float | None:
    bare = stripped(text)
    if re.fullmatch(r"[+-]?(?:inf|infinity|nan)", bare, re.IGNORECASE):
        return float(bare)
    if not re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", bare):
        return None
    value = float(bare)
    return None if value in (float("inf"), float("-inf")) else value


@given(numerals)
@example("9223372036854775807")
@example("9223372036854775808")
@example("-9223372036854775808")
@example("-9223372036854775809.000")
def test_longs_are_whole_numbers_of_64_bits(text: str) -> None:
    assert one("long", text) == as_long(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("12.0", 12), ("12.", 12), ("12.7", None), ("+5", 5), (" 5 ", 5), ("007", 7), ("1e3", None), ("", None),
     ("1,000", None), ("0x10", None), ("1_000", None), ("-0", 0), ("٣", None), ("12.0000000001", None)],
)  # fmt: skip
def test_what_a_long_is_and_is_not(text: str, value: int | None) -> None:
    assert one("long", text) == value


@given(numerals, st.sampled_from([(12, 2), (3, 0), (5, 5), (38, 9), (38, 38), (38, 0), (1, 1), (18, 6)]))
@example("-7.e-400", (5, 5))
@example(".9", (3, 0))
@example("123456789012345678901234567890e-5", (38, 9))
def test_decimals_lose_no_digit_and_gain_none(text: str, shape: tuple[int, int]) -> None:
    precision, scale = shape
    assert one("decimal", text, precision=precision, scale=scale) == as_decimal(text, precision, scale)


@given(st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))), st.data())
def test_every_decimal_comes_back(shape: tuple[int, int], data: st.DataObject) -> None:
    precision, scale = shape
    unscaled = data.draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    value = Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))
    assert one("decimal", f"{value:f}", precision=precision, scale=scale) == value
    assert one("decimal", f"{value:e}", precision=precision, scale=scale) == value


@given(numerals)
@example("1e400")
@example("-1e400")
@example("1e-400")
def test_doubles_are_the_nearest_and_never_infinite_by_overflow(text: str) -> None:
    found, wanted = one("double", text), as_double(text)
    assert (found is None) == (wanted is None)
    assert found == wanted or (found != found and wanted != wanted)


@given(st.floats())
def test_every_double_comes_back(value: float) -> None:
    found = one("double", repr(value))
    assert found == value or (found != found and value != value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,56", "1234.56"), ("1234,56", "1234.56"), ("-1.234.567,8", "-1234567.8"), ("12.34,5", None), ("1.5", None),
     ("1,5", "1.5"), ("1.234", "1234"), (",5", "0.5"), ("1.2345", None), ("1,2,3", None), ("1,234.5", None)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["decimal", "double", "long"])
def test_separators_of_a_language(kind: str, text: str, value: str | None) -> None:
    rules = TextRules(thousands=".", decimal_separator=",")
    wanted: Any = None if value is None else Decimal(value)
    if kind == "long" and wanted is not None and wanted != int(wanted):
        wanted = None
    found = one(kind, text, rules, **({"precision": 12, "scale": 2} if kind == "decimal" else {}))
    assert found == (None if wanted is None else pytest.approx(float(wanted)) if kind == "double" else wanted)


def test_thousands_alone() -> None:
    rules = TextRules(thousands=",")
    texts: list[str | None] = ["1,234.50", "1234.5", "12,34.5", "1,234,567", ",5", "1,2345"]
    found = cast(Field(name="x", kind="decimal", precision=12, scale=2), texts, rules)
    assert found == [Decimal("1234.50"), Decimal("1234.5"), None, Decimal(1234567), None, None]


# -- booleans, text, bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["true", "TRUE", " yes", "On", "1"])
def test_words_for_true(text: str) -> None:
    assert one("boolean", text) is True


@pytest.mark.parametrize("text", ["false", "No", "OFF ", "0"])
def test_words_for_false(text: str) -> None:
    assert one("boolean", text) is False


@pytest.mark.parametrize("text", ["t", "y", "2", "", "truee", "1.0", "ja"])
def test_words_for_neither(text: str) -> None:
    assert one("boolean", text) is None


def test_other_words_replace_the_usual_ones() -> None:
    rules = TextRules(true_values=("ja", "x"), false_values=("nein", ""))
    assert cast(Field(name="x", kind="boolean"), ["JA", "x", "nein", "", "true", "0"], rules) == [
        True, True, False, False, None, None,
    ]  # fmt: skip


@given(st.text())
def test_text_is_left_alone(text: str) -> None:
    assert one("string", text) == text


@given(st.uuids(), st.sampled_from([str.lower, str.upper, lambda t: f" {t} "]))
def test_uuids_are_canonical(value: Any, write: Callable[[str], str]) -> None:
    assert one("uuid", write(str(value))) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "123e4567e89b12d3a456426614174000",
        "{123e4567-e89b-12d3-a456-426614174000}",
        "123e4567-e89b-12d3-a456-42661417400g",
        "123e4567-e89b-12d3-a456-4266141740000",
    ],
)
def test_other_spellings_of_a_uuid_are_none(text: str) -> None:
    assert one("uuid", text) is None


@given(st.binary(max_size=40))
def test_bytes_in_base64_and_hexadecimal(value: bytes) -> None:
    assert one("binary", base64.b64encode(value).decode(), formats=("base64",)) == value
    assert one("binary", value.hex(), formats=("hex",)) == value
    assert one("binary", value.hex().upper(), formats=("HEX",)) == value


def test_bytes_that_are_not_encoded_so() -> None:
    assert cast(Field(name="x", kind="binary", formats=("base64",)), ["a", "====", "é"]) == [None, None, None]
    assert cast(Field(name="x", kind="binary", formats=("hex",)), ["a", "zz", "0x00"]) == [None, None, None]
    assert cast(Field(name="x", kind="binary"), ["é", ""]) == ["é".encode(), b""]


# -- dates and times ---------------------------------------------------------------------------------------------------

_DATE = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_CLOCK = r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d+))?)?"
_OFFSET = r"(Z|z|[+-]\d{2}(?::?\d{2})?)"


def as_moment(text: str) -> datetime | None:
    match = re.fullmatch(rf"{_DATE}(?:[ T]{_CLOCK}\s*{_OFFSET}?)?", stripped(text), re.ASCII)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    micros = (fraction or "0").rstrip("0")
    if len(micros) > 6:
        return None
    try:
        local = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
                         int(micros.ljust(6, "0")))  # fmt: skip
        if offset in (None, "Z", "z"):
            return local
        hours, minutes = int(offset[1:3]), int(offset[3:].strip(":") or 0)
        if hours > 23 or minutes > 59:
            return None
        return local - timedelta(hours=hours, minutes=minutes) * (1 if offset[0] == "+" else -1)
    except (ValueError, OverflowError):
        return None


def as_time(text: str) -> time | None:
    match = re.fullmatch(_CLOCK, stripped(text), re.ASCII)
    moment = as_moment(f"2024-01-01 {stripped(text)}") if match else None
    return None if moment is None else moment.time()


def padded(*numbers: int) -> st.SearchStrategy[str]:
    return st.builds(lambda n, width: str(n).zfill(width), st.sampled_from(numbers), st.sampled_from([1, 2, 2]))


dates = st.builds(
    "{}-{}-{}".format,
    st.sampled_from(["0001", "0024", "0999", "1583", "1969", "2024", "9999", "24", "12345", "0000"]),
    padded(0, 1, 2, 6, 12, 13),
    padded(0, 1, 28, 29, 30, 31, 32),
)
clocks = st.builds(
    "{}:{}{}".format,
    padded(0, 9, 23, 24),
    padded(0, 5, 59, 60),
    st.one_of(
        st.just(""),
        st.builds(":{}".format, padded(0, 7, 59, 60, 61)),
        st.builds(":{}.{}".format, padded(0, 59, 60), st.text(alphabet="00129", min_size=1, max_size=12)),
    ),
)
offsets = st.sampled_from(["", "", "Z", "z", "+00", "+0000", "+02:00", "-0530", " +01:00", "+24:00", "+23:59", "-12",
                           "+0:30", "+00:60", "UTC", " Z", "+02:00:00", "−02:00"])  # fmt: skip
moments = st.builds("{}{}{}{}".format, dates, st.sampled_from([" ", "T"]), clocks, offsets)
spoilt = st.builds(
    lambda text, place, mark: text[: place % (len(text) + 1)] + mark + text[place % (len(text) + 1) + 1 :],
    st.one_of(moments, dates, clocks),
    st.integers(0, 40),
    st.sampled_from(list("0-:.T+aZ1/")),
)


@given(st.one_of(moments, dates, spoilt))
@example("2024-01-01 23:59:60")
@example("2024-01-01 00:00:00.1234567")
@example("2024-01-01 00:00:00.123456000")
@example(" 024-01-01 00:00:00")
@example("-024-01-01 00:00:00")
def test_timestamps_are_exact_in_utc(text: str) -> None:
    wanted = as_moment(text)
    assert one("timestamp", text) == wanted
    assert one("timestamptz", text) == (None if wanted is None else wanted.replace(tzinfo=UTC))


@given(st.one_of(dates, moments, spoilt))
@example(" 024-01-01")
@example("-2024-1-01")
@example("2024-01-01T00:00:00Z")
@example("2024-01-01T00:00:00.000001")
def test_dates_are_days_that_exist(text: str) -> None:
    moment = as_moment(text)
    wanted = moment.date() if moment is not None and moment.time() == time(0) else None
    assert one("date", text) == wanted


@given(st.one_of(clocks, spoilt))
@example("23:59:60")
@example("12:00:00.1234567")
def test_times_of_day(text: str) -> None:
    assert one("time", text) == as_time(text)


@given(st.datetimes())
def test_every_timestamp_comes_back(value: datetime) -> None:
    for text in (str(value), value.isoformat(), value.isoformat() + "Z"):
        assert one("timestamp", text) == value


@given(st.text(alphabet="0123456789-: +.T", min_size=8, max_size=20))
def test_odd_texts_never_become_another_day(text: str) -> None:
    found = one("timestamp", text)
    if found is not None and "+" not in text and text.count("-") == 2:
        assert [int(n) for n in re.findall(r"\d+", text)][:3] == [found.year, found.month, found.day]


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Africa/Casablanca",
]


def in_zone(local: datetime, zone: str, dst: str | None) -> datetime | None:
    both = [local.replace(tzinfo=ZoneInfo(zone), fold=f).astimezone(UTC).replace(tzinfo=None) for f in (0, 1)]
    if both[0] != both[1] and dst is None:
        return None
    return both[1] if dst == "later" else both[0]


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2099, 1, 1)),
    st.sampled_from(ZONES),
    st.sampled_from([None, "earlier", "later"]),
)
@example(datetime(2024, 3, 31, 2, 30), "Europe/Berlin", None)
@example(datetime(2024, 3, 31, 2, 30), "Europe/Berlin", "earlier")
@example(datetime(2024, 3, 31, 2, 30), "Europe/Berlin", "later")
@example(datetime(2024, 10, 27, 2, 30), "Europe/Berlin", None)
@example(datetime(2024, 10, 27, 2, 30), "Europe/Berlin", "earlier")
@example(datetime(2024, 10, 27, 2, 30), "Europe/Berlin", "later")
@example(datetime(2024, 10, 6, 2, 15), "Australia/Lord_Howe", "earlier")
@example(datetime(2024, 10, 6, 2, 15), "Australia/Lord_Howe", "later")
def test_times_without_an_offset_are_of_the_sources_zone(local: datetime, zone: str, dst: Any) -> None:
    rules = TextRules(timezone=zone, dst=dst)
    wanted = in_zone(local, zone, dst)
    assert one("timestamp", str(local), rules) == wanted
    assert one("timestamp", str(local.replace(microsecond=0)), rules) == in_zone(
        local.replace(microsecond=0), zone, dst
    )
    item = Field(name="element", kind="timestamp")
    assert one("list", json.dumps([str(local)]), rules, item=item) == (None if wanted is None else [wanted])


def test_an_offset_wins_over_the_zone_and_a_date_has_none() -> None:
    rules = TextRules(timezone="Europe/Berlin")
    assert one("timestamp", "2024-07-01T12:00:00+02:00", rules) == datetime(2024, 7, 1, 10)
    assert one("timestamp", "2024-07-01", rules) == datetime(2024, 6, 30, 22)
    assert one("date", "2024-07-01", rules) == date(2024, 7, 1)
    assert one("date", "2024-07-01 00:00:00", rules) == date(2024, 7, 1)


# -- formats -----------------------------------------------------------------------------------------------------------

FORMATS = [
    "%d/%m/%Y", "%Y%m%d", "%m-%d-%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%d %b %Y",
    "%d %B %Y %I:%M %p", "%Y%m%d%H%M%S", "%y/%m/%d", "%Y-%m-%d %H:%M:%S%z", "%j %Y", "%H:%M:%S %d/%m/%Y",
]  # fmt: skip


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), st.sampled_from(FORMATS))
def test_what_strftime_writes_its_format_reads(value: datetime, form: str) -> None:
    text = value.replace(tzinfo=UTC).strftime(form)
    wanted = datetime.strptime(text, form).replace(tzinfo=None)
    assert one("timestamp", text, formats=(form,)) == wanted
    if not read_format(form).clock:
        assert one("date", text, formats=(form,)) == wanted.date()
        assert one("date", text, TextRules(date_formats=(form,))) == wanted.date()


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("%Y%m%d", "2024115", None),
        ("%Y%m%d", "202411", None),
        ("%Y%m%d", " 20240115 ", datetime(2024, 1, 15)),
        ("%d/%m/%Y", "1/2/24", None),
        ("%d/%m/%Y", "1/2/20245", None),
        ("%d/%m/%Y", "1/2/2024", datetime(2024, 2, 1)),
        ("%d/%m/%Y", "31/02/2024", None),
        ("%d/%m/%y", "1/2/24", datetime(2024, 2, 1)),
        ("%d/%m/%y", "1/2/2024", None),
        ("%Y-%m-%d %H:%M:%S", "2024-01-01 00:00:60", None),
        ("%Y-%m-%d %H:%M:%S.%f", "2024-01-01 00:00:00.5", datetime(2024, 1, 1, 0, 0, 0, 500_000)),
        ("%Y-%m-%d %H:%M:%S.%f", "2024-01-01 00:00:00.123456", datetime(2024, 1, 1, 0, 0, 0, 123_456)),
        ("%Y-%m-%d %H:%M:%S.%f", "2024-01-01 00:00:00.1234567", None),
        ("%Y-%m-%d %H:%M:%S.%f", "2024-01-01 00:00:00.123456000", datetime(2024, 1, 1, 0, 0, 0, 123_456)),
        ("%Y-%m-%d %H:%M:%S%.3f", "2024-01-01 00:00:00.123", datetime(2024, 1, 1, 0, 0, 0, 123_000)),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-01T00:00:00+0200", datetime(2023, 12, 31, 22)),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-01-01T00:00:00Z", datetime(2024, 1, 1)),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-01-01T00:00:00Z", datetime(2024, 1, 1)),
        ("%s", "1704067200", datetime(2024, 1, 1)),
        ("%s", "-1", datetime(1969, 12, 31, 23, 59, 59)),
        ("%s", "1704067200000", None),
        ("%D %T", "02/01/24 10:20:30", datetime(2024, 2, 1, 10, 20, 30)),
        ("%Y-%m", "2024-05", datetime(2024, 5, 1)),
        ("%d.%m.%Y 100%%", "1.2.2024 100%", datetime(2024, 2, 1)),
    ],
)
def test_formats_read_their_shape_and_nothing_else(form: str, text: str, value: datetime | None) -> None:
    zone = TextRules(timezone="UTC")
    assert one("timestamp", text, zone, formats=(form,)) == value
    assert one("timestamptz", text, zone, formats=(form,)) == (value and value.replace(tzinfo=UTC))


def test_a_literal_z_is_utc_whatever_the_zone() -> None:
    rules = TextRules(timezone="America/New_York")
    assert one("timestamp", "2024-01-01T00:00:00Z", rules, formats=("%Y-%m-%dT%H:%M:%SZ",)) == datetime(2024, 1, 1)


def test_formats_are_tried_in_order_and_others_are_not() -> None:
    field = Field(name="x", kind="date", formats=("%d/%m/%Y", "%Y.%m.%d"))
    assert cast(field, ["03/04/2024", "2024.04.03", "2024-04-03"]) == [date(2024, 4, 3), date(2024, 4, 3), None]
    rules = TextRules(date_formats=("%d/%m/%Y",))
    assert cast(Field(name="x", kind="date"), ["03/04/2024", "2024-04-03"], rules) == [date(2024, 4, 3)] * 2


def test_a_date_by_a_format_with_a_time_is_midnight() -> None:
    field = Field(name="x", kind="date", formats=("%d/%m/%Y %H:%M",))
    assert cast(field, ["03/04/2024 00:00", "03/04/2024 10:00"]) == [date(2024, 4, 3), None]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("%Y-%m-%d %H", "an hour and a minute at least"),
        ("%Y-%m-%d %H:%S", "an hour and a minute at least"),
        ("%Y-%m-%d %I:%M", "an hour of twelve without %p"),
        ("%Y-%m-%d %Z", "the name of a time zone"),
        ("%Y-%Q", "unknown directive '%Q'"),
        ("%Y-%", "begins no directive"),
    ],
)
def test_a_format_that_cannot_be_read_is_a_mistake(form: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one("timestamp", "x", formats=(form,))
    assert message in caught.value.problems()[0].message
    assert caught.value.problems()[0].field == "schema.x.formats"
    with pytest.raises(ConfigError) as caught:
        one("date", "x", TextRules(date_formats=(form,)))
    assert caught.value.problems()[0].field == "source.engine.options.date_formats"


# -- JSON, lists and structs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "good"),
    [('{"a": [1, 2.50]}', True), ("1e999999999", True), ('"x"', True), ("{a: 1}", False), ("[1,]", False), ("NaN", False),
     ("", False), ("[" * 5000 + "]" * 5000, False), ("'x'", False)],
)  # fmt: skip
def test_json_is_checked_and_left_as_it_is(text: str, good: bool) -> None:
    assert one("json", text) == (text if good else None)


def of(kind: str, **more: Any) -> Field:
    return Field(name="element", kind=kind, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "text", "value"),
    [
        (of("long"), "[1, null, 12.0, 1e3, -5]", [1, None, 12, 1000, -5]),
        (of("long"), "[12.7]", None),
        (of("long"), '["12"]', [12]),
        (of("long"), "[9223372036854775808]", None),
        (of("long"), "[1e999999999]", None),
        (of("long"), "[true]", None),
        (of("decimal", precision=38, scale=9), "[12345678901234567890.123456789]",
         [Decimal("12345678901234567890.123456789")]),
        (of("decimal", precision=38, scale=9), "[99999999999999999999999999999.999999999]",
         [Decimal("99999999999999999999999999999.999999999")]),
        (of("decimal", precision=12, scale=2), "[0.10, 1.005]", None),
        (of("decimal", precision=12, scale=2), '[0.10, "7", 1e2]', [Decimal("0.10"), Decimal(7), Decimal(100)]),
        (of("decimal", precision=3, scale=2), "[10]", None),
        (of("double"), '[1.5, 2, "inf", "1e3"]', [1.5, 2.0, float("inf"), 1000.0]),
        (of("double"), "[1e400]", None),
        (of("double"), '["1_000"]', None),
        (of("string"), '["a", 1, 1.50, true, [1.10], {"k": 2.0}, null]',
         ["a", "1", "1.50", "true", "[1.10]", '{"k":2.0}', None]),
        (of("json"), '[{"k": 1.10}, "x"]', ['{"k":1.10}', '"x"']),
        (of("boolean"), '[true, "yes", 0, "off"]', [True, True, False, False]),
        (of("boolean"), "[2]", None),
        (of("date"), '["2024-1-02"]', [date(2024, 1, 2)]),
        (of("date"), '["20240102"]', None),
        (of("time"), '["10:20", "1:2:3.5"]', [time(10, 20), time(1, 2, 3, 500_000)]),
        (of("time"), '["10:20+02:00"]', None),
        (of("time"), '["10:20:60"]', None),
        (of("timestamp"), '["2024-01-01T00:00:00.5+02:00"]', [datetime(2023, 12, 31, 22, 0, 0, 500_000)]),
        (of("timestamp"), '["2024-01-01T00:00:00.1234567"]', None),
        (of("timestamptz"), '["2024-01-01"]', [datetime(2024, 1, 1, tzinfo=UTC)]),
        (of("uuid"), '["123E4567-e89b-12d3-a456-426614174000"]', ["123e4567-e89b-12d3-a456-426614174000"]),
        (of("uuid"), '["123E4567e89b12d3a456426614174000"]', None),
        (of("binary"), '["AAE="]', [b"\0\1"]),
        (of("binary"), '["x"]', None),
        (of("list", item=of("long")), "[[1], [], null]", [[1], [], None]),
        (of("long"), "{}", None),
        (of("long"), "[]", []),
        (of("long"), "null", None),
        (of("long"), "[1", None),
    ],
    ids=str,
)  # fmt: skip
def test_lists_are_read_item_by_item(item: Field, text: str, value: Any) -> None:
    assert one("list", text, item=item) == value


def test_structs_take_their_fields_by_the_sources_names_and_defaults() -> None:
    fields = (
        Field(name="id", kind="long", source_name="Id", required=True),
        Field(name="on", kind="date", default="2024-01-02"),
        Field(name="price", kind="decimal", precision=5, scale=2),
    )
    field = Field(name="x", kind="struct", fields=fields)
    texts: list[str | None] = [
        '{"Id": 1, "price": 1.5, "more": 0}',
        '{"Id": 2, "on": "2024-03-04"}',
        '{"id": 3}',
        "[]",
        None,
    ]
    assert cast(field, texts) == [
        {"id": 1, "on": date(2024, 1, 2), "price": Decimal("1.50")},
        {"id": 2, "on": date(2024, 3, 4), "price": None},
        None,
        None,
        None,
    ]
