"""Secrets of a tenant in files: `{folder}/{tenant}/FILE`, one secret a file, named by the file's stem.

`.json` is a document, `.env` is `KEY=VALUE` lines, anything else is a text. Files whose names begin with a dot and
folders are skipped. What leads out of the tenant's folder is not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dativo.config import paths
from dativo.config.environment import Environment, process_environment
from dativo.config.secret_files import UnreadableSecret, read_secret_file, secret_name
from dativo.config.secrets import Payload, Secrets
from dativo.errors import Mark, Problem, listed

DEFAULT_FOLDERS = (Path("/secrets"), Path("secrets"))
# Of two files of one name, entries of the earlier kind win.
_RANKS = (".json", ".env")


def default_folder() -> Path:
    """`/secrets` where it is there, else `secrets` in the working directory."""
    return next((folder for folder in DEFAULT_FOLDERS if folder.is_dir()), DEFAULT_FOLDERS[-1])


class FilesystemSecrets:
    """The secrets in the files below a folder."""

    name = "filesystem"

    def __init__(self, folder: Path | None = None, environment: Environment | None = None) -> None:
        self.folder = folder if folder is not None else default_folder()
        self.environment = environment

    def fetch(self, tenant: str) -> Secrets:
        """All secrets of a tenant; files that cannot be read are told and left out."""
        own = self.folder / tenant
        values: dict[str, Payload] = {}
        origins: dict[str, str] = {}
        problems: list[Problem] = []
        environment = self.environment if self.environment is not None else process_environment()
        read: list[Path] = []
        for path in self._files(own, tenant, problems):
            try:
                payload = read_secret_file(path, environment)
            except UnreadableSecret as error:
                problems.append(error.problem())
                continue
            read.append(path)
            name = secret_name(path)
            before = values.get(name)
            if isinstance(before, dict) and isinstance(payload, dict):
                values[name] = {**payload, **before}
                origins[name] += f" and {paths.shown(path)}"
            elif before is None:
                values[name], origins[name] = payload, paths.shown(path)
        problems += _open_to_others(own, read)
        place = f"{paths.shown(own)}/"
        return Secrets(
            tenant=tenant, values=values, origins=origins, problems=tuple(problems), folder=str(own), place=place
        )

    def _files(self, own: Path, tenant: str, problems: list[Problem]) -> list[Path]:
        """The files that may hold secrets, the most telling kind of each name first."""
        if not _is_inside(own, self.folder, tenant):
            problems.append(_warning("the folder leads to another tenant's and is not read", own, "make it a folder"))
            return []
        try:
            found = sorted(own.iterdir(), key=lambda p: (_rank(p), p.name))
        except OSError as error:
            problems.append(self._no_folder(own, tenant, error))
            return []
        kept = []
        for path in found:
            if path.name.startswith(".") or path.is_dir():
                continue
            if not path.resolve().is_relative_to(own.resolve()):
                problems.append(_warning("the file leads out of the tenant's folder and is not read", path, "copy it"))
                continue
            kept.append(path)
        return kept

    def _no_folder(self, own: Path, tenant: str, error: OSError) -> Problem:
        if not isinstance(error, FileNotFoundError):
            return _warning(f"the secrets of tenant '{tenant}' cannot be read: {error.strerror}", own, "check it")
        folders = _names(self.folder)
        there = f"{paths.shown(self.folder)}/ has folders of {listed(folders)}" if folders else ""
        absent = "" if self.folder.is_dir() else f"the folder {paths.shown(self.folder)} does not exist either"
        hint = "make it with one file for each secret, as secrets/README.md shows"
        return _warning(
            f"there are no secrets of tenant '{tenant}'", own, "\n".join(t for t in (hint, there, absent) if t)
        )


def _is_inside(own: Path, folder: Path, tenant: str) -> bool:
    """Whether a tenant's folder is its own: not above it, not another tenant's through a link."""
    if tenant in ("", ".", "..") or "/" in tenant or "\0" in tenant:
        return False
    real, home = own.resolve(), folder.resolve()
    return real == home / tenant or not (real == home or real.is_relative_to(home) or home.is_relative_to(real))


def _rank(path: Path) -> int:
    suffix = path.suffix.lower()
    return _RANKS.index(suffix) if suffix in _RANKS else len(_RANKS)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError:
        return []


def _open_to_others(own: Path, files: list[Path]) -> Iterator[Problem]:
    """One warning for all files that everyone on this machine can read."""
    try:
        if not files or not _passable(own.resolve()):
            return
        found = sorted(p.name for p in files if p.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return
    if found and os.name == "posix":
        one = len(found) == 1
        yield _warning(
            f"{len(found)} file{'' if one else 's'} of secrets can be read by everyone on this machine: {listed(found)}",
            own,
            f"chmod -R go= {paths.shown(own)}",
        )


def _passable(folder: Path) -> bool:
    """Whether everyone on this machine may go into a folder."""
    return all(way.stat().st_mode & stat.S_IXOTH for way in (folder, *folder.parents))


def _warning(message: str, path: Path, hint: str) -> Problem:
    return Problem(message, Mark(paths.shown(path)), hint=hint, severity="warning", code="secrets_warning")
