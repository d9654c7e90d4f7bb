"""Where measured processes run: an environment with dativo and its dependencies alone, one for dlt; facts on the machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Failed, run_json

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".local" / "bench"
DLT = "dlt[filesystem,parquet,duckdb,pyiceberg]==1.31.0"
_VERSIONS = """
import importlib.metadata as m, json, platform, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps({"python": platform.python_version(), **found}))
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python with what it has installed: package to version."""

    python: Path
    versions: dict[str, str]
    made_by: str

    @property
    def dativo(self) -> list[str]:
        """The command line of dativo."""
        script = self.python.parent / "dativo"
        return [str(script)] if script.exists() else [str(self.python), "-m", "dativo"]


def core(extras: Sequence[str] = ()) -> Environment:
    """dativo with its run-time dependencies, those of `extras`, and nothing else; without uv, the Python that runs this."""
    uv = shutil.which("uv")
    if uv is None:
        return _described(Path(sys.executable), "the running interpreter (uv was not found)")
    folder = BENCH / "-".join(["env", *extras])
    _quiet(
        [
            uv,
            "sync",
            "--frozen",
            "--no-default-groups",
            "--no-dev",
            "--no-editable",
            "--reinstall-package",
            "dativo",
            *(f"--extra={name}" for name in extras),
            "--python",
            sys.executable,
        ],
        {"UV_PROJECT_ENVIRONMENT": str(folder)},
    )
    return _described(folder / "bin" / "python", "uv sync --no-default-groups --no-dev --no-editable")


def dlt() -> Environment:
    """dlt in an environment of its own; Failed without uv."""
    return apart("dlt", DLT)


def apart(name: str, *requirements: str) -> Environment:
    """Packages of PyPI in an environment of their own, kept under a name; Failed without uv."""
    uv = shutil.which("uv")
    if uv is None:
        raise Failed(f"{name} is measured in an environment that uv makes, and uv was not found")
    python = BENCH / name / "bin" / "python"
    if not python.exists():
        _quiet([uv, "venv", "--python", sys.executable, str(BENCH / name)])
    _quiet([uv, "pip", "install", "--python", str(python), *requirements])
    return _described(python, f"uv pip install {' '.join(map(repr, requirements))}")


def _quiet(command: list[str], more: dict[str, str] | None = None) -> None:
    env = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | {"UV_PYTHON_DOWNLOADS": "never"} | (more or {})
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stderr}")


def _described(python: Path, made_by: str) -> Environment:
    names = ("dativo", "polars", "duckdb", "pyarrow", "pyiceberg", "obstore", "dlt", "pandas", "connectorx",
             "adbc-driver-postgresql", "pymysql", "psycopg2-binary")  # fmt: skip
    return Environment(python, run_json([str(python), "-c", _VERSIONS, *names], cwd=ROOT), made_by)


def machine() -> dict[str, str]:
    """Processor, cores, memory and system, for people."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = named[0] if named else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }
