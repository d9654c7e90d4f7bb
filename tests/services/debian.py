"""Programs of Debian's packages, unpacked into `.services/`: nothing of the system is changed, and no root is needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.services.programs import ROOT, locked


def unpacked(package: str, *further: str) -> Path | None:
    """The folder with the packages and what they need that this machine lacks; None where there is no Debian.

    They come from the machine's own package sources, and apt checks their digests.
    """
    kept = ROOT / "debian" / package
    with locked(f"debian-{package}"):
        if kept.is_dir():
            return kept
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            return None
        making = kept.with_name(f"{package}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        wanted = _missing(package, *further)
        if not wanted:
            return None
        subprocess.run(["apt-get", "download", "--quiet", *wanted], cwd=making, check=True, capture_output=True)
        for file in making.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(file), str(making)], check=True)
            file.unlink()
        making.rename(kept)
    return kept


def _missing(*packages: str) -> list[str]:
    """The packages that an installation of these would bring; none where the package sources do not know them."""
    command = ["apt-get", "install", "--simulate", "--no-install-recommends", "-o", "Debug::NoLocking=1", *packages]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line.split()[1] for line in told.stdout.splitlines() if line.startswith("Inst ")]


def libraries(folder: Path) -> str:
    """The value of LD_LIBRARY_PATH with which unpacked programs find their libraries."""
    return ":".join(str(path) for path in sorted(folder.glob("usr/lib/*-linux-gnu*")))
