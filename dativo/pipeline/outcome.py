"""What came of a run as a whole: its status, its exit code, the kind of an error."""

from __future__ import annotations

from collections.abc import Sequence

from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError, DativoError, StoreError, TargetError
from dativo.receipt import Status, StreamReceipt

_WORST: tuple[Status, ...] = ("failed", "interrupted", "refused", "withheld", "loaded", "unchanged")


def kind_of(error: DativoError) -> str:
    """The code of an error; `config` for a target that misses a setting or has one that cannot be."""
    setting = isinstance(error, TargetError | StoreError) and (error.field or error.lasting)
    return ConfigError.code if setting else error.code


def worst(streams: Sequence[StreamReceipt]) -> Status:
    """The status of a run whose streams ended so."""
    return next((s for s in _WORST if any(r.status == s for r in streams)), "unchanged")


def exit_code(streams: Sequence[StreamReceipt], job: ResolvedJob) -> int:
    """The exit code of a run whose streams ended so."""
    return max((_exit_code(r, job) for r in streams), default=0)


def _exit_code(receipt: StreamReceipt, job: ResolvedJob) -> int:
    if receipt.status in ("failed", "refused", "interrupted", "withheld"):
        return 2
    if receipt.violations and receipt.status == "loaded":
        declared = any(s.name == receipt.stream and s.max_rejects is not None for s in job.streams)
        return 0 if job.validation_mode == "quarantine" and declared else 1
    return 0
