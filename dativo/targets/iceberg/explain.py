"""A run's failure in the words of the job's settings: which of them the catalog or the store did not like, and where that
setting came from. What is not about them stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from dativo.config.connection import Connection, Setting
from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError, TargetError
from dativo.stores.failure import recognised
from dativo.stores.failure import translated as store_failure
from dativo.targets.iceberg.check import check

DEFAULT_BRANCH = "target.connection.nessie.default_branch"
_DATABASES = ("sqlalchemy", "psycopg2", "sqlite3")
_WAREHOUSE = re.compile(r"Warehouse '.*' is not known")
# The request that the store refused, as Polars tells it, and the kind of refusal, as Arrow does.
_REQUEST = re.compile(r"(?:PUT|GET|HEAD|POST|DELETE) https?://[^/\s]+/([^/?\s]+)/([^?\s]*)")
_ARROW = re.compile(r"AWS Error ([A-Z_]+)")
_ARROW_KINDS = {"NetworkConnection": "Connection refused", "RequestTimeout": "timed out"}
_ARROW_OBJECT = re.compile(r"key '([^']+)' in bucket '([^']+)'")


def explain(job: ResolvedJob, error: DativoError) -> DativoError:
    """The error, better told where that can be done; conflicts, unknown outcomes and refused schemas tell themselves."""
    if error.field == DEFAULT_BRANCH:
        return _catalog(job, error)
    if type(error) is not TargetError or error.field:
        return error
    causes = list(_causes(error))
    if any(type(cause).__module__.partition(".")[0] in _DATABASES for cause in causes):
        return _database(job, error)
    if any(_from_catalog(cause) for cause in causes):
        return _warehouse(job, error) or _catalog(job, error)
    text = "\n".join((error.message, *(str(cause) for cause in causes)))
    return _store(job, text) or error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to the error, the last first, each once: an exception that is raised anew may lead to itself."""
    seen = {id(error)}
    cause = error.__cause__ or error.__context__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _from_catalog(cause: BaseException) -> bool:
    """Whether a catalog refused, or could not be reached."""
    from pyiceberg.exceptions import RESTError
    from requests.exceptions import RequestException

    return isinstance(cause, RESTError | RequestException)


def _catalog(job: ResolvedJob, error: DativoError) -> DativoError:
    """What a look at catalog and branch finds; the error itself when it finds nothing."""
    wrong = next((found for found in check(job) if found["ok"] is False), None)
    if wrong is None:
        return error
    return TargetError(f"{wrong['message']}; nothing was committed", hint=wrong["hint"])


def _database(job: ResolvedJob, error: TargetError) -> TargetError:
    """A SQL catalog's failure with the setting that says where its database is; the embedded one has none."""
    if not isinstance(job.target.catalog, dict) or error.hint:
        return error
    place = f"target.catalog ({job.mark('target.catalog')})"
    return TargetError(
        error.message, hint=f"look whether the database runs, and whether address and login are right\n{place}"
    )


def _warehouse(job: ResolvedJob, error: TargetError) -> TargetError | None:
    """What Nessie says of a warehouse that it does not know, with an error of its own as the status."""
    if not _WAREHOUSE.search(error.message):
        return None
    return TargetError(
        f"the catalog has no warehouse '{job.target.warehouse}'; nothing was committed",
        hint=f"name a warehouse that the server knows, or leave it out\ntarget.warehouse ({job.mark('target.warehouse')})",
    )


def _store(job: ResolvedJob, text: str) -> TargetError | None:
    connection = job.connections.get("target")
    kind = _ARROW.search(text)
    if kind is not None:
        name = "".join(word.capitalize() for word in kind[1].split("_"))
        text = f"{text}\n{'timed out' if 'Timeout was reached' in text else _ARROW_KINDS.get(name, name)}"
    if connection is None or not ("object-store" in text or "https://" in text or kind) or not recognised(text):
        return None
    bucket, key = _object(text)
    done = "read" if re.search(r"(GET|HEAD) http|(Head|Get)Object", text) else "written"
    found = store_failure(Exception(text), _with_bucket(connection, bucket), done, key)
    told = TargetError(f"{found.message}; nothing was committed", hint=found.hint)
    told.lasting = found.lasting
    return told


def _object(text: str) -> tuple[str, str]:
    """Bucket and key that the failure is about, as far as it tells them."""
    request, named = _REQUEST.search(text), _ARROW_OBJECT.search(text)
    if request is not None:
        return unquote(request[1]), unquote(request[2])
    return (named[2], named[1]) if named is not None else ("", "")


def _with_bucket(connection: Connection, bucket: str) -> Connection:
    """The connection with the bucket that was asked for, where the job names none of its own."""
    if connection.given("bucket") or not bucket:
        return connection
    named = Setting(value=bucket, origin="the catalog, which says where a table is")
    return msgspec.structs.replace(connection, settings={**connection.settings, "bucket": named})
