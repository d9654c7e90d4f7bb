"""A new project: the skeleton to start from, or the demo that ships with dativo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dativo.config import paths
from dativo.errors import ConfigError, Mark, Problem
from dativo.pipeline.jobs import place

DEMO = ("jobs/demo", "assets/csv/v1.0", "data/demo")

_FILES = {
    "jobs/example/people_to_iceberg.yaml": """\
# What a run does: source -> contract -> table. Try `dativo preview people_to_iceberg`, then `dativo sync people_to_iceberg`.
tenant_id: example
source_connector_path: connectors/sources/csv.yaml
target_connector_path: connectors/targets/iceberg.yaml
asset_path: assets/csv/v1.0/people.yaml
source:
  files:
    - path: data/people.csv
# strict: any bad row stops the run. quarantine: bad rows are set aside. warn: bad values become null.
schema_validation_mode: quarantine
max_rejects: 5%
""",
    "assets/csv/v1.0/people.yaml": """\
# The data contract: what the table's columns are, and what holds for them.
name: people
version: "1.0"
domain: example
team: {owner: you@example.com}
schema:
  - {name: id, type: integer, required: true, primary_key: true}
  - {name: name, type: string, required: true, classification: PII}
  - {name: email, type: string, pattern: "^[^@ ]+@[^@ ]+$", classification: PII}
  - {name: born, type: date}
  - {name: score, type: "decimal(5,2)", minimum: 0}
""",
    "data/people.csv": """\
id,name,email,born,score
1,Ada Lovelace,ada@example.com,1815-12-10,98.50
2,Alan Turing,alan@example.com,1912-06-23,97.25
3,Grace Hopper,grace@example.com,1906-12-09,99.00
""",
    ".gitignore": """\
.local/
.env
secrets/
""",
    "README.md": """\
# A dativo project

    dativo validate                     # every configuration mistake at once
    dativo preview people_to_iceberg    # the rows as they would be loaded
    dativo sync people_to_iceberg       # load them into an Iceberg table below .local/
    dativo show people_to_iceberg       # the table

`jobs/` says what is loaded from where to where, `assets/` has the data contracts, `data/` the files of the example.

From a database: `dativo discover postgres` (or `mysql`, `sqlite`) shows its tables, and with `--write-asset assets` drafts
their contracts. It finds the database by the usual variables: `PGHOST`, `PGUSER`, `MYSQL_HOST`, `SQLITE_DATABASE_PATH`.
""",
}


def init(kind: str = "skeleton", folder: Path | None = None) -> list[Path]:
    """Makes a project in a folder and gives the files that it made.

    `kind` is `skeleton` or `demo`. Nothing that exists is overwritten: raises ConfigError when a file is there already,
    before anything is written.
    """
    here = paths.expanded(str(folder)) if folder is not None else Path.cwd()
    if kind == "demo":
        sources = {f"{part}/{p.name}": p for part in DEMO for p in sorted(paths.bundled(part).iterdir()) if p.is_file()}
        _refuse_existing(here, list(sources))
        return [_copy(source, here / name) for name, source in sources.items()]
    _refuse_existing(here, list(_FILES))
    return [_write(here / name, text) for name, text in _FILES.items()]


def _refuse_existing(here: Path, names: list[str]) -> None:
    problems = [
        Problem(
            "the file exists already, and nothing was written",
            Mark(paths.shown(here / name)),
            hint="use an empty folder",
        )
        for name in names
        if place(here / name)[1] is not None
    ]
    if problems:
        raise ConfigError(problems)


def _copy(source: Path, goal: Path) -> Path:
    return _made(goal, lambda: shutil.copyfile(source, goal))


def _write(goal: Path, text: str) -> Path:
    return _made(goal, lambda: goal.write_text(text, encoding="utf-8"))


def _made(goal: Path, work: Callable[[], object]) -> Path:
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        work()
    except OSError as error:
        raise ConfigError([Problem(f"the file cannot be written: {error.strerror}", Mark(paths.shown(goal)))]) from None
    return goal
