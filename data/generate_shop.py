"""Makes the tables that the jobs of jobs/shop read: `python data/generate_shop.py [--change]`.

A thousand customers who do not exist and five thousand orders of theirs go into Postgres, MySQL or MariaDB, whichever the
usual variables (PGHOST, MYSQL_HOST, …) name. `--change` then does what a day in the shop does: some orders are paid, one is
new, some customers move. Tables that are there already are left alone. The same seed gives the same rows.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

SEED = 20260301
CUSTOMERS, ORDERS = 1000, 5000
BEGIN = datetime(2026, 1, 1, 8)

FIRST = (
    "Ada Amir Ana Chen Dilek Elena Emeka Fatima Hugo Ines José Kaito Lucía Mei Noah Olga Priya Søren Yuki Zoë".split()
)
LAST = "Andersen Bianchi Costa Dubois Fischer García Haddad Kaya Kowalski Müller Nakamura O'Brien Okafor Patel Rossi".split()
COUNTRIES = ("DE", "DK", "ES", "FR", "IT", "JP", "NG", "PL", "TR")
CITIES = ("Berlin", "Aarhus", "Sevilla", "Lyon", "Torino", "Osaka", "Lagos", "Gdańsk", "İzmir")
STATUS = ("open", "paid", "paid", "shipped", "shipped", "shipped", "returned", "cancelled", "draft")

# By what differs between the databases: a time with a zone, JSON, a flag.
WORDS = {
    "postgres": {"moment": "timestamptz", "time": "timestamp", "json": "jsonb", "flag": "boolean"},
    "mysql": {"moment": "timestamp(6)", "time": "datetime(6)", "json": "json", "flag": "tinyint(1)"},
}
TABLES = {
    "customers": "id bigint PRIMARY KEY, first_name varchar(100) NOT NULL, last_name varchar(100) NOT NULL, "
    "email varchar(200) NOT NULL UNIQUE, phone varchar(40), birth_date date, country char(2), newsletter {flag}, "
    "changed_at {time} NOT NULL",
    "orders": "id bigint PRIMARY KEY, customer_id bigint NOT NULL, total decimal(12,2) NOT NULL, currency char(3) NOT NULL, "
    "status varchar(20) NOT NULL, items {json}, ship_to varchar(200), ordered_at {moment} NOT NULL, "
    "updated_at {moment} NOT NULL",
}
CHANGES = (
    "UPDATE orders SET status = 'paid', updated_at = '2026-03-01 09:00:00' WHERE status = 'open' AND id <= 100",
    "INSERT INTO orders VALUES "
    "(5001, 17, 42.00, 'EUR', 'open', '[]', 'Berlin', '2026-03-01 09:30:00', '2026-03-01 09:30:00')",
    "UPDATE customers SET country = 'PT', changed_at = '2026-03-01 10:00:00' WHERE id IN (17, 170, 700)",
)


def customers() -> Iterator[tuple[Any, ...]]:
    chance = random.Random(SEED)
    for number in range(1, CUSTOMERS + 1):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        born = datetime(1950, 1, 1) + timedelta(days=chance.randrange(20000))
        phone = f"+49 30 {chance.randrange(10**7):07}" if chance.random() < 0.8 else None
        changed = BEGIN + timedelta(minutes=7 * number)
        yield (number, first, last, f"customer{number}@example.com", phone, born.date(), chance.choice(COUNTRIES),
               chance.random() < 0.3, changed)  # fmt: skip


def orders() -> Iterator[tuple[Any, ...]]:
    chance = random.Random(SEED + 1)
    for number in range(1, ORDERS + 1):
        items = [
            {"sku": f"A{chance.randrange(400):03}", "n": chance.randrange(1, 4)} for _ in range(chance.randrange(1, 4))
        ]
        ordered = BEGIN + timedelta(minutes=15 * number)
        updated = ordered + timedelta(minutes=chance.randrange(2000))
        # Two have a currency that the contract does not know.
        currency = "eur" if number in (1234, 4321) else "EUR"
        yield (number, chance.randrange(1, CUSTOMERS + 1), chance.randrange(100, 50000) / 100, currency,
               chance.choice(STATUS), json.dumps(items), chance.choice(CITIES), ordered, updated)  # fmt: skip


def connected() -> Iterator[tuple[str, Any]]:
    """A connection to each database that variables name, in UTC."""
    if os.environ.get("PGHOST"):
        import psycopg2

        yield "postgres", psycopg2.connect("", options="-c timezone=UTC")
    if os.environ.get("MYSQL_HOST"):
        import pymysql

        yield (
            "mysql",
            pymysql.connect(
                host=os.environ["MYSQL_HOST"],
                port=int(os.environ.get("MYSQL_PORT", "3306")),
                user=os.environ.get("MYSQL_USER"),
                password=os.environ.get("MYSQL_PASSWORD", ""),
                database=os.environ.get("MYSQL_DATABASE"),
                init_command="SET time_zone = '+00:00'",
            ),
        )


def make(kind: str, link: Any) -> str:
    """Makes and fills the tables; what was done, in words."""
    with link.cursor() as cursor:
        schema = "current_schema()" if kind == "postgres" else "database()"
        cursor.execute(f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}")
        there = sorted({name for (name,) in cursor.fetchall()} & TABLES.keys())
        if there:
            return f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already: nothing was done"
        for name, rows in (("customers", customers()), ("orders", orders())):
            cursor.execute(f"CREATE TABLE {name} ({TABLES[name].format(**WORDS[kind])})")
            filled = list(rows)
            cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(filled[0]))})", filled)
        if kind == "postgres":
            cursor.execute("ANALYZE customers, orders")
        else:
            cursor.execute("ANALYZE TABLE customers, orders")
    return f"customers ({CUSTOMERS:,} rows) and orders ({ORDERS:,}) are made"


def change(link: Any) -> str:
    """A day in the shop; what was done, in words."""
    with link.cursor() as cursor:
        changed = 0
        for statement in CHANGES:
            cursor.execute(statement)
            changed += cursor.rowcount
    return f"{changed} rows were changed or added"


def main(changing: bool) -> int:
    done = False
    for kind, link in connected():
        sys.stdout.write(f"{kind}: {change(link) if changing else make(kind, link)}\n")
        link.commit()
        link.close()
        done = True
    if not done:
        sys.stderr.write(
            "no database is named: set PGHOST or MYSQL_HOST; `./dev services up postgres mariadb` prints them\n"
        )
    return 0 if done else 2


if __name__ == "__main__":
    sys.exit(main("--change" in sys.argv[1:]))
