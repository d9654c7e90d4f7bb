"""Whether the files that were read are still the files that were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from dativo.errors import SourceError
from dativo.sources.files import LocalFile
from dativo.state.cursor import Cursor


def settled(files: Sequence[LocalFile], cursor: Cursor) -> Cursor:
    """The cursor of a reading that is over.

    Raises SourceError when a file changed meanwhile: what was read may be half old and half new, and the cursor would
    claim otherwise.
    """
    for file in files:
        try:
            status = file.path.stat()
        except OSError as error:
            raise SourceError(
                f"'{file.name}' went away while it was read: {error.strerror}", hint="run again"
            ) from None
        if (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns) and file.member is None:
            raise SourceError(
                f"'{file.name}' changed while it was read; nothing was committed", hint="run again when it is complete"
            )
    return cursor
