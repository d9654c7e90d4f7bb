"""A tenant's secrets as configuration sees them: by name, a text or a map of texts, each with where it came from.

They come from a secret manager. Settings take them as `${NAME}`, or by the name of their connector; neither a secret
nor anything that holds one shows its value to who prints it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import msgspec

from dativo.config.environment import read_dotenv
from dativo.errors import Problem

Payload = str | dict[str, Any]
Format = Literal["json", "env", "text", "raw"]


class Secrets(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Everything that a secret manager has for one tenant.

    `values` has each secret by its name in lower case, `origins` says where it was found, as `secrets/acme/iceberg.env`,
    `problems` what could not be read, `folder` where the tenant's files would lie, `place` where all of it comes from.
    """

    tenant: str = ""
    values: dict[str, Payload] = {}
    origins: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()
    folder: str = ""
    place: str = ""

    def __repr__(self) -> str:
        return f"Secrets(tenant={self.tenant!r}, names={sorted(self.values)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("tenant", self.tenant), ("names", sorted(self.values))]

    def text(self, name: str) -> str | None:
        """The secret of a name where it is a text."""
        found = self.values.get(name.lower())
        return found if isinstance(found, str) else None

    def fields(self, name: str) -> dict[str, str]:
        """The entries of a secret that is a map, as texts; none where it is not."""
        found = self.values.get(name.lower())
        if not isinstance(found, dict):
            return {}
        return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in found.items() if v is not None}

    def layers(self, connector: str = "") -> list[tuple[Mapping[str, str], str]]:
        """Where a variable is looked for, in order: the connector's own secret, the other maps, texts by their names."""
        names = sorted(self.values, key=lambda n: (n != connector, n))
        found: list[tuple[Mapping[str, str], str]] = [
            (self.fields(n), self.origins.get(n, f"the secret '{n}'"))
            for n in names
            if isinstance(self.values[n], dict)
        ]
        texts = {n: v for n, v in self.values.items() if isinstance(v, str)}
        if texts:
            found.append(({**{n.upper(): v for n, v in texts.items()}, **texts}, f"the secrets of {self.tenant}"))
        return found

    def having(self, name: str, value: Payload, origin: str) -> Secrets:
        """These secrets and one more."""
        return msgspec.structs.replace(
            self, values={**self.values, name: value}, origins={**self.origins, name: origin}
        )

    def with_those_of(self, other: Secrets) -> Secrets:
        """These secrets and those of another that are not among them."""
        return msgspec.structs.replace(
            self,
            values={**other.values, **self.values},
            origins={**other.origins, **self.origins},
            problems=tuple(dict.fromkeys((*self.problems, *other.problems))),
        )

    def every_value(self) -> Iterator[Payload]:
        """All values, for masking them."""
        yield from self.values.values()


class SecretManager(Protocol):
    """Where secrets come from."""

    name: str

    def fetch(self, tenant: str) -> Secrets:
        """All secrets of a tenant. What cannot be read is told in `problems`; ConfigError when nothing can be."""
        ...


def parse_payload(text: str, format: Format | None = None) -> Payload:
    """A secret's text as what it means: a map (JSON or `KEY=VALUE` lines) or a text without white space around it.

    Raises ValueError for a text that its format does not allow. Without a format: a JSON map or list where it parses as
    one, lines with `=` as variables, else text.
    """
    stripped = text.strip()
    if format == "json":
        found = json.loads(stripped)
        return found if isinstance(found, dict | str) else stripped
    if format == "env":
        return dict(read_dotenv(text))
    if format in ("text", "raw"):
        return stripped
    if stripped[:1] in ("{", "["):
        try:
            found = json.loads(stripped)
        except ValueError:
            return stripped
        return found if isinstance(found, dict) else stripped
    if "\n" in stripped and "=" in stripped:
        return dict(read_dotenv(text))
    return stripped
