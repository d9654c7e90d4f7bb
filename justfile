# Every recipe is run through `./dev RECIPE` or `uv run just RECIPE`, which puts the project's environment on the PATH.

export UV_PYTHON_DOWNLOADS := "never"
export PYTHONDONTWRITEBYTECODE := ""

# The list of recipes.
default:
    @just --list --unsorted

# Run the demo: a CSV file through its contract into an Iceberg table below .local/.
demo:
    @DATIVO_COMMAND="./dev dativo" dativo sync

# Run dativo itself: `./dev dativo show employees_to_iceberg`.
dativo *arguments:
    @DATIVO_COMMAND="./dev dativo" dativo {{ arguments }}

# Run all tests; what they need is installed and started by themselves.
test *arguments:
    pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not spark" {{ arguments }}

# Read tables back with DuckDB's and Spark's own Iceberg readers; installs Spark (480 MB) below .local/.
test-readers *arguments:
    pytest tests/readers {{ arguments }}

# Run the tests that need no server and take less than a minute.
test-quick *arguments:
    pytest -n 2 -m "not server and not slow" {{ arguments }}

# Let random mishaps befall runs, on the embedded catalog and on Nessie, and look for lost or doubled rows: docs/soak.md.
soak rounds="1000" *arguments:
    python -m tests.faults.soak {{ rounds }} {{ arguments }}

# Incremental runs while somebody writes to the database all the time; no row may be lost or doubled.
soak-databases runs="50" *arguments:
    DATIVO_RUNS={{ runs }} pytest tests/faults/test_database_writer.py {{ arguments }}

# Servers to try things on: `just services up|down|status|logs [NAME…]`; docs/development/services.md. Tests start their own.
services *arguments:
    python -m tests.services {{ arguments }}

# Measure dativo beside its rivals: `just bench small|1m|10m|50m`; the results go to docs/benchmarks.md.
bench size="10m" *arguments:
    python -m benchmarks.run --size {{ size }} {{ arguments }}

# Measure dativo on Nessie, MinIO and Azurite; the results go to docs/benchmarks-lake.md.
bench-lake *arguments:
    python -m benchmarks.lake.run {{ arguments }}

# Measure loads from Postgres and MariaDB, and upserts: `just bench-db small|1m|5m`; the results go to docs/benchmarks-databases.md.
bench-db size="small" *arguments:
    python -m benchmarks.databases.run --size {{ size }} {{ arguments }}

# Check style, formatting and types.
lint:
    ruff check .
    ruff format --check .
    mypy

# Check every YAML file of the repository: against the schemas of `schemas/`, and by `dativo validate`.
schema-validate:
    python -m tests.schema_validate

# Mend style and formatting.
format:
    ruff check --fix .
    ruff format .

# Write what is generated: JSON schemas, the configuration reference, the demo's data.
docs:
    python -m dativo.config.schema
    python -m dativo.config.reference
    python data/generate_employees.py

# Build the wheel and the source distribution.
build:
    {{ env("UV", "uv") }} build --quiet

# Remove what runs and tests have left: tables, state, caches.
clean:
    rm -rf .local/state .local/warehouse .local/staging .local/bench dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
