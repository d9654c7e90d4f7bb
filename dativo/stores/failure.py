"""What object stores refuse, as sentences: which setting is wrong, where it came from, what to do."""

from __future__ import annotations

import re
from typing import NamedTuple

from dativo.config.connection import Connection
from dativo.errors import StoreError

_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = re.compile(r"<Region>([\w-]+)</Region>")
_STATUS = re.compile(r"status code: (\d{3})")


class Refusal(NamedTuple):
    """A kind of refusal: what the store's answer has in it, what that means, the settings to look at, the remedy.

    `passes` tells that it may be over when it is tried again.
    """

    signs: tuple[str, ...]
    meaning: str
    settings: tuple[str, ...]
    remedy: str
    passes: bool = False


_ENDPOINT = ("endpoint",)
_REFUSALS = (
    Refusal(
        ("RequestTimeTooSkewed", "date header is too old", "date header in the request is incorrect"),
        "the clock of this machine and the clock of the store are more than 15 minutes apart",
        (),
        "set the clock of this machine (`timedatectl status` shows whether it is synchronised)",
    ),
    Refusal(
        (
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "redirect without LOCATION",
            "IllegalLocationConstraint",
            "AuthorizationRegionMismatch",
        ),
        "the bucket is in another region",
        ("region", "bucket"),
        "set region to the region of the bucket",
    ),
    Refusal(
        ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"),
        "there is no such {bucket}",
        ("bucket", "container", "endpoint"),
        "make it first, or correct its name",
    ),
    Refusal(
        ("InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"),
        "the store does not know the access key",
        ("access_key_id", "session_token"),
        "give the access key of a user of this store",
    ),
    Refusal(
        ("ExpiredToken", "ExpiredAuthenticationToken"),
        "the credentials have expired",
        ("session_token", "access_key_id"),
        "fetch new credentials",
    ),
    Refusal(
        ("SignatureDoesNotMatch", "AuthorizationFailure", "AuthenticationFailed", "InvalidAuthenticationInfo"),
        "the secret key is wrong",
        ("secret_access_key", "access_key_id", "account_key", "account_name"),
        "give the key that belongs to this name",
    ),
    Refusal(
        ("Invalid Access Key",),
        "the account key is not the Base64 text that Azure's portal shows",
        ("account_key",),
        "copy the key as it is shown",
    ),
    Refusal(
        ("AccessDenied", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions", "AllAccessDisabled"),
        "the credentials may not do this",
        ("access_key_id", "account_name", "bucket", "container"),
        "allow them to list, read, write and delete in this place",
    ),
    Refusal(
        ("HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS"),
        "the endpoint speaks TLS and was asked without",
        ("endpoint", "secure"),
        "write the endpoint with https://, or set secure: true",
    ),
    Refusal(
        ("InvalidContentType", "corrupt message", "wrong version number"),
        "the endpoint does not speak TLS",
        ("endpoint", "secure"),
        "write the endpoint with http://, or set secure: false",
    ),
    Refusal(
        ("NotValidForName", "not valid for name"),
        "the certificate of the endpoint is for another name",
        _ENDPOINT,
        "use a host name that its certificate has",
    ),
    Refusal(
        ("UnknownIssuer", "invalid peer certificate", "self-signed", "self signed", "CaUsedAsEndEntity"),
        "the certificate of the endpoint is not signed by anyone this machine trusts, or not valid today",
        _ENDPOINT,
        "put its authority's certificate into a file and set SSL_CERT_FILE to it",
    ),
    Refusal(
        ("dns error", "failed to lookup address"),
        "the host of the endpoint is not known",
        ("endpoint", "region", "account_name"),
        "correct the host name; without an endpoint it is made of the region or the account",
    ),
    Refusal(
        ("Connection refused", "ConnectionRefused", "tcp connect error", "Network is unreachable"),
        "nobody listens at the endpoint",
        _ENDPOINT,
        "start the store, or correct host and port",
        passes=True,
    ),
    Refusal(
        ("TimedOut", "operation timed out", "timed out"),
        "the store did not answer in time",
        _ENDPOINT,
        "look at the store and at the network between, and run again",
        passes=True,
    ),
    Refusal(
        ("SlowDown", "SlowDownRead", "ServerBusy", "ServiceUnavailable", "503 Service Unavailable"),
        "the store has too much to do, and said so each time it was asked",
        _ENDPOINT,
        "run again later, or with fewer runs at once",
        passes=True,
    ),
    Refusal(
        (
            "request or response body error",
            "error decoding response body",
            "connection closed before message completed",
        ),
        "the store's answer broke off, each time it was asked for",
        _ENDPOINT,
        "look at the store and at the network between, and run again",
        passes=True,
    ),
)


def is_missing(error: Exception) -> bool:
    """Whether a store answered that it has no object of this key, and does not lack the whole bucket."""
    return isinstance(error, FileNotFoundError) and _refusal(str(error)) is None


def recognised(text: str) -> bool:
    """Whether there are words for what a store answered."""
    return _refusal(text) is not None


def translated(error: Exception, connection: Connection, done: str, key: str) -> StoreError:
    """What the client raised while an object was read, written, listed or removed, as a StoreError.

    The client's own text has addresses and headers in it, so only what is known to be harmless of it is told.
    """
    text = str(error)
    found = _told_as(text, connection, done, key)
    status = _STATUS.search(text)
    found.refused = status is not None and status[1].startswith("4")
    return found


def _told_as(text: str, connection: Connection, done: str, key: str) -> StoreError:
    refusal = _refusal(text)
    what = f"{_address(connection, key)} cannot be {done}"
    if refusal is None:
        lines = ["look at the store's own log, and at whether it is a store of this kind that answers there"]
        return StoreError(f"{what}: {_told(text)}", hint="\n".join([*lines, *_lines(_ENDPOINT, connection)]))
    meaning = refusal.meaning.format(bucket="container" if connection.kind == "azure_blob" else "bucket")
    region = _REGION.search(text)
    remedy = f"set region to {region[1]}" if region and "region" in refusal.settings else refusal.remedy
    lines = [remedy, *_lines(refusal.settings, connection)]
    told = StoreError(f"{what}: {meaning}", hint="\n".join(lines))
    told.lasting = not refusal.passes
    return told


def _refusal(text: str) -> Refusal | None:
    code = _CODE.search(text)
    for refusal in _REFUSALS:
        # A store that gives a code means that; its answer quotes names that may look like another one.
        if any(sign == code[1] or (" " in sign and sign in text) if code else sign in text for sign in refusal.signs):
            return refusal
    return None


def _lines(settings: tuple[str, ...], connection: Connection) -> list[str]:
    """The settings to look at, with values that are no secrets and with where each came from."""
    lines = []
    for name in settings:
        found = connection.settings.get(name)
        if found is not None:
            lines.append(f"{name}: {'****' if found.secret else found.value} from {found.origin}")
        elif name in connection.looked and name != "session_token":
            lines.append(f"{name}: {connection.origin(name)}")
    return lines


def _address(connection: Connection, key: str) -> str:
    azure = connection.kind == "azure_blob"
    return f"{'az' if azure else 's3'}://{connection.get('container' if azure else 'bucket') or '?'}/{key}"


def _told(text: str) -> str:
    """What may be told of an answer that is not known: its status and code, else the first line of it without addresses."""
    code, status = _CODE.search(text), _STATUS.search(text)
    if code is not None or status is not None:
        parts = [f"status {status[1]}" if status else "", code[1] if code else ""]
        return "the store answered " + " ".join(p for p in parts if p)
    first = text.split("\n\nDebug source", 1)[0].splitlines()[0] if text else "no reason given"
    return re.sub(r"https?://\S+", "the store", first)[:300]
