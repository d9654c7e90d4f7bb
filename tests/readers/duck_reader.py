"""Runs in the reader's environment: pickled queries on standard input, their pickled answers on standard output."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import duckdb

connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute("SET autoinstall_known_extensions = false")
connection.execute("SET autoload_known_extensions = false")
connection.execute("SET TimeZone = 'UTC'")
packages = Path(duckdb.__file__).parent.parent
for name in ("avro", "httpfs", "iceberg"):
    [extension] = packages.glob(f"duckdb_ext/**/{name}.duckdb_extension")
    connection.execute(f"LOAD '{extension}'")
answers = [connection.execute(query).fetchall() for query in pickle.load(sys.stdin.buffer)]
sys.stdout.buffer.write(pickle.dumps(answers))
