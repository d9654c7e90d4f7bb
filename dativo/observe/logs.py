"""A run's events as JSON lines: one object a line, with the fields that log collectors look for."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from types import FrameType
from typing import Any, TextIO

from dativo.config.resolve import ResolvedJob
from dativo.config.secrets import Secrets
from dativo.observe.redact import REDACTED, SENSITIVE, redactor
from dativo.sources.protocol import Meter

# Jobs that run at a time write to one output.
_one_line = threading.Lock()

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

# Modules that only pass on what others tell.
_PASSING_ON = ("dativo.observe", "dativo.cli.telling")
_ERRORS = ("_error", "_failed")
_WARNINGS = ("_warning",)
_MESSAGES = {
    "job_started": "Job started",
    "job_finished": "Job finished",
    "job_error": "Job failed",
    "commit_success": "Committed",
    "state_warning": "The state file could not be written",
    "interrupting": "Stopping",
    "interrupted": "Interrupted",
    "retry_delay": "Waiting before the job is tried again",
    "retry_attempt": "Trying again",
    "startup_begin": "Starting",
    "startup_complete": "Started",
    "env_validated": "Every variable that is used is set",
    "infra_validated": "Everything that the jobs need answers",
}


class JsonLog:
    """Writes events as lines: timestamp, level, message, module, function, line, tenant, job, event type, connector.

    Without a job it writes what concerns several, every level of it, under their `tenant` where they have one. Values of
    secrets are masked wherever they stand; with the job's `logging.redaction` so are the values of keys that are called
    like secrets. A reader that has gone away ends the log, not the run.
    """

    def __init__(
        self, job: ResolvedJob | None, out: TextIO, *, tenant: str = "", secrets: Iterable[Secrets] = ()
    ) -> None:
        self._job = job
        self._tenant = job.tenant_id if job is not None else tenant or None
        self._out = out
        self._redactor = redactor(*secrets, *([job] if job is not None else []))
        self._lowest = LEVELS[job.file.logging.level.upper()] if job is not None else 0

    def event(self, event_type: str, **fields: Any) -> None:
        level = _level(event_type)
        if LEVELS[level] < self._lowest:
            return
        caller = _caller()
        job = self._job
        told = self._redactor.mask_values(self._redacted(fields))
        record = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "message": told.get("error") or _MESSAGES.get(event_type, event_type.replace("_", " ")),
            "module": caller.f_globals.get("__name__", ""),
            "function": caller.f_code.co_name,
            "line": caller.f_lineno,
            "tenant_id": self._redactor.mask(self._tenant) if self._tenant else None,
            "job_name": job.name if job is not None else None,
            "event_type": event_type,
            "connector_type": job.source_type if job is not None else None,
            **told,
        }
        text = json.dumps(record, ensure_ascii=self._out.isatty(), default=str)
        with _one_line, contextlib.suppress(OSError, ValueError):
            self._out.write(text + "\n")
            self._out.flush()

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        self.event("phase_started", stream=stream, phase=phase)

    def tick(self) -> None:
        return None

    def _redacted(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._job is None or not self._job.file.logging.redaction:
            return fields
        return {k: REDACTED if SENSITIVE.search(k) else v for k, v in fields.items()}


def _level(event_type: str) -> str:
    if event_type.endswith(_ERRORS):
        return "ERROR"
    if event_type.endswith(_WARNINGS):
        return "WARNING"
    return "DEBUG" if event_type == "phase_started" else "INFO"


def _caller() -> FrameType:
    """The frame that told the event, listeners that only pass it on left out."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PASSING_ON):
        frame = frame.f_back
    return frame
