"""Whether a REST catalog answers: its address, its credentials, Nessie's branch, the namespaces of the job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError, nearest
from dativo.targets.iceberg.catalog import CatalogSettings
from dativo.targets.iceberg.failure import translated
from dativo.targets.reach import Unreachable, ask, clock, finding, knock_at, unreachable

Found = Iterator[dict[str, Any]]


def answers(job: ResolvedJob, chosen: CatalogSettings, told: dict[str, Any]) -> Found:
    """Findings about a REST catalog; `told` gets the settings that it gives to its clients."""
    what = "Nessie" if chosen.nessie is not None else "catalog"
    name, origin = what.lower(), address_origin(job, chosen)
    uri = chosen.properties["uri"].rstrip("/")
    try:
        knock_at(uri)
        token = chosen.properties.get("token")
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        warehouse = chosen.properties.get("warehouse")
        asked = f"?warehouse={quote(warehouse, safe='')}" if warehouse else ""
        answer = ask(f"{uri}/v1/config{asked}", bearer)
    except Unreachable as error:
        yield unreachable(name, error, opening=f"{what} connectivity failed: {_plain(uri)}", origin=origin)
        return
    skew = clock(answer)
    if skew is not None:
        yield skew
    refused = _refused(what, answer.status_code, answer.text, uri, origin, job)
    # Whoever signs in by `credential` is refused here without, and signs in below.
    if refused is not None and not (answer.status_code == 401 and "credential" in chosen.properties):
        yield refused
        return
    for part in ("defaults", "overrides"):
        told |= _json(answer).get(part) or {}
    if chosen.nessie is not None:
        yield from _branch(job, chosen, bearer)
    yield from _namespaces(job, chosen, what, origin)


def _refused(what: str, status: int, text: str, uri: str, origin: str, job: ResolvedJob) -> dict[str, Any] | None:
    """What a catalog's answer to the question for its settings means, where it is none."""
    if status == 200 or status in (405, 501):
        return None
    name, at = what.lower(), _plain(uri)
    if status in (401, 403):
        connection = job.connections.get("nessie") if what == "Nessie" else None
        token = (
            f"token: {connection.origin('token')}" if connection is not None else "token and credential of the catalog"
        )
        return finding(
            name, False, f"{at} refuses the credentials ({status})", f"{token}\n{origin}", code="credentials"
        )
    if status in (400, 404, 500) and "arehouse" in text:
        where = job.mark("target.warehouse") if job.target.warehouse else job.mark("target.catalog")
        hint = f"name a warehouse that the server knows, or leave it out\ntarget.warehouse ({where})"
        return finding(name, False, f"{at} has no such warehouse", hint, code="warehouse")
    if status == 404:
        hint = f"the address must be that of the server itself, as http://host:19120\n{origin}"
        return finding(name, False, f"no Iceberg catalog answers at {at} (404)", hint, code="not_found")
    return finding(
        name, False, f"{at} answers with the status {status}", f"see the server's log\n{origin}", code="server",
        retryable=status >= 500,
    )  # fmt: skip


