"""Every mistake of every configuration file at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dativo import connectors
from dativo.config import paths
from dativo.config.decode import Problems
from dativo.config.documents import Node
from dativo.config.policy import PolicyFile, read_policy
from dativo.config.registry import read_registry
from dativo.config.resolve import Mode, ResolvedJob, Resolver
from dativo.errors import ConfigError, Mark, Problem
from dativo.pipeline.jobs import place, yaml_files
from dativo.pipeline.refuse import unbuilt, unbuilt_treatments

FOLDERS = ("jobs", "assets", "connectors", "registry", "configs")


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at and what is wrong with it. `kinds` counts the files of each kind."""

    kinds: dict[str, int]
    problems: tuple[Problem, ...]
    strict: bool

    @property
    def errors(self) -> int:
        return sum(1 for p in self.problems if p.severity == "error" or self.strict)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors

    @property
    def ok(self) -> bool:
        return self.errors == 0


def validate(
    files: Sequence[str | Path] = (),
    *,
    strict: bool = False,
    mode: Mode | None = None,
    policy: str | Path | None = None,
    strict_governance: bool = False,
) -> Validation:
    """Reads configuration files of every kind and tells every mistake in them and in what they refer to.

    Without `files`, all of the project in the working directory. `strict` counts warnings as errors. `policy` names a
    governance policy whose findings are as severe as it says; `configs/policy.yaml` is used by itself and only warns.
    Nothing but configuration is read. Raises ConfigError when a file that was named is not there.
    """
    chosen = _chosen(files)
    resolver = Resolver(mode=mode, policy=_policy(policy, strict_governance), strict_governance=strict_governance)
    reader = _Reader(resolver)
    for path in chosen:
        reader.read(path)
    resolver.check_names(reader.jobs)
    unique = tuple(dict.fromkeys(resolver.problems.found))
    return Validation(kinds=reader.kinds, problems=unique, strict=strict)


class _Reader:
    """Reads one file after another by its kind."""

    def __init__(self, resolver: Resolver) -> None:
        self.r = resolver
        self.kinds: dict[str, int] = {}
        self.jobs: list[ResolvedJob] = []

    def read(self, path: Path) -> None:
        node = self.r.document(path)
        if node is None:
            self._count("unreadable")
            return
        kind = kind_of(node, path)
        if kind is None:
            self.r.problems.add(
                "cannot tell what kind of configuration this is",
                Mark(paths.shown(path)),
                "",
                "a job has 'source_connector_path', an asset 'schema', a recipe 'name' and 'type', a registry 'connectors'",
            )
            return
        self._count(kind)
        self._as(kind, path, node)

    def _count(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def _as(self, kind: str, path: Path, node: Node) -> None:
        problems = self.r.problems
        if kind == "job":
            self._job(path)
        elif kind == "asset":
            self.r.asset(path, None, "")
        elif kind == "recipe":
            self.r.recipe(path)
        elif kind == "registry":
            read_registry(node, problems)
        elif kind == "runner":
            self.r.runner(path)
        else:
            self.r.policy(path)

    def _job(self, path: Path) -> None:
        job = self.r.job(path)
        if job is None:
            return
        self.jobs.append(job)
        self.r.problems.extend(connectors.check_options(job).found)
        self.r.problems.extend(unbuilt_treatments(job))
        for error in unbuilt(job):
            found = error.problems()[0]
            self.r.problems.found.append(
                found._replace(severity="warning", message=f"{found.message}; a run refuses it")
            )


_KEYS = {
    "job": ("source_connector_path", "target_connector_path", "asset_path", "tenant_id"),
    "asset": ("schema", "asset"),
    "registry": ("connectors",),
    "runner": ("runner", "orchestrator"),
    "policy": ("policy", "pii_fields", "classification_rules", "contract_enforcement"),
    "recipe": ("roles", "default_engine", "engine", "connection_template"),
}
_BY_FOLDER = {"jobs": "job", "assets": "asset", "connectors": "recipe", "registry": "registry"}


def kind_of(node: Node, path: Path) -> str | None:
    """What a document is: by its keys, else by the folder it lies in."""
    for kind, keys in _KEYS.items():
        if any(node.get(key) is not None for key in keys):
            return kind
    return next((_BY_FOLDER[part] for part in reversed(path.resolve().parts[:-1]) if part in _BY_FOLDER), None)


def _chosen(files: Sequence[str | Path]) -> list[Path]:
    found: list[Path] = []
    problems: list[Problem] = []
    for name in files or [folder for folder in FOLDERS if Path(folder).is_dir()]:
        path, kind = place(name)
        if kind == "folder":
            found += yaml_files(path)
        elif kind == "file":
            found.append(path)
        else:
            problems.append(Problem("there is no such file or folder", Mark(paths.shown(path))))
    if not found and not problems:
        looked = ", ".join(f"{name}/" for name in FOLDERS)
        problems.append(Problem("no configuration was found", hint=f"looked for {looked}here; name a file or a folder"))
    if problems:
        raise ConfigError(problems)
    return found


def _policy(named: str | Path | None, strict: bool) -> PolicyFile | None:
    path = Path(named) if named is not None else Path("configs/policy.yaml")
    if named is None and not path.exists():
        return None
    problems = Problems()
    node = Resolver().document(path)
    found = read_policy(node, problems) if node is not None else None
    if found is None:
        if named is None:
            return None  # told when the file itself is looked at
        raise ConfigError(problems.found or [Problem("the policy cannot be read", Mark(paths.shown(path)))])
    # A policy that nobody asked for advises; it does not stop anyone.
    return found if named is not None or strict else msgspec.structs.replace(found, contract_enforcement=None)
