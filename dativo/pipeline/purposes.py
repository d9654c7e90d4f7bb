"""Which stream of a job is meant, and what a purpose (warehouse, llm, preview) does to its columns."""

from __future__ import annotations

from dativo.config.privacy import Treatment
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import SourceError, listed
from dativo.privacy.classify import treatments


def one_stream(job: ResolvedJob, name: str | None) -> StreamConfig:
    """The stream of a name, the first one without; SourceError when there is none."""
    if name is None:
        return job.streams[0]
    found = next((s for s in job.streams if s.name == name), None)
    if found is None:
        raise SourceError(f"the job has no stream '{name}'", hint=f"its streams: {listed(s.name for s in job.streams)}")
    return found


def purpose_treatments(job: ResolvedJob, stream: StreamConfig, purpose: str) -> dict[str, Treatment]:
    """What a purpose does to each column; what the warehouse does not hold, no other purpose shows."""
    overrides = job.file.classification_overrides
    stored = treatments(stream.asset, stream.privacy, "warehouse", overrides)
    if purpose == "warehouse":
        return stored
    shown = treatments(stream.asset, stream.privacy, "llm" if purpose == "llm" else "preview", overrides)
    return {**stored, **{n: t for n, t in shown.items() if stored.get(n) != "drop"}}


def hidden_columns(job: ResolvedJob, stream: StreamConfig) -> dict[str, Treatment]:
    """The columns whose values a preview masks, and how."""
    return treatments(stream.asset, stream.privacy, "preview", job.file.classification_overrides)
