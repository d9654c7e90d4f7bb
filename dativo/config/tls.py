"""How a connection is encrypted and whom it trusts, by the modes of MySQL's own clients."""

from __future__ import annotations

import ssl
from pathlib import Path

from dativo.config.connection import Connection


class BadCertificate(ValueError):
    """A file of certificates or keys that cannot be used; `setting` names it, `remedy` tells what to do."""

    def __init__(self, message: str, setting: str, remedy: str = "correct the path, or make the file anew") -> None:
        super().__init__(f"the certificates for TLS cannot be used: {message}")
        self.setting = setting
        self.remedy = remedy


def mode_of(connection: Connection) -> str:
    """`disabled`, `preferred`, `required`, `verify_ca` or `verify_identity`."""
    return (connection.get("ssl_mode") or "preferred").lower().replace("-", "_")


def context(connection: Connection, mode: str) -> ssl.SSLContext:
    """What a client needs for TLS; BadCertificate for files that cannot be used.

    The server is verified by `verify_ca`, its name too by `verify_identity`, and in the other modes where authorities are
    given: whoever names them wants them to count.
    """
    authorities = readable(connection, "ssl_ca")
    try:
        made = ssl.create_default_context(cafile=authorities)
    except (ssl.SSLError, OSError) as error:
        raise BadCertificate(f"ssl_ca '{authorities}' {_why(error)}", "ssl_ca") from None
    # Certificates that MySQL makes for itself do not pass the strict check.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.check_hostname = mode == "verify_identity"
    verified = mode in ("verify_ca", "verify_identity") or authorities is not None
    made.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
    _introduce(made, connection)
    return made


def _introduce(made: ssl.SSLContext, connection: Connection) -> None:
    """Gives the client's own certificate, where there is one; one file may have it and its key."""
    certificate, key = readable(connection, "ssl_cert"), readable(connection, "ssl_key")
    if certificate is None and key is None:
        return
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        # Without a function here OpenSSL would ask on the terminal.
        return connection.get("ssl_key_password") or ""

    name = "ssl_cert" if key is None else "ssl_key"
    try:
        made.load_cert_chain(certificate or key or "", key, password)
    except (ssl.SSLError, OSError, ValueError) as error:
        file = key or certificate
        if not asked:
            raise BadCertificate(f"{name} '{file}' {_why(error)}", name) from None
        given = connection.get("ssl_key_password")
        why = "ssl_key_password is not its password" if given else "ssl_key_password is not set"
        setting, remedy = "ssl_key_password", "set it, best in a secret"
        raise BadCertificate(f"{name} '{file}' is encrypted: {why}", setting, remedy) from None


def readable(connection: Connection, name: str) -> str | None:
    """A setting's file, which can be read; None where it is not set, BadCertificate for one that cannot be."""
    path = connection.get(name)
    if not path:
        return None
    try:
        with Path(path).open("rb"):
            return path
    except FileNotFoundError:
        raise BadCertificate(f"{name} '{path}' is not there", name) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadCertificate(f"{name} '{path}' cannot be read: {reason}", name) from None


def _why(error: Exception) -> str:
    """What is wrong with a file, without OpenSSL's names of it."""
    reason = str(getattr(error, "reason", "") or "").lower()
    if "mismatch" in reason:
        return "is not the key of ssl_cert"
    if "no_certificate" in reason or "no_start_line" in reason or reason == "":
        return "has nothing in the format PEM that belongs there"
    return f"cannot be used: {reason.replace('_', ' ')}"
