"""Whether somebody answers at an address, within a few seconds: what is wrong otherwise, and what to do about it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from requests import Response

PORT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
# Stores refuse requests that are signed 15 minutes off; tokens are often less patient.
CLOCK_SECONDS = 300
_PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """Nobody answers as expected; `code` is a short name of the reason, `retryable` whether waiting may help."""

    def __init__(self, message: str, hint: str, code: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.retryable = retryable


def finding(
    name: str, ok: bool | None, message: str, hint: str = "", *, code: str = "", retryable: bool = False
) -> dict[str, Any]:
    """One finding of a check; `ok` is None for what is only told."""
    return {"name": name, "ok": ok, "message": message, "hint": hint, "code": code, "retryable": retryable}


def unreachable(name: str, error: Unreachable, *, opening: str = "", origin: str = "") -> dict[str, Any]:
    """The finding that somebody does not answer, with the setting that names the address."""
    message = f"{opening}: {error.message}" if opening else error.message
    hint = "\n".join(text for text in (error.hint, origin) if text)
    return finding(name, False, message, hint, code=error.code, retryable=error.retryable)


def knock(host: str, port: int, seconds: float = PORT_SECONDS) -> None:
    """Raises Unreachable unless somebody listens at a port."""
    at = f"{host}:{port}"
    try:
        socket.create_connection((host, port), seconds).close()
    except socket.gaierror:
        raise Unreachable(f"the host '{host}' is not known", "correct the host's name", "unknown_host") from None
    except TimeoutError:
        hint = "start the server, correct host and port, or let the firewall pass"
        raise Unreachable(f"{at} did not answer within {seconds:g} s", hint, "timeout", retryable=True) from None
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no address"
        text = "nobody listens" if isinstance(error, ConnectionRefusedError) else str(reason)
        hint = "start the server, or correct host and port"
        raise Unreachable(f"{text} at {at}", hint, "port_closed", retryable=True) from None


def knock_at(url: str) -> None:
    """As `knock`, at the host and port of a URL."""
    host, port = host_and_port(url)
    knock(host, port)


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a URL; Unreachable for a text that has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    if not parts.hostname or not port:
        raise Unreachable("the address is no URL with a host", "write it as http://host:port", "address")
    return parts.hostname, port


def ask(url: str, headers: dict[str, str] | None = None, seconds: float = ANSWER_SECONDS) -> Response:
    """The answer to a GET request, whatever its status. Raises Unreachable when there is none."""
    import requests

    try:
        return requests.get(url, headers=headers, timeout=(PORT_SECONDS, seconds), allow_redirects=False)
    except requests.exceptions.SSLError as error:
        raise _tls(str(error)) from None
    except requests.exceptions.Timeout:
        raise Unreachable(f"no answer within {seconds:g} s", "look at the server", "timeout", retryable=True) from None
    except requests.exceptions.RequestException as error:
        text = type(error).__name__
        hint = "see whether it is the right server and port"
        raise Unreachable(f"no answer that can be read ({text})", hint, "no_answer", retryable=True) from None


def _tls(text: str) -> Unreachable:
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text or "record layer" in text.lower():
        return Unreachable("it does not speak TLS", "write the address with http://", "tls")
    if "ostname mismatch" in text or "doesn't match" in text or "not valid for" in text:
        return Unreachable(
            "the server's certificate is for another name", "use a host name that its certificate has", "tls_name"
        )
    if "expired" in text:
        return Unreachable("the server's certificate has expired", "renew it, or set this machine's clock", "tls")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "put its authority's certificate into a file and set REQUESTS_CA_BUNDLE and SSL_CERT_FILE to it"
        return Unreachable("the server's certificate is signed by nobody this machine trusts", hint, "tls")
    return Unreachable("the server's TLS cannot be used", "see its log", "tls")


def clock(response: Response, now: datetime | None = None) -> dict[str, Any] | None:
    """The finding that this machine's clock and a server's are far apart; None when they are not, or it tells no time."""
    try:
        theirs = parsedate_to_datetime(response.headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    ahead = ((now or datetime.now(UTC)) - theirs.replace(tzinfo=theirs.tzinfo or UTC)).total_seconds()
    if abs(ahead) <= CLOCK_SECONDS:
        return None
    way = "ahead of" if ahead > 0 else "behind"
    host = urlsplit(response.url).netloc
    return finding(
        "clock",
        False,
        f"this machine's clock is {abs(ahead) / 60:,.0f} minutes {way} that of {host}",
        "set it (`timedatectl status` shows whether it is synchronised); stores refuse what is signed at another time",
        code="clock",
    )
