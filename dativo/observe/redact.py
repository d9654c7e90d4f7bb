"""Secrets taken out of text: of error messages, logs and receipts, wherever they may come from."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from dativo.config.environment import process_environment, read_dotenv
from dativo.config.resolve import ResolvedJob
from dativo.config.secrets import Secrets
from dativo.errors import ConfigError
from dativo.secret_managers.environment import PREFIX

REDACTED = "[REDACTED]"
SENSITIVE = re.compile(
    r"password|passwd|passphrase|token|api_?key|account_?key|secret|credential|private_?key", re.IGNORECASE
)

# Shorter values would be found in the middle of ordinary words.
_SHORTEST_SECRET = 4
_SHORTEST = 6
# A variable that is only called like a secret often holds a word that messages need: "postgres", "minioadmin".
_WORD = re.compile(r"[a-z]{,11}|\d{,7}")
# What stands in place of a secret, or for none; to hide a word that everyone tries first would only hide messages.
_ORDINARY = (
    "none", "null", "true", "false", "default", "example", "password", "secret", "changeme", "admin", "minioadmin",
    "postgres", "dativo", "test",
)  # fmt: skip
_IN_ADDRESS = re.compile(r"(://[^/@\s:'\"]*:)([^/@\s'\"]+)@")


class Redactor:
    """Masks the secrets that it knows in any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in set(secrets) for form in _forms(secret)}
        # The longest first: one secret may be a part of another.
        self._forms = sorted(forms, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """The text with `[REDACTED]` in place of every secret, also where JSON or an address has escaped it."""
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return _IN_ADDRESS.sub(rf"\1{REDACTED}@", text)

    def mask_values(self, value: Any) -> Any:
        """A value made of maps, lists and texts with every text masked; numbers stay numbers."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.mask_values(k): self.mask_values(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_values(v) for v in value]
        return value


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and as JSON and addresses write it."""
    yield secret
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield json.dumps(secret)[1:-1]
    # A variable may hold bytes that are no text.
    yield quote(secret, errors="surrogateescape")
    yield quote(secret, safe="", errors="surrogateescape")
    yield quote_plus(secret, errors="surrogateescape")


def redactor(*known: ResolvedJob | Secrets) -> Redactor:
    """What masks the secrets of the environment, of tenants, and of jobs: what their connections hold under such names."""
    layers: list[Mapping[str, str]] = [os.environ]
    with contextlib.suppress(ConfigError):
        layers = process_environment().values
    found = [secret for variables in layers for secret in _of_variables(variables)]
    for one in known:
        for payload in (one if isinstance(one, Secrets) else one.secrets).every_value():
            found += _of_payload(payload)
    for job in known:
        if isinstance(job, Secrets):
            continue
        ordinary = {*_ORDINARY, job.source_type, job.target_type}
        settings = (s for c in job.connections.values() for s in c.settings.values() if s.secret)
        found += (s.value for s in settings if len(s.value) >= _SHORTEST_SECRET and s.value not in ordinary)
        for block in (job.source, job.target, job.file.catalog, job.file.infrastructure):
            found += (s for s in _of_settings(msgspec.to_builtins(block)) if s not in ordinary)
    return Redactor(s for s in found if s not in _ORDINARY)


def _of_variables(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        text = value.strip()
        if name.upper().startswith(f"{PREFIX}__"):
            yield from _of_secret(text)
        elif SENSITIVE.search(name) and len(text) >= _SHORTEST and not _WORD.fullmatch(text) and not _is_file(text):
            yield text


def _of_payload(payload: Any) -> Iterator[str]:
    """What is secret in a secret: a text as a whole, of a map what stands under names of secrets."""
    if isinstance(payload, str):
        if len(payload) >= _SHORTEST_SECRET:
            yield payload
        return
    yield from _of_settings(payload)


def _of_secret(text: str) -> Iterator[str]:
    """A secret as it stands, and what is secret in it where it is a map in JSON or `KEY=VALUE` lines."""
    if len(text) >= _SHORTEST_SECRET:
        yield text
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        parsed = read_dotenv(text)
    yield from _of_settings(parsed)


def _of_settings(value: Any, sensitive: bool = False) -> Iterator[str]:
    """Texts below keys that are called like secrets, and passwords in addresses."""
    if isinstance(value, dict):
        for key, inner in value.items():
            # A block of credentials also says of what kind they are and where they lie.
            named = SENSITIVE.search(str(key)) is not None and not isinstance(inner, dict)
            yield from _of_settings(inner, sensitive or named)
    elif isinstance(value, list):
        for inner in value:
            yield from _of_settings(inner, sensitive)
    elif isinstance(value, str):
        yield from (password for _, password in _IN_ADDRESS.findall(value) if len(password) >= _SHORTEST_SECRET)
        if sensitive and len(value) >= _SHORTEST_SECRET and not _is_file(value):
            yield value


def _is_file(text: str) -> bool:
    """Whether a setting names a file, as a credentials file: its path is no secret."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False
