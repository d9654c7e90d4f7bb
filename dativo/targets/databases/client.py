"""What the sessions of all databases share: how a transaction ends on a client of Python's database interface (PEP 249)."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any


class Client(ABC):
    """A session's client."""

    client: Any

    @abstractmethod
    def _failures(self, doing: str) -> AbstractContextManager[None]:
        """Translates what the client says while it works."""

    def commit(self) -> None:
        with self._failures("committing"):
            self.client.commit()

    def rollback(self) -> None:
        with contextlib.suppress(Exception):
            self.client.rollback()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close()
