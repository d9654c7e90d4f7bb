"""Postgres' own copying to nowhere: `COPY (…) TO STDOUT (FORMAT binary)` by several psql at once, in one snapshot.

    python postgres_copy.py TABLE CONNECTIONS      the server is that of PGHOST, PGPORT, …

Each reads a range of the table's pages, as dativo does. Nothing is looked at or kept: what no loader can be faster than.
Prints the number of rows.
"""

from __future__ import annotations

import subprocess
import sys

PSQL = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\n"


def main() -> None:
    """Copies the table."""
    table, connections = sys.argv[1], int(sys.argv[2])
    first = subprocess.Popen(PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdin is not None and first.stdout is not None
    first.stdin.write(f"{BEGIN}SELECT pg_export_snapshot();\nSELECT pg_relation_size('{table}') / 8192 + 1;\n")
    first.stdin.flush()
    snapshot, pages = first.stdout.readline().strip(), int(first.stdout.readline())
    readers = []
    for number in range(connections):
        low, high = pages * number // connections, pages * (number + 1) // connections
        query = f"SELECT * FROM {table} WHERE ctid >= '({low},0)' AND ctid < '({high},0)'"
        text = f"{BEGIN}SET TRANSACTION SNAPSHOT '{snapshot}';\n\\copy ({query}) TO '/dev/null' (FORMAT binary)\n"
        # The command tag tells the rows.
        loud = [a for a in PSQL if a != "-q"]
        reader = subprocess.Popen(loud, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert reader.stdin is not None
        reader.stdin.write(text)
        reader.stdin.close()
        readers.append(reader)
    rows = 0
    for reader in readers:
        assert reader.stdout is not None
        rows += sum(int(line.split()[1]) for line in reader.stdout if line.startswith("COPY "))
        if reader.wait():
            sys.exit("psql failed")
    first.stdin.close()
    first.wait()
    print(rows)


if __name__ == "__main__":
    main()
