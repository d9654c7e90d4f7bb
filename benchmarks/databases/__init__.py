"""Benchmarks on databases: Postgres and MariaDB beside their own clients and dlt; upserts beside pyiceberg."""
