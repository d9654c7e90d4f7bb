"""What a run asks of its streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.observe.listener import Listener
from dativo.pipeline.publish import Publication


@dataclass(slots=True, frozen=True)
class Order:
    """What a run asks of each of its streams: its token and begin, how much to read, and what an older state file says.

    With a `publication` streams commit to its branch, and it makes them visible.
    """

    job: ResolvedJob
    token: str
    started: datetime
    listener: Listener
    limit: int | None
    full_refresh: bool
    state: dict[str, Any]
    notes: tuple[str, ...]
    publication: Publication | None = None

    @property
    def today(self) -> str:
        return self.started.date().isoformat()
