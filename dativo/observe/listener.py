"""What a run tells while it goes on: to a progress line, a log, or nobody."""

from __future__ import annotations

from typing import Any, Protocol

from dativo.sources.protocol import Meter


class Listener(Protocol):
    """Hears of a run's steps; called from the main thread."""

    def event(self, event_type: str, **fields: Any) -> None:
        """Something happened; the type is one of the format's event types."""
        ...

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        """A stream goes into a phase: reading, comparing keys, loading, committing."""
        ...

    def tick(self) -> None:
        """A moment has passed while a phase goes on."""
        ...


class Silence:
    """Hears everything and says nothing."""

    def event(self, event_type: str, **fields: Any) -> None:
        return None

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        return None

    def tick(self) -> None:
        return None


class Several:
    """Tells everything to several listeners."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def event(self, event_type: str, **fields: Any) -> None:
        for listener in self._listeners:
            listener.event(event_type, **fields)

    def phase(self, stream: str, phase: str, meter: Meter) -> None:
        for listener in self._listeners:
            listener.phase(stream, phase, meter)

    def tick(self) -> None:
        for listener in self._listeners:
            listener.tick()
