"""Files that hold secrets: what one means by its ending, and the file that a recipe's `file_template` names."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from dativo.config import paths
from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.secrets import Format, Payload, Secrets, parse_payload
from dativo.errors import Mark, Problem

LARGEST = 1 << 20
FORMATS: dict[str, Format] = {".json": "json", ".env": "env"}

V = TypeVar("V")


class UnreadableSecret(Exception):
    """A file that holds no secret that could be read. `reason` never quotes what stands in it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason

    def problem(self) -> Problem:
        return Problem(
            f"the secret cannot be read and is left out: {self.reason}",
            Mark(paths.shown(self.path)),
            hint="mend the file or its permissions; secrets/README.md shows what each kind looks like",
            severity="warning",
            code="secrets_warning",
        )


def secret_name(path: Path) -> str:
    """The name of the secret in a file: its stem, in lower case."""
    return path.stem.lower()


def read_secret_file(path: Path, environment: Environment) -> Payload:
    """The secret in a file: JSON, `KEY=VALUE` lines of a `.env` file, else text; variables put in.

    Raises UnreadableSecret.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableSecret(path, "it is no regular file")
        if status.st_size > LARGEST:
            raise UnreadableSecret(path, f"it is larger than {LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableSecret(path, "it is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise UnreadableSecret(path, getattr(error, "strerror", None) or "its name is no path") from None
    try:
        return expanded(parse_payload(text, FORMATS.get(path.suffix.lower(), "text")), environment)
    except (ValueError, RecursionError):
        raise UnreadableSecret(path, "it is not JSON") from None


def expanded(value: V, environment: Environment) -> V:
    """A payload with the variables of its texts put in."""
    found: Any = value
    if isinstance(found, str):
        found = environment.text(found.strip())[0]
    elif isinstance(found, dict):
        found = {k: expanded(v, environment) for k, v in found.items()}
    elif isinstance(found, list):
        found = [expanded(v, environment) for v in found]
    return cast(V, found)


def with_template(secrets: Secrets, node: Node, root: Path, environment: Environment, *, literal: bool) -> Secrets:
    """The secrets, and among them the one that a side's `credentials.file_template` names.

    The secret manager's own goes first, then the file that the template names (where `literal` allows it), then the file
    of that name among the tenant's.
    """
    template = node.at("credentials", "file_template")
    if template is None or template.kind != "scalar" or not template.text:
        return secrets
    text = environment.text(template.text.replace("{tenant}", secrets.tenant))[0]
    path = paths.expanded(text)
    if secret_name(path) in secrets.values or not path.name or not secrets.tenant:
        return secrets
    places = [path if path.is_absolute() else root / path] if literal else []
    places += [Path(secrets.folder) / path.name] if secrets.folder else []
    for place in places:
        try:
            if not place.is_file():
                continue
            found = read_secret_file(place, environment)
        except OSError:
            continue
        except UnreadableSecret as error:
            return msgspec.structs.replace(secrets, problems=(*secrets.problems, error.problem()))
        return secrets.having(secret_name(path), found, paths.shown(place))
    return secrets
