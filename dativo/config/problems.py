"""Mistakes and warnings as they are found, so that all of them can be told in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dativo.errors import Mark, Problem, Severity


@dataclass(slots=True)
class Problems:
    """The mistakes and warnings found so far, in the order they were found, each once."""

    found: list[Problem] = field(default_factory=list)
    _seen: set[Problem] = field(default_factory=set, repr=False)

    def add(
        self,
        message: str,
        mark: Mark | None,
        field: str = "",
        hint: str = "",
        *,
        severity: Severity = "error",
        code: str = "config",
    ) -> None:
        self.extend((Problem(message, mark, field, hint, severity, code),))

    def warn(self, message: str, mark: Mark | None, field: str = "", hint: str = "", *, code: str = "config") -> None:
        self.add(message, mark, field, hint, severity="warning", code=code)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Takes over what was found elsewhere."""
        for problem in problems:
            if problem not in self._seen:
                self._seen.add(problem)
                self.found.append(problem)

    def errors(self) -> list[Problem]:
        return [p for p in self.found if p.severity == "error"]

    def warnings(self) -> list[Problem]:
        return [p for p in self.found if p.severity == "warning"]
