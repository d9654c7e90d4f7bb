"""Benchmarks: a seeded generator, dativo and its rivals in processes of their own, tables and a chart of what came out."""
