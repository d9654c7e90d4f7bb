"""What the steps of resolving one job share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dativo.config import paths
from dativo.config.environment import Environment
from dativo.config.library import Library
from dativo.config.nodes import Node
from dativo.config.problems import Problems
from dativo.config.resolved import Mode
from dativo.config.secrets import Secrets
from dativo.errors import Mark


@dataclass(slots=True, frozen=True)
class Reading:
    """One job file while it is read: its document as written, and what may be looked at to resolve it.

    `head` is the document without `source` and `target`, variables put in: those two are laid over their recipes first.
    """

    path: Path
    node: Node
    head: Node
    mode: Mode
    environment: Environment
    library: Library
    problems: Problems
    secrets: Secrets

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def root(self) -> Path:
        """The project of the job, else the working directory."""
        return self.library.root(self.folder) or Path.cwd()

    def variables(self, connector: str) -> Environment:
        """Where the variables of a connector's settings are looked for: its own secret, the tenant's others, the rest."""
        return self.environment.below(self.secrets.layers(connector))

    def find(self, where: Node, field: str, what: str, *, ship: bool = False) -> Path | None:
        """The file that a setting names, or None after its absence was noted as `what`."""
        if where.unset:
            self.needs(where, field)
            return None
        found = self.library.find(where.text, self.folder, ship=ship)
        if found.path is None:
            self.problems.add(f"{what} not found: '{where.written or where.text}'", where.mark, field, found.hint())
        return found.path

    def needs(self, node: Node, field: str, *, error: bool = True) -> None:
        """Notes that the variables of a setting are set nowhere."""
        for name in node.unset:
            self.problems.add(
                missing_message(name),
                node.mark,
                field,
                missing_hint(name, self.environment),
                severity="error" if error else "warning",
                code="env_missing",
            )

    def mark(self) -> Mark:
        """The job file as a whole."""
        return Mark(paths.shown(self.path))


def missing_message(name: str) -> str:
    """What is said of a variable that is set nowhere."""
    return f"Missing required environment variable: {name}"


def missing_hint(name: str, environment: Environment) -> str:
    """Where a variable was looked for, and what to do."""
    return f"looked in {', then '.join(environment.names)}; set it, or write a default as ${{{name}:-value}}"
