"""Secrets of a tenant in environment variables: `DATIVO_SECRET__{TENANT|GLOBAL|ALL}__{NAME}[__json|env|text]`.

The tenant's own wins over GLOBAL, that over ALL. Names are compared without case; `-` and `.` of a tenant match `_`.
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "DATIVO_SECRET"
FORMATS = ("json", "env", "text", "raw")


class Secret:
    """A secret's value, which shows itself to nobody who did not ask for it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__


def environment_secret(values: list[Mapping[str, str]], tenant: str, name: str) -> Secret | None:
    """The secret of a name, or None; `values` are looked through in order for each scope."""
    own = tenant.upper().replace("-", "_").replace(".", "_")
    for scope in (own, "GLOBAL", "ALL"):
        for variables in values:
            for variable, value in variables.items():
                parts = variable.upper().split("__")
                if parts[0] != PREFIX or len(parts) < 3 or parts[1] != scope:
                    continue
                named = parts[2:-1] if parts[-1].lower() in FORMATS and len(parts) > 3 else parts[2:]
                if "_".join(named) == name.upper():
                    return Secret(value.strip())
    return None
