"""Iceberg tables as a target."""

import os

# Polars warns at every scan that another package of its makers would plan it faster; pyiceberg plans them here.
os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")
