"""Where the paths of a configuration lead, and which are refused."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dativo.errors import nearest

_MARKERS = ("connectors", "assets")


@dataclass(slots=True)
class Found:
    """A path that was looked for: where it is (or None) and every place that was looked at, in order."""

    path: Path | None
    tried: list[Path] = field(default_factory=list)

    def hint(self) -> str:
        """What a person is told when nothing was found: the places, and a file of a like name in one of them."""
        text = "looked at: " + ", ".join(shown(p) for p in self.tried)
        for place in self.tried:
            guess = nearest(place.name, _names(place.parent))
            if guess:
                return f"{text}\nthere is {shown(place.parent / guess)}: is it meant?"
        return text


def project_root(start: Path) -> Path | None:
    """The nearest directory at or above `start` that holds `connectors/` or `assets/`."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if any((folder / name).is_dir() for name in _MARKERS):
            return folder
    return None


def bundled(relative: str) -> Path:
    """A file that ships with dativo: inside the installed package, or in the repository that the package stands in."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "bundled" / relative
    return inside if _exists(inside) else package.parent / relative


def find(text: str, beside: Path, *, ship: bool = False) -> Found:
    """The file or directory that a configuration names.

    A relative path is looked for in the working directory, then in the project that `beside` belongs to; a leading
    `/app/` (the container's layout) falls back to the project. A recipe under `connectors/sources|targets/` falls back
    to `connectors/NAME.yaml` and the reverse. With `ship`, what dativo ships comes last.
    """
    return find_below(text, project_root(beside), ship=ship)


def find_below(text: str, root: Path | None, *, ship: bool = False) -> Found:
    """As `find`, for a project that is known already."""
    path = expanded(text)
    relative = Path(*path.parts[2:]) if path.parts[:2] == ("/", "app") else None if path.is_absolute() else path
    places = [path if path.is_absolute() else Path.cwd() / path]
    if relative is not None:
        if root is not None:
            places += [root / r for r in (relative, *_recipe_elsewhere(relative))]
        if ship:
            places += [bundled(str(r)) for r in (relative, *_recipe_elsewhere(relative))]
    tried: list[Path] = []
    for place in places:
        if place in tried:
            continue
        tried.append(place)
        if _exists(place):
            return Found(place, tried)
    return Found(None, tried)


def expanded(text: str) -> Path:
    """A path with `~` put in; one of a person that does not exist stays as it is written."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, a folder that may not be read, a NUL
        return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except (OSError, ValueError):
        return []


def _recipe_elsewhere(relative: Path) -> list[Path]:
    parts = relative.parts
    if len(parts) == 3 and parts[0] == "connectors" and parts[1] in ("sources", "targets"):
        return [Path("connectors") / parts[2]]
    if len(parts) == 2 and parts[0] == "connectors":
        return [Path("connectors") / kind / parts[1] for kind in ("sources", "targets")]
    return []


def shown(path: Path) -> str:
    """A path as messages name it: relative to the working directory where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def leaves_root(text: str) -> bool:
    """Whether a path leads out of the folder it starts in, is absolute, or starts in a person's home."""
    if text.startswith("~") or Path(text).is_absolute():
        return True
    return Path(os.path.normpath(text)).parts[:1] == ("..",)
