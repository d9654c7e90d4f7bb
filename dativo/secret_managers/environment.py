"""Secrets of a tenant in environment variables: `DATIVO_SECRET__{TENANT|GLOBAL|ALL}__{NAME}[__json|env|text]`.

The tenant's own wins over GLOBAL, that over ALL. Names are compared without case; `-` and `.` of a tenant match `_`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from dativo.config.environment import Environment, process_environment
from dativo.config.secrets import Format, Payload, Secrets, parse_payload
from dativo.errors import Problem

PREFIX = "DATIVO_SECRET"
DELIMITER = "__"
FORMATS = ("json", "env", "text", "raw")


class EnvironmentSecrets:
    """The secrets in the process environment and the `.env` file of the working directory.

    `folder` is where the files of tenants lie; only a recipe that names one of them has it read.
    """

    name = "env"

    def __init__(
        self,
        environment: Environment | None = None,
        *,
        prefix: str = PREFIX,
        delimiter: str = DELIMITER,
        allow_global_scope: bool = True,
        folder: Path | None = None,
    ) -> None:
        self.environment = environment
        self.prefix = prefix
        self.delimiter = delimiter
        self.allow_global_scope = allow_global_scope
        self.folder = folder

    def fetch(self, tenant: str) -> Secrets:
        """All secrets of a tenant; those whose text its format does not allow are told and left out."""
        environment = self.environment if self.environment is not None else process_environment()
        own = tenant.upper().replace("-", "_").replace(".", "_")
        values: dict[str, Payload] = {}
        origins: dict[str, str] = {}
        problems: list[Problem] = []
        for scope in (own, "GLOBAL", "ALL") if self.allow_global_scope else (own,):
            for variable, name, format, text in self._of(scope, environment):
                if name in values:
                    continue
                try:
                    values[name] = parse_payload(environment.text(text)[0], format)
                except ValueError:
                    problems.append(_unreadable(variable, format))
                    continue
                origins[name] = variable
        return Secrets(
            tenant=tenant,
            values=values,
            origins=origins,
            problems=tuple(problems),
            folder=str(self.folder / tenant) if self.folder is not None else "",
            place="the environment",
        )

    def _of(self, scope: str, environment: Environment) -> Iterator[tuple[str, str, Format | None, str]]:
        """The variables of a scope: their name, the secret's name, format and text."""
        for variables in environment.values:
            for variable, text in variables.items():
                parts = variable.upper().split(self.delimiter.upper())
                if parts[0] != self.prefix.upper() or len(parts) < 3 or parts[1] != scope:
                    continue
                format = parts[-1].lower() if len(parts) > 3 and parts[-1].lower() in FORMATS else None
                named = parts[2:-1] if format else parts[2:]
                yield variable, "_".join(named).lower(), cast(Format | None, format), text


def _unreadable(variable: str, format: str | None) -> Problem:
    return Problem(
        f"the secret in {variable} is not {format}",
        hint="mend it, or leave the format out of the variable's name",
        severity="warning",
        code="secrets_warning",
    )
