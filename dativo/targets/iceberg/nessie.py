"""Nessie: its Iceberg REST catalog at one branch or at one commit of it, and its own API for branches.

Read and written at `BRANCH@HASH`, Nessie compares what was read with what is there: any change of the same table since
(its making and changes of properties too) is a conflict, while commits to other tables pass.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from pyiceberg.exceptions import (
    BadRequestError,
    ForbiddenError,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier
from requests import Response

from dativo.errors import TargetError
from dativo.targets.iceberg.rest import PatientRestCatalog

_STATUS = {400: BadRequestError, 401: UnauthorizedError, 403: ForbiddenError, 503: ServiceUnavailableError}
# What Nessie takes as the name of a branch or tag.
NAME = re.compile(r"[A-Za-z](?:(?!\.\.)[A-Za-z0-9./_-])*(?<![./])")


class Reference(NamedTuple):
    """A branch or tag and the commit it is at."""

    name: str
    hash: str
    type: str = "BRANCH"


class NoSuchReference(Exception):
    """There is no branch or tag of that name, or it is not at that commit."""


class ReferenceConflict(Exception):
    """The reference, or what was to be merged into it, changed meanwhile; `code` is Nessie's word for it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class NessieCatalog(PatientRestCatalog):
    """The catalog at `branch`, which need not exist: there are no tables on it then.

    `uri` in the properties is Nessie's `…/iceberg` address, `api` its `…/api/v2` address.
    """

    def __init__(self, name: str, *, api: str, branch: str, default_branch: str = "main", **properties: str) -> None:
        if not NAME.fullmatch(branch):
            raise TargetError(
                f"'{branch}' cannot name a branch of Nessie",
                field="target.branch",
                hint="set target.branch to a letter with letters, digits and ./_- after it",
            )
        super().__init__(name, **properties)
        # What the server thinks its address is need not be the one that it is reached by.
        self.uri = properties["uri"]
        self.api = api.rstrip("/")
        self.default_branch = default_branch
        self.branch = branch
        self._point(branch)

    def _point(self, reference: str) -> None:
        _, _, warehouse = unquote(self.properties.get("prefix", "")).partition("|")
        prefix = f"{reference}|{warehouse}" if warehouse else reference
        self.properties = {**self.properties, "prefix": quote(prefix, safe="@")}

    def at(self, branch: str, hash: str | None = None) -> NessieCatalog:
        """The same catalog at another branch, or at one commit of it; connections are shared."""
        other = copy.copy(self)
        other.branch = branch
        other._point(f"{branch}@{hash}" if hash else branch)
        return other

    def pinned(self) -> NessieCatalog:
        """The catalog at the commit that the branch is at now. Raises TargetError when the branch is gone."""
        found = self.reference(self.branch)
        if found is None:
            raise TargetError(
                f"the branch '{self.branch}' was removed from Nessie while this run was going on",
                hint="run again: it is made anew",
            )
        return self.at(self.branch, found.hash)

    def load_table(self, identifier: str | Identifier) -> Table:
        try:
            found: Table = super().load_table(identifier)
        except BadRequestError as error:
            if _no_branch(error):
                raise NoSuchTableError(str(error)) from error
            raise
        return found

    def namespace_exists(self, namespace: str | Identifier) -> bool:
        try:
            return bool(super().namespace_exists(namespace))
        except BadRequestError:
            if self.reference(self.branch) is None:
                return False
            raise

    # -- references -------------------------------------------------------------------------------------------------

    def reference(self, name: str) -> Reference | None:
        """A branch or tag as it is now, or None."""
        try:
            return _reference(self._call("GET", f"trees/{_path(name)}")["reference"])
        except NoSuchReference:
            return None

    def references(self, prefix: str = "") -> Iterator[Reference]:
        """The branches and tags whose names begin with a prefix."""
        wanted = {"filter": f"ref.name.startsWith('{prefix}')"} if prefix else {}
        token: str | None = ""
        while token is not None:
            page = self._call("GET", "trees", params={**wanted, **({"page-token": token} if token else {})})
            yield from map(_reference, page["references"])
            token = page.get("token") if page.get("hasMore") else None

    def make_branch(self, name: str, start: Reference) -> Reference:
        """A branch that begins where another one is; the one of that name if there is one already."""
        body = {"type": start.type, "name": start.name, "hash": start.hash}
        try:
            made = self._call("POST", "trees", params={"name": name, "type": "BRANCH"}, json=body)
            return _reference(made["reference"])
        except ReferenceConflict:
            found = self.reference(name)
            if found is None:
                raise
            return found

    def ensure_branch(self) -> Reference:
        """The catalog's branch, made from the default branch where it is missing; others may make it at the same moment."""
        found = self.reference(self.branch)
        if found is not None:
            return found
        start = self.reference(self.default_branch)
        if start is None:
            raise TargetError(
                f"Nessie has neither a branch '{self.branch}' nor the default branch '{self.default_branch}' to make it "
                "from",
                field="target.connection.nessie.default_branch",
                hint="name the server's default branch there",
            )
        return self.make_branch(self.branch, start)

    def merge(self, source: Reference, into: Reference, message: str) -> None:
        """All that the source has and the other branch has not, in one commit; nothing when there is no such thing.

        Raises ReferenceConflict when a table that the source changed was changed on the other branch too.
        """
        body = {"fromRefName": source.name, "fromHash": source.hash, "message": message}
        self._call("POST", f"trees/{_path(into.name)}@{into.hash}/history/merge", json=body)

    def delete_branch(self, name: str) -> bool:
        """Removes a branch, wherever it is at; False when there was none."""
        found = self.reference(name)
        if found is None:
            return False
        try:
            self._call("DELETE", f"trees/{_path(name)}@{found.hash}")
        except NoSuchReference:
            return False
        return True

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._session.request(method, f"{self.api}/{path}", **options)
        if response.ok:
            found: dict[str, Any] = response.json()
            return found
        raise _error(response)


def _reference(found: dict[str, Any]) -> Reference:
    return Reference(found["name"], found["hash"], found["type"])


def _path(name: str) -> str:
    return quote(name, safe="")


def _no_branch(error: BadRequestError) -> bool:
    return "NoSuchReferenceException" in str(error)


def _error(response: Response) -> Exception:
    """Nessie's answer as an exception, of the kinds that pyiceberg raises where it has one."""
    try:
        told = response.json()
        message, code = str(told.get("message") or response.reason), str(told.get("errorCode") or "")
    except (ValueError, AttributeError):
        message, code = f"HTTP {response.status_code} {response.reason}", ""
    if response.status_code == 404:
        return NoSuchReference(message)
    if response.status_code == 409:
        return ReferenceConflict(message, code)
    return _STATUS.get(response.status_code, ServerError)(message)
