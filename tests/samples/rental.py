"""A film rental: 15 tables with foreign keys, two views, and the same rows in every database, made from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.samples.model import RATINGS, Column, Dialect, Sample, statements

SEED = 1977
_WORDS = (
    "Alien",
    "Brücke",
    "Čapek",
    "Dämmerung",
    "été",
    "Φως",
    "гора",
    "雪",
    "🎬",
    "O'Brien",
    'a "quote"',
    "back\\slash",
)
_FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Eve", "Ólafur", "名前", "Zoë")
_FEATURES = ("Trailers", "Commentaries", "Deleted Scenes")
_BEGIN = datetime(2005, 5, 24, 22, 53, 30, 123456)

C = Column
# Names that need care in SQL, in a contract and in a table.
ODD = 'Überstunden & "Notizen" & Größe ✎'
ODD_COLUMNS = (
    "select",
    "has space",
    "semi;colon",
    "ünïcödé",
    "名前",
    'quo"ted',
    "back`tick",
    "per%cent",
    "it's",
    "-- comment",
)


def samples() -> tuple[Sample, ...]:
    """Every table with its rows, in an order in which foreign keys are satisfied."""
    chance = random.Random(SEED)
    languages = [
        (i, name, code) for i, (name, code) in enumerate([("English", "en"), ("Ελληνικά", "el"), ("日本語", "ja")], 1)
    ]
    countries = [(i, f"Country {i}", None if i % 7 == 0 else chance.randint(1, 2**62)) for i in range(1, 21)]
    cities = [(i, _words(chance), chance.randint(1, 20)) for i in range(1, 61)]
    addresses = [
        (
            i,
            f"{i} {_words(chance)}",
            f"{chance.randint(0, 99999):05d}",
            chance.randint(1, 60),
            Decimal(chance.randint(-900000, 900000)).scaleb(-4),
        )
        for i in range(1, 121)
    ]
    actors = [
        (i, chance.choice(_FIRST), _words(chance), date(1900, 1, 1) + timedelta(days=chance.randint(0, 40000)))
        for i in range(1, 101)
    ]
    return (
        Sample("language", (C("id", "small"), C("name", "name"), C("code", "code")), ("id",), languages),
        Sample("country", (C("id", "int"), C("name", "name"), C("population", "big", True)), ("id",), countries),
        Sample(
            "city", (C("id", "int"), C("name", "name"), C("country_id", "int")),
            ("id",), cities, {"country_id": "country(id)"},
        ),
        Sample(
            "address",
            (C("id", "int"), C("street", "text"), C("postal_code", "name"), C("city_id", "int"), C("altitude", "money")),
            ("id",), addresses, {"city_id": "city(id)"},
        ),
        Sample(
            "actor", (C("id", "int"), C("first_name", "name"), C("last_name", "name"), C("born", "date")), ("id",), actors
        ),
        _films(chance),
        Sample(
            "film_actor", (C("film_id", "int"), C("actor_id", "int"), C("updated_at", "moment")), ("film_id", "actor_id"),
            [(f, a, _moment(chance)) for f in range(1, 301) for a in sorted(chance.sample(range(1, 101), 3))],
            {"film_id": "film(id)", "actor_id": "actor(id)"},
        ),
        Sample("category", (C("id", "small"), C("name", "name")), ("id",), [(i, w) for i, w in enumerate(_WORDS, 1)]),
        Sample(
            "film_category", (C("film_id", "int"), C("category_id", "small")), ("film_id", "category_id"),
            [(f, chance.randint(1, len(_WORDS))) for f in range(1, 301)],
            {"film_id": "film(id)", "category_id": "category(id)"},
        ),
        _staff(chance),
        _customers(chance),
        *_rentals(chance),
        _odd(chance),
        Sample("empty", (C("id", "int"), C("note", "text", True)), ("id",), []),
    )  # fmt: skip


VIEWS = {
    "film_list": "SELECT f.id AS film_id, f.title, c.name AS category, f.rental_rate FROM film f "
    "JOIN film_category fc ON fc.film_id = f.id JOIN category c ON c.id = fc.category_id",
    "sales": "SELECT rental_id, count(*) AS payments FROM payment GROUP BY rental_id",
}


def script(dialect: Dialect) -> str:
    """The SQL that makes an empty database into this one."""
    return statements(samples(), VIEWS, dialect)


def _films(chance: random.Random) -> Sample:
    rows = [
        (
            i, f"{_words(chance)} {i}", None if i % 11 == 0 else "line\nbreak\t" + _words(chance),
            1901 + chance.randint(0, 254),
            chance.randint(1, 3), Decimal(chance.randint(0, 99_9999)).scaleb(-4), chance.choice(RATINGS),
            [f for f in _FEATURES if chance.random() < 0.5], chance.random() * 10 ** chance.randint(-300, 300),
            Decimal(chance.randint(-(10**38) + 1, 10**38 - 1)).scaleb(-10), _moment(chance),
        )
        for i in range(1, 301)
    ]  # fmt: skip
    columns = (
        C("id", "int"), C("title", "text"), C("description", "text", True), C("released", "year"), C("language_id", "small"),
        C("rental_rate", "money"), C("rating", "rating"), C("features", "tags"), C("score", "double"), C("gross", "large"),
        C("updated_at", "moment"),
    )  # fmt: skip
    return Sample("film", columns, ("id",), rows, {"language_id": "language(id)"})


def _staff(chance: random.Random) -> Sample:
    shifts = (time(0, 0), time(8, 30, 15, 250000), time(23, 59, 59, 999999))
    rows = [
        (
            i,
            chance.choice(_FIRST),
            chance.randbytes(chance.randint(0, 300)) if i % 3 else None,
            i % 2 == 0,
            shifts[i % 3],
        )
        for i in range(1, 31)
    ]
    columns = (C("id", "int"), C("name", "name"), C("picture", "bytes", True), C("active", "flag"), C("shift", "time"))
    return Sample("staff", columns, ("id",), rows)


def _customers(chance: random.Random) -> Sample:
    rows = [
        (
            UUID(int=chance.getrandbits(128)), f"user{i}@example.com", chance.random() < 0.8,
            _moment(chance).replace(tzinfo=UTC), {"name": chance.choice(_WORDS), "n": i, "nested": {"list": [1, None, "ü"]}},
            None if i % 5 == 0 else date(1950, 1, 1) + timedelta(days=i),
        )
        for i in range(1, 201)
    ]  # fmt: skip
    columns = (
        C("id", "uuid"), C("email", "name"), C("active", "flag"), C("created_at", "instant"), C("profile", "json"),
        C("birthday", "date", True),
    )  # fmt: skip
    return Sample("customer", columns, ("id",), rows)


def _rentals(chance: random.Random) -> Iterable[Sample]:
    rentals = [(i, chance.randint(1, 300), _moment(chance), _moment(chance) if i % 4 else None) for i in range(1, 1001)]
    payments: list[tuple[Any, ...]] = [
        (
            2**62 + i,
            chance.randint(1, 1000),
            Decimal(chance.randint(-9999, 9_999_999)).scaleb(-4),
            _moment(chance).replace(tzinfo=UTC),
        )
        for i in range(1, 1501)
    ]
    yield Sample(
        "rental", (C("id", "big"), C("film_id", "int"), C("rented_at", "moment"), C("returned_at", "moment", True)),
        ("id",), rentals, {"film_id": "film(id)"},
    )  # fmt: skip
    yield Sample(
        "payment", (C("id", "big"), C("rental_id", "big"), C("amount", "money"), C("paid_at", "instant")),
        ("id",), payments, {"rental_id": "rental(id)"},
    )  # fmt: skip


def _odd(chance: random.Random) -> Sample:
    rows = [(i, *(_words(chance) for _ in ODD_COLUMNS)) for i in range(1, 26)]
    return Sample(ODD, (C("id", "int"), *(C(name, "text") for name in ODD_COLUMNS)), ("id",), rows)


def _moment(chance: random.Random) -> datetime:
    return _BEGIN + timedelta(microseconds=chance.randint(0, 95 * 10**13))


def _words(chance: random.Random) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(chance.randint(1, 3)))
