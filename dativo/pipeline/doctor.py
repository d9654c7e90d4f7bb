"""Whether this machine and this folder are fit for dativo: one line a check, each with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec

from dativo import connectors
from dativo.config import paths
from dativo.errors import ConfigError
from dativo.pipeline.jobs import jobs_folder, yaml_files
from dativo.pipeline.offer import missing_packages
from dativo.pipeline.validate import validate

PACKAGES = ("polars", "polars-hash", "duckdb", "pyarrow", "pyiceberg", "msgspec", "rich", "typer")
LITTLE_DISK = 2 << 30
FEW_FILES = 1024


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `ok` is None for what is only told."""

    name: str
    ok: bool | None
    message: str
    hint: str = ""


def doctor(folder: Path | None = None) -> list[Check]:
    """Every check, in the order in which they matter. Nothing is changed but a file that is written and removed again."""
    here = folder or Path.cwd()
    return [*_program(), *_machine(here), *_project(here)]


def _program() -> Iterator[Check]:
    yield Check(
        name="dativo", ok=True, message=f"{metadata.version('dativo')} in {Path(__file__).resolve().parents[1]}"
    )
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Check(
        name="python",
        ok=good,
        message=f"{version}, {sys.executable}",
        hint="" if good else "dativo needs Python 3.11 or newer",
    )
    for name in PACKAGES:
        try:
            yield Check(name=name, ok=True, message=metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(name=name, ok=False, message="not installed", hint="install dativo again: `pip install dativo`")
    yield _connectors()


def _connectors() -> Check:
    """Which connectors have all that they need; of the others what to install, which is needed only by who uses them."""
    known = sorted({*connectors.SOURCES, *connectors.TARGETS})
    lacking = {name: packages for name in known if (packages := missing_packages(name))}
    ready = [name for name in known if name not in lacking]
    hint = "\n".join(f"{name}: pip install 'dativo[{name}]'" for name in lacking)
    without = f"; packages are missing for {', '.join(lacking)}" if lacking else ""
    return Check(name="connectors", ok=None, message=f"ready: {', '.join(ready)}{without}", hint=hint)


def _machine(here: Path) -> Iterator[Check]:
    import resource

    yield Check(
        name="machine", ok=None, message=f"{platform.system()} {platform.machine()}, {_cores()} cores, {_memory()}"
    )
    free = shutil.disk_usage(here).free
    yield Check(
        name="disk",
        ok=free >= LITTLE_DISK,
        message=f"{free / (1 << 30):.1f} GiB free",
        hint="" if free >= LITTLE_DISK else "tables and staging need room: free some space, or set target.warehouse",
    )
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Check(
        name="open files",
        ok=limit >= FEW_FILES,
        message=f"at most {limit}",
        hint="" if limit >= FEW_FILES else "raise the limit with `ulimit -n 4096`",
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{total / (1 << 30):.0f} GiB memory"


def _project(here: Path) -> Iterator[Check]:
    root = paths.project_root(here)
    folder = jobs_folder(here)
    if root is None and folder is None:
        yield Check(
            name="project",
            ok=False,
            message="none here",
            hint="make one with `dativo init`, or a demo with `dativo init demo`",
        )
        return
    yield Check(name="project", ok=True, message=str(root or here))
    yield _writable(root or here)
    try:
        files = yaml_files(folder) if folder is not None else []
    except ConfigError as error:
        yield Check(name="jobs", ok=False, message=error.message, hint="check the permissions of jobs/")
        return
    if not files:
        yield Check(name="jobs", ok=False, message="no job below jobs/", hint="see docs/getting-started.md")
        return
    found = validate(files)
    yield Check(
        name="jobs",
        ok=found.ok,
        message=f"{len(files)} file(s), {found.errors} error(s), {found.warnings} warning(s)",
        hint="" if found.ok else "see them with `dativo validate`",
    )


def _writable(root: Path) -> Check:
    place = root / ".local"
    probe = place / f".doctor-{os.getpid()}"
    made = not place.exists()
    try:
        place.mkdir(exist_ok=True)
        probe.write_text("ok")
        probe.unlink()
        if made:
            place.rmdir()
    except OSError as error:
        return Check(
            name="writable", ok=False, message=f"{place}: {error.strerror}", hint="check the folder's permissions"
        )
    return Check(name="writable", ok=True, message=str(place))
