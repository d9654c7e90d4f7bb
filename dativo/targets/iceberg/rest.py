"""REST catalogs: a request ends after a while instead of never, and a new schema tells its highest column id."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.io import FileIO
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import AddSchemaUpdate, TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Properties
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, Timeout

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
FILE_ACCESS = "pyiceberg.io.pyarrow.PyArrowFileIO"

_last_column: ContextVar[int | None] = ContextVar("last column", default=None)


class _Patient(HTTPAdapter):
    """Gives every request a time limit, and the schemas of a commit their `last-column-id`.

    pyiceberg does not send that field, which is optional; Nessie before 0.101.1 wants it and answers 500 without.
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, ANSWER_SECONDS)
        last = _last_column.get()
        if last is not None and isinstance(request.body, bytes):
            request.prepare_body(_numbered(request.body, last), None)
        try:
            return super().send(request, *args, **kwargs)
        except Timeout as error:
            connect, answer = kwargs["timeout"]
            seconds = connect if isinstance(error, ConnectTimeout) else answer
            host = urlsplit(request.url or "").netloc
            raise type(error)(f"{host} did not answer within {seconds:g} s", request=request) from None


def _numbered(body: bytes, last: int) -> bytes:
    """A commit's text in which every new schema has its `last-column-id`."""
    content = json.loads(body)
    for update in content.get("updates", ()):
        if update.get("action") == "add-schema":
            update.setdefault("last-column-id", last)
    return json.dumps(content).encode()


class PatientRestCatalog(RestCatalog):
    """pyiceberg's REST catalog with a limit to its patience, which it does not have itself."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Patient())
        return session

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        # Newer versions of Nessie name a file access that needs packages of its own, and their word would beat the client's.
        return super()._load_file_io({**properties, "py-io-impl": FILE_ACCESS}, location)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        added = [u.schema_.highest_field_id for u in updates if isinstance(u, AddSchemaUpdate)]
        before = _last_column.set(max(table.metadata.last_column_id, *added) if added else None)
        try:
            committed: CommitTableResponse = super().commit_table(table, requirements, updates)
            return committed
        finally:
            _last_column.reset(before)
