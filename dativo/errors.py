"""Every error dativo raises on purpose, and how it is told to a person.

    DativoError                 the root; `exit_code` is 2
    ├─ ConfigError              one or more mistakes in configuration files, all found at once
    ├─ UnsupportedError         valid configuration that this version cannot carry out without changing the data
    ├─ SourceError              the source cannot be read: missing file, wrong header, wrong encoding
    ├─ ContractError            the data breaks its contract in a mode that does not allow it
    ├─ TargetError              the target cannot be written: no space, no permission
    │  ├─ SchemaChangeRefused   the table cannot take the contract's columns without losing or changing values
    │  ├─ CommitConflict        another run of the same job committed first
    │  └─ CommitUnknown         the catalog did not say whether the commit landed, and could not be asked
    ├─ StoreError               an object store cannot be reached or refuses what it is asked
    ├─ StateError               the saved state cannot be read or written
    └─ Interrupted              the person asked the run to stop

Foreign exceptions are translated where they arise, at an adapter's edge; nothing above an adapter sees them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Mark(NamedTuple):
    """A place in a file; lines and columns count from 1, and 0 means "the file as a whole"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Problem(NamedTuple):
    """One mistake in a configuration file: what is wrong, where, and what to do about it."""

    message: str
    mark: Mark | None = None
    field: str = ""
    hint: str = ""
    severity: Severity = "error"
    code: str = "config"

    def render(self) -> str:
        """The problem as a person reads it: the sentence, the place, the remedy, each on its own line."""
        head = f"{self.field}: {self.message}" if self.field else self.message
        lines = [f"{self.severity}: {head}"]
        if self.mark is not None:
            lines.append(f"  {self.mark}")
        lines += [f"  {line}" for line in self.hint.splitlines()]
        return "\n".join(lines)


class DativoError(Exception):
    """Root of dativo's errors.

    `message` says what happened, `mark` and `field` where it was asked for, `hint` what to do. None of them may hold a
    secret. `lasting` tells that a setting must change before trying again can help.
    """

    exit_code = 2
    lasting = False
    code = "error"

    def __init__(self, message: str, *, hint: str = "", mark: Mark | None = None, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.mark = mark
        self.field = field

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, one entry a mistake."""
        return (Problem(self.message, self.mark, self.field, self.hint, "error", self.code),)

    def render(self) -> str:
        """Every problem as text for a terminal."""
        return "\n".join(problem.render() for problem in self.problems())


class ConfigError(DativoError):
    """Mistakes in configuration files. All that could be found are told in one go."""

    code = "config"

    def __init__(self, problems: Sequence[Problem]) -> None:
        found = tuple(problems)
        errors = [p for p in found if p.severity == "error"]
        super().__init__(errors[0].message if errors else "the configuration is not valid")
        self._problems = found

    def problems(self) -> tuple[Problem, ...]:
        return self._problems


class UnsupportedError(DativoError):
    """Valid configuration that is not built yet, where ignoring it would change the data."""

    code = "unsupported"


class SourceError(DativoError):
    """The source cannot be read as it was described."""

    code = "source"


class ContractError(DativoError):
    """The data breaks the contract in a mode that does not allow it; nothing was committed."""

    code = "contract"


class TargetError(DativoError):
    """The target cannot be opened or written; nothing became visible."""

    code = "target"


class SchemaChangeRefused(TargetError):
    """The table cannot take the contract's columns without losing or changing values."""

    code = "schema_change"


class CommitConflict(TargetError):
    """Another run of the same job committed between this run's reading and its commit."""

    code = "commit_conflict"


class CommitUnknown(TargetError):
    """The catalog did not say whether the commit landed and could not be asked again."""

    code = "commit_unknown"


class StoreError(DativoError):
    """An object store cannot be reached, or refuses what it is asked; the hint names the settings to look at.

    `refused` tells that the store itself answered that it will not do it: nothing was done.
    """

    code = "store"
    refused = False


class StateError(DativoError):
    """The saved state cannot be read or written."""

    code = "state"


class Interrupted(DativoError):
    """The person asked the run to stop; what was committed before stands, nothing else is visible."""

    code = "interrupted"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The entry of `known` that `name` was most likely meant to be, or None when none is near."""
    known = list(known)
    folded = {k.casefold(): k for k in reversed(known)}
    if name.casefold() in folded:
        return folded[name.casefold()]
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def one_slip(name: str, known: Iterable[str]) -> str | None:
    """The entry of `known` that is one typing slip away from `name`, or None.

    One slip is what a hand does: a letter left out, doubled, replaced or two neighbours swapped, or the wrong case or
    separator. Short names are not judged, because any two of them are near.
    """
    folded = name.replace("-", "_").casefold()
    for candidate in known:
        other = candidate.replace("-", "_").casefold()
        if candidate == name:
            continue
        if other == folded or (len(folded) > 3 and len(other) > 3 and _distance_is_one(folded, other)):
            return candidate
    return None


def _distance_is_one(a: str, b: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours turns `a` into `b`."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    if len(a) > len(b):
        return a[start + 1 :] == b[start:]
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    swapped = a[start : start + 2] == b[start : start + 2][::-1] and a[start + 2 :] == b[start + 2 :]
    return swapped or a[start + 1 :] == b[start + 1 :]


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names for a sentence: the first `limit`, and how many there are more."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return f"{shown}, … ({len(names) - limit} more)" if len(names) > limit else shown
