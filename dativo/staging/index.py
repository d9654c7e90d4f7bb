"""What is known of a table's keys, kept on disk: a cache, which is right for one version of one table and for nothing else.

A folder with Parquet files, oldest first, and a manifest that names the table's version, what the files hold, and each
file's size and checksum. What is missing, damaged, or made for another version counts as nothing; it may be deleted at any
time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
import zlib
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 4 << 20


class KeyIndex:
    """The files kept in a folder. `holds` names what they hold, and by which scheme: files of another are not read."""

    def __init__(self, folder: Path, holds: str) -> None:
        self.folder = folder
        self.holds = holds

    def files(self, version: str | None, folder: Path) -> list[Path]:
        """The files for a version of the table, oldest first; none where they cannot be trusted to the last byte.

        They are given as links in a folder of the caller's: another run may remove them here at any time.
        """
        entries = self._entries(version)
        try:
            return [self._checked(entry, folder) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []

    def begin(self, version: str | None, file: Path | None) -> None:
        """Keeps a file, and nothing that was there before, for a version of the table. Without either nothing is kept."""
        if version is None or file is None:
            self.forget()
            return
        self._kept([], version, file)

    def add(self, before: str | None, version: str | None, file: Path | None) -> None:
        """Keeps a file besides those of the version before; without these, or a version now, nothing is kept."""
        entries = self._entries(before)
        if version is None or not entries:
            self.forget()
            return
        self._kept(entries, version, file)

    def forget(self) -> None:
        """Removes everything; what cannot be removed is not believed."""
        with contextlib.suppress(OSError):
            (self.folder / MANIFEST).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self, entries: list[dict[str, Any]], version: str, file: Path | None) -> None:
        """The manifest is written last; files that it does not name are removed. Whatever fails, nothing wrong is kept."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            entries = [*entries, *([self._stored(file)] if file is not None else [])]
            manifest = {"format": FORMAT, "holds": self.holds, "version": version, "files": entries}
            _write(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode())
            named = {MANIFEST, *(e["name"] for e in entries)}
            for other in self.folder.iterdir():
                if other.name not in named:
                    other.unlink()
        except OSError:
            self.forget()

    def _entries(self, version: str | None) -> list[dict[str, Any]]:
        """What the manifest has for a version of the table; nothing where it is damaged or of another one."""
        if version is None:
            return []
        try:
            found = json.loads((self.folder / MANIFEST).read_bytes())
            if (found["format"], found["holds"], found["version"]) != (FORMAT, self.holds, version):
                return []
            return list(found["files"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []

    def _checked(self, entry: dict[str, Any], folder: Path) -> Path:
        name = Path(entry["name"]).name
        path = folder / f"known-{name}"
        path.unlink(missing_ok=True)
        try:
            path.hardlink_to(self.folder / name)
        except FileNotFoundError:
            raise
        except OSError:
            # The folders lie on different disks, or on one that knows no links.
            shutil.copyfile(self.folder / name, path)
        if path.stat().st_size != entry["bytes"] or _checksum(path) != entry["crc32"]:
            raise ValueError
        return path

    def _stored(self, file: Path) -> dict[str, Any]:
        name = f"{uuid.uuid4().hex}.parquet"
        temporary = self.folder / f".{name}"
        with temporary.open("wb") as stream, file.open("rb") as source:
            temporary.chmod(0o600)
            shutil.copyfileobj(source, stream, _CHUNK)
            stream.flush()
            os.fsync(stream.fileno())
        path = temporary.rename(self.folder / name)
        return {"name": name, "bytes": path.stat().st_size, "crc32": _checksum(path)}


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as stream:
        temporary.chmod(0o600)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
