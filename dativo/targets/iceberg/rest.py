"""REST catalogs that do not answer: a request ends after a while instead of never."""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog.rest import RestCatalog
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0


class _WithTimeouts(HTTPAdapter):
    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, ANSWER_SECONDS)
        return super().send(request, *args, **kwargs)


class PatientRestCatalog(RestCatalog):
    """pyiceberg's REST catalog with a limit to its patience, which it does not have itself."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _WithTimeouts())
        return session
