"""A process that writes to the table `orders` without a pause until its input ends: it inserts and updates in transactions
that overlap, and keeps every version that it commits in the table `history`.

    python -m tests.faults.writer      reads one line of JSON: dialect, name, port, threads, seed

A transaction's rows have the time of its beginning, as `now()` gives it: others that began later are committed earlier. Each
thread has rows of its own, so that of two versions of a row the later one has the later time. At the end it prints the
number of transactions.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from typing import Any

from tests.samples.databases import Database
from tests.services.mariadb import MariaDb
from tests.services.postgres import Postgres

LONGEST = 0.15
NEW, CHANGED = 4, 6


def main() -> None:
    order = json.loads(sys.stdin.readline())
    server = Postgres(order["port"]) if order["dialect"] == "postgres" else MariaDb(order["port"])
    database = Database(order["dialect"], order["name"], server)
    over = threading.Event()
    counts = [0] * order["threads"]

    def write(thread: int) -> None:
        chance = random.Random(order["seed"] + thread)
        own = list(range(thread, 300, order["threads"]))
        line = database._connect()
        try:
            while not over.is_set():
                transaction(line, chance, own, thread, order["threads"])
                counts[thread] += 1
        finally:
            line.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(order["threads"])]
    for one in threads:
        one.start()
    sys.stdin.read()
    over.set()
    for one in threads:
        one.join()
    print(sum(counts))


def transaction(line: Any, chance: random.Random, own: list[int], thread: int, threads: int) -> None:
    """Some rows changed and some new ones, committed after a while, or taken back."""
    back = chance.random() < 0.1
    fresh = [own[-1] + threads * n for n in range(1, NEW + 1)]
    with line.cursor() as cursor:
        cursor.execute("SELECT now()" if not hasattr(line, "character_set_name") else "SELECT now(6)")
        moment = cursor.fetchone()[0].replace(tzinfo=None)
        for number in chance.sample(own, min(CHANGED, len(own))):
            name = f"{thread}:{time.time_ns()}"
            cursor.execute("UPDATE orders SET name = %s, updated_at = %s WHERE id = %s", (name, moment, number))
            if cursor.rowcount:
                cursor.execute("INSERT INTO history VALUES (%s, %s, %s)", (number, name, moment))
            time.sleep(chance.uniform(0, LONGEST / 20))
        for number in fresh:
            name = f"{thread}:new {number}"
            cursor.execute("INSERT INTO orders VALUES (%s, %s, 1.25, %s, '')", (number, name, moment))
            cursor.execute("INSERT INTO history VALUES (%s, %s, %s)", (number, name, moment))
        time.sleep(chance.uniform(0, LONGEST))
    if back:
        line.rollback()
        return
    line.commit()
    own.extend(fresh)


if __name__ == "__main__":
    main()
