"""Benchmarks on a lakehouse: Nessie, MinIO and Azurite on this machine, beside the embedded catalog and Polars."""
