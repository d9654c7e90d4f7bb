"""Writes data/demo/employees.csv: 1,000 employees who do not exist, and a handful of rows that break the contract.

The same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import random
from datetime import date, datetime, timedelta
from pathlib import Path

SEED = 20260101
ROWS = 1000
COLUMNS = (
    "employee_id,first_name,last_name,email,phone,birth_date,department,job_title,salary,hired_on,manager_id,remote,last_login"
).split(",")

FIRST = (
    "Ada Amir Ana Anders Ben Chen Chiara Daniel Dilek Elena Emeka Eva Felix Fatima Giulia Hana Hugo Ines Ivan Jana José "
    "Kaito Lea Liam Lucía Malik Marta Mei Mia Nadia Noah Olga Omar Paul Priya Rosa Samir Sofia Søren Tariq Uwe Vera Yuki Zoë"
).split()
LAST = (
    "Andersen Bauer Bianchi Chen Cohen Costa Dubois Eriksson Fischer García Haddad Horvat Ivanova Jensen Kaya Kim Kowalski "
    "Kumar Larsen Martin Meyer Moreau Müller Nakamura Nguyen Novák O'Brien Okafor Olsen Patel Petrov Rossi Sato Schmidt "
    "Silva Smith Suzuki Tanaka Torres Weber Wójcik Yılmaz Zhang"
).split()
TITLES = {
    "Engineering": ("Engineer", "Senior Engineer", "Staff Engineer"),
    "Sales": ("Account Executive", "Sales Manager"),
    "Finance": ("Accountant", "Controller"),
    "People": ("Recruiter", "People Partner"),
    "Support": ("Support Agent", "Support Lead"),
}
ASCII = str.maketrans({"é": "e", "í": "i", "ø": "o", "ë": "e", "á": "a", "ó": "o", "ü": "u", "ı": "i", "'": ""})


def employee(number: int, random: random.Random) -> list[str]:
    """One row that keeps the contract."""
    first, last = random.choice(FIRST), random.choice(LAST)
    department = random.choice(sorted(TITLES))
    born = date(1960, 1, 1) + timedelta(days=random.randrange(16000))
    hired = date(2012, 1, 1) + timedelta(days=random.randrange(5000))
    login = datetime(2025, 12, 1) + timedelta(minutes=random.randrange(44640))
    address = f"{first}.{last}{number}@example.com".lower().translate(ASCII)
    return [
        str(1000 + number),
        first,
        last,
        address,
        f"+49 30 {random.randrange(1000000, 9999999)}" if random.random() < 0.9 else "",
        born.isoformat(),
        department,
        random.choice(TITLES[department]),
        f"{random.randrange(3200000, 14500000) / 100:.2f}",
        hired.isoformat(),
        "" if number < 8 else str(1000 + random.randrange(8)),
        random.choice(("true", "false")),
        login.isoformat(sep=" ") if random.random() < 0.95 else "",
    ]


def broken(rows: list[list[str]]) -> None:
    """Breaks some rows, each in a way of its own."""

    def put(row: int, column: str, value: str) -> None:
        rows[row][COLUMNS.index(column)] = value

    put(16, "email", "not-an-address")
    put(87, "hired_on", "2023-02-30")
    put(141, "last_name", "")
    put(205, "salary", "n/a")
    put(333, "salary", "-1.00")
    put(404, "department", "Enginering")
    put(512, "remote", "maybe")
    put(512, "birth_date", "12/05/1990")
    put(640, "employee_id", "")
    put(777, "email", rows[776][COLUMNS.index("email")])
    rows[858] = rows[858][:9]  # a record that was cut off
    rows[931] = list(rows[930])  # delivered twice


def text() -> str:
    """The file's content."""
    chance = random.Random(SEED)
    rows = [employee(number, chance) for number in range(ROWS)]
    broken(rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


if __name__ == "__main__":
    (Path(__file__).parent / "demo" / "employees.csv").write_text(text(), encoding="utf-8")
