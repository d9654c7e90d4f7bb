"""Which secret manager a run uses, and its settings.

`--secret-manager`, then DATIVO_SECRET_MANAGER, then `filesystem` where `--secrets-dir` is given, else `env`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dativo.config import paths
from dativo.config.documents import DocumentError, load
from dativo.config.environment import Environment, process_environment
from dativo.config.nodes import Node
from dativo.config.secret_files import expanded
from dativo.config.secrets import SecretManager
from dativo.errors import ConfigError, Mark, Problem, UnsupportedError, nearest
from dativo.secret_managers.environment import EnvironmentSecrets
from dativo.secret_managers.filesystem import FilesystemSecrets, default_folder

ALIASES = {
    "env": ("env", "environment"),
    "filesystem": ("filesystem", "fs", "file"),
    "vault": ("vault", "hashicorp", "hashicorp_vault"),
    "aws": ("aws", "aws_secrets_manager"),
    "gcp": ("gcp", "gcp_secret_manager"),
}
BUILT = ("env", "filesystem")
VARIABLE, SETTINGS_VARIABLE = "DATIVO_SECRET_MANAGER", "DATIVO_SECRET_MANAGER_CONFIG"
_SETTINGS: dict[str, dict[str, type]] = {
    "env": {"prefix": str, "delimiter": str, "allow_global_scope": bool},
    "filesystem": {"secrets_dir": str},
}


def secret_manager(
    environment: Environment | None = None,
    *,
    name: str | None = None,
    config: str | None = None,
    folder: Path | None = None,
) -> SecretManager:
    """The secret manager that the command line (`name`, `config`, `folder`) or else the environment asks for.

    Raises ConfigError for a name or settings that do not exist, UnsupportedError for a manager that is not built yet.
    """
    variables = environment if environment is not None else process_environment()
    asked = name or variables.get(VARIABLE) or ("filesystem" if folder is not None else "env")
    origin = "--secret-manager" if name else variables.origin(VARIABLE) and VARIABLE
    kind = _kind(asked, origin)
    settings = _settings(kind, config or variables.get(SETTINGS_VARIABLE), variables, given=bool(config))
    folder = paths.expanded(str(folder)) if folder is not None else None
    if kind == "filesystem":
        named = settings.get("secrets_dir")
        return FilesystemSecrets(folder or (paths.expanded(named) if named else None), environment)
    return EnvironmentSecrets(environment, **settings, folder=folder or default_folder())


def _kind(asked: str, origin: str) -> str:
    wanted = asked.strip().lower().replace("-", "_")
    kind = next((kind for kind, names in ALIASES.items() if wanted in names), None)
    if kind is None:
        guess = nearest(wanted, [n for names in ALIASES.values() for n in names])
        hint = f"did you mean '{guess}'?\n" if guess else ""
        raise ConfigError(
            [Problem(f"unknown secret manager '{asked}'", None, origin, f"{hint}one of {', '.join(BUILT)}")]
        )
    if kind not in BUILT:
        raise UnsupportedError(
            f"the secret manager '{kind}' is not built yet",
            field=origin,
            hint=f"this version has: {', '.join(BUILT)}",
        )
    return kind


def _settings(kind: str, text: str | None, variables: Environment, *, given: bool) -> dict[str, Any]:
    """A manager's settings from a file (YAML or JSON) or from JSON itself; none without a text."""
    if not text:
        return {}
    field = "--secret-manager-config" if given else SETTINGS_VARIABLE
    found = expanded(_document(text, field), variables)
    if not isinstance(found, dict):
        raise ConfigError([Problem("expected a map of settings", None, field, 'as {"secrets_dir": "secrets"}')])
    known = _SETTINGS[kind]
    problems = []
    for key, value in found.items():
        if key not in known:
            guess = nearest(str(key), known)
            hint = f"did you mean '{guess}'?" if guess else f"known: {', '.join(known)}"
            problems.append(Problem(f"the secret manager '{kind}' has no setting '{key}'", None, field, hint))
        elif not isinstance(value, known[key]):
            wanted = "true or false" if known[key] is bool else "a text"
            problems.append(Problem(f"'{key}' must be {wanted}", None, field))
        elif value == "":
            problems.append(Problem(f"'{key}' is empty", None, field, "leave it out, or give it a value"))
    if problems:
        raise ConfigError(problems)
    return found


def _document(text: str, field: str) -> Any:
    path, there = paths.expanded(text), False
    try:
        there = path.is_file()
    except (OSError, ValueError):  # JSON itself is no path
        there = False
    if there and path.suffix.lower() in (".yaml", ".yml"):
        try:
            return _plain(load(path, paths.shown(path)))
        except DocumentError as error:
            raise ConfigError([error.problem]) from None
    try:
        return json.loads(path.read_text(encoding="utf-8-sig") if there else text)
    except (OSError, ValueError):
        place = Mark(paths.shown(path)) if there else None
        message = (
            "it is not JSON" if there or text.lstrip()[:1] == "{" else f"there is no file '{text}', nor is it JSON"
        )
        raise ConfigError(
            [Problem(f"the settings of the secret manager cannot be read: {message}", place, field,
                     'name a YAML or JSON file, or write JSON as {"secrets_dir": "secrets"}')]
        ) from None  # fmt: skip


def _plain(node: Node) -> Any:
    if node.kind == "map":
        return {k: _plain(v) for k, v in node.value.items()}
    if node.kind == "list":
        return [_plain(v) for v in node.value]
    return node.value
