"""What a run did, as data: counted, balanced, stored in the commit, printed at the end.

Every figure is a count of rows unless its name says otherwise. `version` is the format's version: a newer one than this
program knows is refused by readers, an older one is upgraded.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dativo.errors import ContractError, StateError

VERSION = 1

# `withheld`: nothing was wrong with the stream, but it is published with others, or not at all.
Status = Literal["loaded", "unchanged", "refused", "failed", "interrupted", "withheld"]


class RuleCount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often one rule of the contract was broken, with one example to look at."""

    column: str
    rule: str
    count: int
    file: str = ""
    row: int = 0
    value: str | None = None


class StreamReceipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one stream. `extracted = loaded + rejected + deduplicated` holds before anything is committed.

    `updated` counts the keys of the table that got a new version, `deleted` those that left the source.
    """

    stream: str
    table: str
    status: Status
    write_mode: str = ""
    mode: str = ""
    extracted: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    updated: int = 0
    deleted: int = 0
    violations: int = 0
    rules: tuple[RuleCount, ...] = ()
    files_read: int = 0
    files_skipped: int = 0
    files: int = 0
    bytes: int = 0
    snapshot_id: int | None = None
    contract: str = ""
    contract_hash: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""
    error_code: str = ""

    def check_balance(self) -> None:
        """Raises ContractError when rows were lost or doubled between the source and the data files."""
        if self.extracted != self.loaded + self.rejected + self.deduplicated:
            raise ContractError(
                f"the counts do not balance: {self.extracted} rows extracted, but {self.loaded} loaded + "
                f"{self.rejected} rejected + {self.deduplicated} deduplicated; nothing was committed",
                hint="this is a bug in dativo: please report it with the job and the counts",
            )


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one run of one job did. Times are UTC in ISO 8601, `seconds` wall time, `peak_memory` bytes."""

    version: int = VERSION
    run_id: str
    job: str
    tenant_id: str
    status: Status
    exit_code: int
    started_at: str
    seconds: float
    peak_memory: int = 0
    streams: tuple[StreamReceipt, ...] = ()

    @property
    def loaded(self) -> int:
        return sum(s.loaded for s in self.streams)

    @property
    def rejected(self) -> int:
        return sum(s.rejected for s in self.streams)

    @property
    def extracted(self) -> int:
        return sum(s.extracted for s in self.streams)


def to_json(value: Receipt | StreamReceipt) -> str:
    """The receipt as one line of JSON."""
    return msgspec.json.encode(value).decode()


def stream_from_json(text: str) -> StreamReceipt:
    """The stream receipt that `to_json` wrote; StateError when it is damaged."""
    try:
        return msgspec.json.decode(text, type=StreamReceipt)
    except msgspec.DecodeError as error:
        raise StateError(f"a stored receipt cannot be read: {error}") from error


def receipt_from_json(text: str) -> Receipt:
    """The receipt in a file that a run kept; StateError when it is damaged or of a newer version."""
    try:
        found = msgspec.json.decode(text, type=Receipt)
    except msgspec.DecodeError as error:
        raise StateError(f"a stored receipt cannot be read: {error}") from error
    if found.version > VERSION:
        raise StateError(
            f"a stored receipt has version {found.version}, this program knows {VERSION}", hint="use a newer dativo"
        )
    return found


def as_builtins(value: Receipt | StreamReceipt) -> dict[str, Any]:
    """The receipt with every field, defaults too, as plain dicts and lists for `--json`."""
    return {f: _plain(getattr(value, f)) for f in value.__struct_fields__}


def _plain(value: object) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, msgspec.Struct):
        return {f: _plain(getattr(value, f)) for f in value.__struct_fields__}
    return value
