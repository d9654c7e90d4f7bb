"""Secrets taken out of what the command line says. Data is shown as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dativo import ResolvedJob, Secrets

_jobs: list[ResolvedJob | Secrets] = []


def remember(known: ResolvedJob | Secrets) -> None:
    """From now on the secrets of this job or tenant are masked as well as those of the environment."""
    _jobs.append(known)


def forget() -> None:
    """A new command begins."""
    _jobs.clear()


def masked(text: str) -> str:
    """A sentence without secrets."""
    from dativo.observe.redact import redactor

    return redactor(*_jobs).mask(text)


def masked_values(value: Any) -> Any:
    """A value made of maps, lists and texts without secrets in the texts."""
    from dativo.observe.redact import redactor

    return redactor(*_jobs).mask_values(value)