def _branch(job: ResolvedJob, chosen: CatalogSettings, bearer: dict[str, str]) -> Found:
    """Whether the branch of the job is there, or can be made."""
    nessie = chosen.nessie
    assert nessie is not None
    connection = job.connections["nessie"]
    try:
        answer = ask(f"{nessie.api}/trees/{quote(nessie.branch, safe='')}", bearer)
        if answer.status_code == 200:
            if (_json(answer).get("reference") or {}).get("type") == "TAG":
                yield finding("branch", False, f"'{nessie.branch}' is a tag", "name a branch\n" + _branch_origin(job),
                              code="branch")  # fmt: skip
            else:
                yield finding("branch", True, f"{nessie.branch} is there")
            return
        start = ask(f"{nessie.api}/trees/{quote(nessie.default_branch, safe='')}", bearer)
        known = ask(f"{nessie.api}/trees?max-records=200", bearer)
    except Unreachable as error:
        yield unreachable("branch", error, origin=_branch_origin(job))
        return
    names = [str(r.get("name")) for r in _json(known).get("references", [])]
    if answer.status_code in (401, 403):
        hint = f"token: {connection.origin('token')}"
        yield finding("branch", False, f"the branch '{nessie.branch}' may not be read", hint, code="credentials")
    elif start.status_code != 200:
        guess = nearest(nessie.default_branch, names)
        hint = f"did you mean '{guess}'?\n" if guess else ""
        origin = f"target.connection.nessie.default_branch: {connection.origin('default_branch')}"
        message = f"there is no branch '{nessie.branch}', and none '{nessie.default_branch}' to make it from"
        yield finding("branch", False, message, f"{hint}{origin}\n{_branch_origin(job)}", code="branch")
    elif answer.status_code == 400:
        hint = f"begin with a letter; letters, digits and ./_- follow\n{_branch_origin(job)}"
        yield finding("branch", False, f"'{nessie.branch}' cannot name a branch", hint, code="branch")
    else:
        guess = nearest(nessie.branch, names, 0.75)
        meant = f"; there is '{guess}': if that is meant, correct {_branch_origin(job)}" if guess else ""
        yield finding("branch", True, f"{nessie.branch} will be made from {nessie.default_branch}{meant}")


def _json(answer: Any) -> dict[str, Any]:
    """The map that a server answered with; empty where it answered something else."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _branch_origin(job: ResolvedJob) -> str:
    if job.target.branch:
        return f"target.branch ({job.mark('target.branch')})"
    connection = job.connections["nessie"]
    if connection.has("ref"):
        return f"ref: {connection.origin('ref')}"
    return f"the branch is the tenant's, tenant_id ({job.mark('tenant_id')})"


def _namespaces(job: ResolvedJob, chosen: CatalogSettings, what: str, origin: str) -> Found:
    """Whether the catalog opens, and lets the job look into its namespaces."""
    name = what.lower()
    namespaces = list(dict.fromkeys(s.namespace for s in job.streams))
    refused = None
    try:
        refused = _closed(chosen, namespaces)
    except DativoError as error:
        found = error_finding(name, error)
        yield {**found, "hint": "\n".join(t for t in (found["hint"], origin) if t)}
        return
    if refused is not None:
        hint = f"allow it to make, read and change tables there, or set another domain in the contract\n{origin}"
        yield finding("namespace", False, f"the catalog does not let this user into the namespace '{refused}'", hint,
                      code="permission")  # fmt: skip
        return
    yield finding(name, True, f"{chosen.label} answers; namespace {', '.join(namespaces)}")


def _closed(chosen: CatalogSettings, namespaces: list[str]) -> str | None:
    """The first namespace that the catalog does not let the job look into; None when there is none.

    Raises TargetError when the catalog does not answer as it should.
    """
    from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError, UnauthorizedError

    from dativo.targets.iceberg.catalog import open_catalog

    catalog = open_catalog(chosen)
    for namespace in namespaces:
        try:
            catalog.namespace_exists(namespace)
        except NoSuchNamespaceError:
            continue  # its branch is not there yet
        except (ForbiddenError, UnauthorizedError):
            return namespace
        except Exception as error:
            raise translated(error, f"asking the {chosen.label} for the namespace '{namespace}'") from error
    return None


def error_finding(name: str, error: DativoError) -> dict[str, Any]:
    problem = error.problems()[0]
    where = f"{problem.field} ({problem.mark})" if problem.field and problem.mark else problem.field
    return finding(
        name, False, problem.message, "\n".join(t for t in (problem.hint, where) if t), code=error.code, retryable=False
    )


def address_origin(job: ResolvedJob, chosen: CatalogSettings) -> str:
    """Where the catalog's address came from."""
    if isinstance(job.target.catalog, dict) and job.target.catalog.get("uri"):
        return f"target.catalog.uri ({job.mark('target.catalog.uri')})"
    if chosen.nessie is not None:
        return f"uri: {job.connections['nessie'].origin('uri')}"
    return "" if chosen.embedded else f"target.catalog ({job.mark('target.catalog')})"


def _plain(uri: str) -> str:
    """An address without the name and password in it."""
    parts = urlsplit(uri)
    return uri if "@" not in parts.netloc else uri.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
