"""What is measured: scenarios, each with contenders that run in turn on the same input.

A contender has a folder of its own, made anew before each run; what is made ready there is not counted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.environments import Environment

HERE = Path(__file__).resolve().parent
SIZES = {"small": 200_000, "1m": 1_000_000, "10m": 10_000_000, "50m": 50_000_000}
BIG = ("1m", "10m")
ALL = tuple(SIZES)
SECRETS = {"DATIVO_SECRET__BENCH__PRIVACY_KEY": "0123456789abcdef0123456789abcdef"}
JOBS = 1_000
IMPORTS = "import polars, duckdb, pyarrow, pyiceberg.catalog.sql"


def _anything(_text: str) -> bool:
    return True


@dataclass(slots=True)
class Bench:
    """Where a size is measured: the environments, the input files by name, and what each file holds.

    `variables` are those of every measured process.
    """

    root: Path
    core: Environment
    dlt: Environment | None
    files: dict[str, Path] = field(default_factory=dict)
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def script(self, name: str, *arguments: object) -> list[str]:
        """The command line of a script beside this file, in the core environment."""
        return [str(self.core.python), "-P", str(HERE / name), *map(str, arguments)]


@dataclass(slots=True)
class Check:
    """What must be true after a run: the answer to `request` (see check.py) has `expected` in it."""

    request: dict[str, Any]
    expected: dict[str, int]


@dataclass(frozen=True, slots=True)
class Contender:
    """A command that is measured. `ready` fills its fresh folder and gives the command; `checks` what it must have done."""

    label: str
    ready: Callable[[Bench, Path], list[str]]
    checks: Callable[[Bench, Path], list[Check]] = lambda _bench, _folder: []
    shows: Callable[[str], bool] = _anything
    sizes: tuple[str, ...] = ALL


@dataclass(frozen=True, slots=True)
class Scenario:
    """Contenders over one input, by name; `dativo` is always the first. `sizes` are those that it is measured at."""

    title: str
    contenders: dict[str, Contender]
    sizes: tuple[str, ...] = ALL


def project(bench: Bench, folder: Path, data: str) -> None:
    """A dativo project with the benchmark's contracts and jobs, and a link to an input file."""
    shutil.copytree(HERE / "contracts", folder / "assets")
    shutil.copytree(HERE / "jobs", folder / "jobs" / "bench")
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").symlink_to(bench.files[data])


def _sync(job: str, data: str, *, before: str | None = None) -> Callable[[Bench, Path], list[str]]:
    """Runs a job over an input; with `before`, it has already run over that one."""

    def ready(bench: Bench, folder: Path) -> list[str]:
        project(bench, folder, before or data)
        command = bench.script("dativo_load.py", f"jobs/bench/{job}.yaml")
        if before:
            measure.run(command, cwd=folder, more={**SECRETS, **bench.variables})
            link = folder / "data" / "orders.csv"
            link.unlink()
            link.symlink_to(bench.files[data])
        return command

    return ready


def _table(
    data: str, what: str, *, rejects: bool = False, before: str | None = None
) -> Callable[[Bench, Path], list[Check]]:
    """The table holds the `what` rows of the input (and those of `before`), the rejects table all the others."""

    def checks(bench: Bench, folder: Path) -> list[Check]:
        found = bench.facts[data]
        rows, cents = found[what], found[f"{what}_cents"]
        if before:
            rows, cents = rows + bench.facts[before]["rows"], cents + bench.facts[before]["good_cents"]
        bad = found["rows"] - found["good"] if rejects else 0
        request = {"kind": "table", "project": str(folder), "name": "default.orders"}
        return [Check(request, {"rows": rows, "cents": cents, "rejects": bad})]

    return checks


def _rival(script: str, data: str, what: str, *, existing: str | None = None) -> Callable[[Bench, Path], list[str]]:
    """A script over an input; `existing` names the Parquet file that holds what was loaded before."""

    def ready(bench: Bench, folder: Path) -> list[str]:
        more = [bench.files[existing]] if existing else []
        command = bench.script(f"rivals/{script}", bench.files[data], folder / "out", what, *more)
        if script.startswith("dlt"):
            assert bench.dlt is not None
            command[0] = str(bench.dlt.python)
        return command

    return ready


def _parquet(
    data: str, what: str, files: str = "orders.parquet", *, rejects: bool = False
) -> Callable[[Bench, Path], list[Check]]:
    """The Parquet files hold the `what` rows of the input, and the file of rejects all the others."""

    def checks(bench: Bench, folder: Path) -> list[Check]:
        found = bench.facts[data]
        request = {"kind": "parquet", "files": str(folder / "out" / files)}
        wanted = [Check(request, {"rows": found[what], "cents": found[f"{what}_cents"]})]
        if rejects:
            lines = {"kind": "rows", "files": str(folder / "out" / "rejects.parquet"), "of": "line"}
            wanted.append(Check(lines, {"rows": found["rows"] - found["good"]}))
        return wanted

    return checks


def _cli(*arguments: str) -> Callable[[Bench, Path], list[str]]:
    def ready(bench: Bench, folder: Path) -> list[str]:
        project(bench, folder, "plain")
        return [*bench.core.dativo, *arguments]

    return ready


