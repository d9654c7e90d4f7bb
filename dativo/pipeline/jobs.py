"""The jobs that names, files and folders on a command line stand for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from dativo.config import paths, resolve
from dativo.config.environment import Environment
from dativo.config.resolve import Mode, ResolvedJob, Resolver
from dativo.config.secrets import SecretManager
from dativo.errors import ConfigError, Mark, Problem, listed, nearest
from dativo.secret_managers.choice import secret_manager

ENDINGS = (".yaml", ".yml")
DEMO = "demo"


def jobs_folder(start: Path | None = None) -> Path | None:
    """The `jobs/` folder of the project that a folder belongs to, or None."""
    here = start or Path.cwd()
    root = paths.project_root(here)
    for folder in (here, root):
        if folder is not None and (folder / "jobs").is_dir():
            return folder / "jobs"
    return None


def yaml_files(folder: Path) -> list[Path]:
    """Every YAML file below a folder, by name. Raises ConfigError for a folder that may not be read."""

    def refuse(error: OSError) -> None:
        place = Mark(paths.shown(Path(error.filename)))
        raise ConfigError(
            [Problem(f"the folder cannot be read: {error.strerror}", place, hint="check its permissions")]
        )

    found = (Path(root) / name for root, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(p for p in found if p.suffix in ENDINGS and p.is_file())


def place(name: str | Path) -> tuple[Path, Literal["file", "folder"] | None]:
    """The path of a name on a command line, and what lies there; any text may be given as a name."""
    path = paths.expanded(str(name))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path, None
    return path, "folder" if stat.S_ISDIR(mode) else "file"


def find_jobs(names: Sequence[str] = (), *, only: Literal["file", "folder"] | None = None) -> list[Path]:
    """The job files that names stand for: files, folders (with all below them), or names below `jobs/`.

    A name is a file's stem, or `tenant/stem`. Without names: the jobs of `jobs/demo/`. With `only`, names are paths of
    that kind. Raises ConfigError, with the jobs that there are, when a name stands for none or for several.
    """
    found: list[Path] = []
    problems: list[Problem] = []
    for name in names or [_default()]:
        path, kind = place(name)
        if only is not None and kind != only:
            problems.append(Problem(f"there is no such {only}", Mark(paths.shown(path))))
        elif kind == "file":
            found.append(path)
        elif kind == "folder":
            inside = yaml_files(path)
            found += inside
            if not inside:
                problems.append(Problem("the folder holds no YAML file", Mark(paths.shown(path))))
        else:
            hits = _named(name)
            found += hits[:1]
            if len(hits) != 1:
                problems.append(_not_one(name, hits))
    if problems:
        raise ConfigError(problems)
    return list(dict.fromkeys(found))


def _default() -> str:
    folder = jobs_folder()
    if folder is None or not (folder / DEMO).is_dir():
        known = [_name(p, folder) for p in yaml_files(folder)] if folder is not None else []
        hint = (
            f"the jobs here: {listed(known, 20)}"
            if known
            else "make a project with `dativo init`, or a demo with `dativo init demo`"
        )
        raise ConfigError([Problem("no job was named", hint=hint)])
    return str(folder / DEMO)


def _named(name: str) -> list[Path]:
    folder = jobs_folder()
    wanted = name.removesuffix(".yaml").removesuffix(".yml")
    if folder is None:
        return []
    return [p for p in yaml_files(folder) if wanted in (p.stem, _name(p, folder))]


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder).with_suffix(""))


def _not_one(name: str, hits: list[Path]) -> Problem:
    if hits:
        shown = "\n".join(paths.shown(p) for p in hits)
        return Problem(f"'{name}' names {len(hits)} jobs", hint=f"name one of them by its file:\n{shown}")
    folder = jobs_folder()
    known = [p.stem for p in yaml_files(folder)] if folder is not None else []
    guess = nearest(name, known)
    hint = f"did you mean '{guess}'?\n" if guess else ""
    looked = f"looked for a file or folder '{name}'" + (
        f" and for a job below {paths.shown(folder)}/" if folder else ""
    )
    return Problem(f"there is no job '{name}'", hint=hint + looked + (f"\njobs: {listed(known)}" if known else ""))


def load_job(
    path: str | Path,
    *,
    mode: Mode | None = None,
    environment: Environment | None = None,
    manager: SecretManager | None = None,
) -> ResolvedJob:
    """The job in a file, resolved; secrets come from `manager`, by default from the one that the environment names.

    Raises ConfigError with every mistake found in the job and in all it refers to.
    """
    return resolve.load_job(path, mode=mode, environment=environment, manager=manager or secret_manager(environment))


def load_jobs(
    files: Sequence[Path], *, mode: Mode | None = None, manager: SecretManager | None = None
) -> tuple[list[ResolvedJob], tuple[Problem, ...]]:
    """The jobs in some files that could be resolved, and every problem of the others; what they share is read once."""
    resolver = Resolver(mode=mode, manager=manager or secret_manager())
    jobs = [job for job in map(resolver.job, files) if job is not None]
    resolver.check_names(jobs)
    clash = {p.mark.file for p in resolver.problems.errors() if p.mark is not None}
    good = [job for job in jobs if job.path not in clash]
    return good, tuple(resolver.problems.found)


def known_jobs() -> Iterator[ResolvedJob]:
    """The valid jobs of the project."""
    folder = jobs_folder()
    if folder is not None:
        yield from load_jobs(yaml_files(folder))[0]
