"""Failures of the disk and of the catalog's database in dativo's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dativo.errors import DativoError, TargetError
from dativo.targets.protocol import TooManyPartitions

# What is found in the text of an error, what it means, what to do. A second try does not help against any of them.
_LASTING = (
    (("No space left", "os error 28", "Errno 28", "database or disk is full"), "no space is left on the disk", "free space"),
    (("Disk quota exceeded", "os error 122", "Errno 122"), "the disk quota is used up", "free space"),
    (("File too large", "os error 27", "Errno 27"), "a file is larger than the system allows", "raise `ulimit -f`"),
    (("readonly database",), "the catalog's database is read-only", "check its permissions"),
    (("file is not a database", "malformed"), "the catalog's database is damaged", "restore it from a backup"),
    (("no such table: iceberg",), "the catalog's database lost its tables", "restore it from a backup"),
    (("unable to open database file",), "the catalog's database cannot be opened", "check its path and permissions"),
    (("Permission denied", "os error 13", "Errno 13"), "a file may not be written", "check its permissions"),
    (("Read-only file system", "os error 30", "Errno 30"), "the file system is read-only", "check the mount"),
    (("Not a directory", "os error 20", "Errno 20"), "a folder cannot be made", "check the warehouse's path"),
)  # fmt: skip


def lasting(error: BaseException) -> TargetError | None:
    """The error in dativo's words if trying again cannot help, else None."""
    text = str(error)
    for marks, meaning, remedy in _LASTING:
        if any(mark in text for mark in marks):
            return TargetError(
                f"{meaning}; nothing was committed: {first_line(error)}", hint=f"{remedy}, then run again"
            )
    return None


def translated(error: BaseException, doing: str) -> TargetError:
    """An error that came while `doing` something, in dativo's words."""
    hint = "another program holds the catalog; run again" if "database is locked" in str(error) else ""
    return lasting(error) or TargetError(f"{doing} failed: {first_line(error)}", hint=hint)


@contextmanager
def failures(doing: str) -> Iterator[None]:
    """Foreign errors that come while `doing` something, in dativo's words."""
    try:
        yield
    except (DativoError, TooManyPartitions):
        raise
    except Exception as error:
        raise translated(error, doing) from error


def first_line(error: BaseException) -> str:
    """An error's first line; of a database error only what the database said."""
    return (str(getattr(error, "orig", None) or error) or type(error).__name__).splitlines()[0]