def _many_jobs(bench: Bench, folder: Path) -> list[str]:
    """A project of a thousand jobs over ten contracts."""
    project(bench, folder, "plain")
    job = (HERE / "jobs" / "load.yaml").read_text()
    contract = (HERE / "contracts" / "orders.yaml").read_text()
    for number in range(10):
        text = contract.replace("name: orders", f"name: orders_{number}", 1)
        (folder / "assets" / f"orders_{number}.yaml").write_text(text)
    shutil.rmtree(folder / "jobs" / "bench")
    (folder / "jobs" / "many").mkdir()
    for number in range(JOBS):
        text = job.replace("assets/orders.yaml", f"assets/orders_{number % 10}.yaml")
        (folder / "jobs" / "many" / f"job_{number:04}.yaml").write_text(text)
    return [*bench.core.dativo, "validate", "jobs"]


def _python(code: str) -> Callable[[Bench, Path], list[str]]:
    return lambda bench, _folder: [str(bench.core.python), "-c", code]


def _twenty_rows(text: str) -> bool:
    shown = json.loads(text)
    streams = shown["streams"] if isinstance(shown, dict) and "streams" in shown else [shown]
    return len(streams[0]["rows"]) == 20


def _loaded(text: str) -> bool:
    return "status='loaded'" in text


_DATIVO = Contender("dativo", _sync("load", "plain"), _table("plain", "good"), _loaded)
_DUCKDB = "DuckDB, typed COPY to Parquet"
_DLT = "lake/bench/orders/**/*.parquet"

SCENARIOS: dict[str, Scenario] = {
    "load": Scenario(
        "Load: CSV by a contract into a new table, committed",
        {
            "dativo": _DATIVO,
            "duckdb": Contender(_DUCKDB, _rival("duckdb_load.py", "plain", "load"), _parquet("plain", "good")),
            "polars": Contender(
                "Polars, casts to Parquet", _rival("polars_load.py", "plain", "load"), _parquet("plain", "good")
            ),
            **{
                f"dlt_{what}": Contender(
                    label, _rival("dlt_load.py", "plain", what), _parquet("plain", "good", _DLT), sizes=BIG
                )
                for what, label in (
                    ("iceberg", "dlt to Iceberg, DuckDB reader"),
                    ("parquet", "dlt to Parquet, DuckDB reader"),
                    ("pyarrow", "dlt to Parquet, pyarrow reader"),
                )
            },
        },
    ),
    "dedup": Scenario(
        "Load with a key: 20% of the rows repeat an earlier one",
        {
            "dativo": Contender("dativo", _sync("dedup", "repeats"), _table("repeats", "distinct"), _loaded),
            "duckdb": Contender(
                "DuckDB, window over the rows", _rival("duckdb_load.py", "repeats", "dedup"), _parquet("repeats", "distinct")
            ),
        },
    ),
    "append": Scenario(
        "A second file against a table of as many rows: 20% repeat, half of the keys are there already",
        {
            "dativo": Contender(
                "dativo", _sync("dedup", "second", before="plain"), _table("second", "fresh", before="plain"), _loaded
            ),
            "duckdb": Contender(
                "DuckDB, window and anti join",
                _rival("duckdb_load.py", "second", "dedup", existing="loaded"),
                _parquet("second", "fresh"),
            ),
        },
        BIG,
    ),
    "rejects": Scenario(
        "Load with 2% bad rows: good ones loaded, bad ones kept with the reason",
        {
            "dativo": Contender("dativo", _sync("rejects", "bad"), _table("bad", "good", rejects=True), _loaded),
            "duckdb": Contender(
                "DuckDB, store_rejects", _rival("duckdb_load.py", "bad", "rejects"), _parquet("bad", "good", rejects=True)
            ),
        },
    ),
    "features": Scenario(
        "The plain load, with columns hashed, and with 48 rules",
        {
            "dativo": _DATIVO,
            "hash": Contender("dativo, 2 columns hashed", _sync("hash", "plain"), _table("plain", "good"), _loaded),
            "rules": Contender("dativo, 48 rules on 12 columns", _sync("rules", "plain"), _table("plain", "good"), _loaded),
        },
        BIG,
    ),
    "unchanged": Scenario(
        "A second run when nothing has changed",
        {
            "dativo": Contender(
                "dativo", _sync("load", "plain", before="plain"), _table("plain", "good"),
                lambda text: "status='unchanged'" in text,
            )
        },
        ("small", "1m", "10m"),
    ),
    "commands": Scenario(
        "Commands",
        {
            "python": Contender("python -c pass", _python("pass")),
            "imports": Contender("python, importing the libraries", _python(IMPORTS)),
            "help": Contender("dativo --help", _cli("--help"), shows=lambda text: "validate" in text),
            "validate": Contender("dativo validate, 1 job", _cli("validate", "jobs/bench/load.yaml")),
            "validate_many": Contender("dativo validate, 1,000 jobs", _many_jobs),
            "preview": Contender(
                "dativo preview, 20 rows of the file",
                _cli("preview", "jobs/bench/load.yaml", "--rows", "20", "--json"),
                shows=_twenty_rows,
            ),
        },
        ("small", "1m", "10m"),
    ),
}  # fmt: skip
