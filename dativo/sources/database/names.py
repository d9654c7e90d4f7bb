"""Names of relations and columns: as people read them, and as SQL has them."""

from __future__ import annotations

from dativo.config.resolved import Relation
from dativo.errors import SourceError


def shown(relation: Relation) -> str:
    """A relation as messages name it: `public.orders`, or `query 'sales'`."""
    if relation.sql is not None:
        return f"query '{relation.object}'"
    return ".".join(part for part in (relation.schema, relation.table) if part)


def identifier(name: str, mark: str = '"') -> str:
    """A name between quotation marks, those inside doubled; SourceError for one that no database can have."""
    if not name or "\0" in name:
        raise SourceError(f"{name!r} is no name of a table or column", hint="a name has characters, and no NUL")
    return mark + name.replace(mark, mark * 2) + mark


def literal(value: str) -> str:
    """Text as a standard SQL literal, where a backslash is a character like any other; SourceError when it holds NUL."""
    if "\0" in value:
        raise SourceError(f"{value!r} holds NUL, which no text of a database can")
    return "'" + value.replace("'", "''") + "'"
