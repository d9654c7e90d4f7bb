"""What libpq and Postgres say when they do not let a program in. They give no SQLSTATE for it, so their words have to do."""

from __future__ import annotations

import re

from dativo.config.connection import Connection
from dativo.config.refusals import Refusal

_TRUST = "set sslrootcert to the file of the authorities that sign this server's certificate, or to `system`"
# The first whose words are said wins: a server that is asked with TLS and without says two things.
_REFUSALS: tuple[tuple[tuple[str, ...], Refusal], ...] = (
    (("too many c", "too many connections", "remaining connection slots"), Refusal(
        "has no connection left: {said}", (), "close some, or raise max_connections", passes=True, full=True)),
    (("the database system is",), Refusal(
        "takes no connections now: {said}", (), "run again when it is up", passes=True)),
    (("Temporary failure in name resolution",), Refusal(
        "cannot be reached: its host's name cannot be looked up now", ("host",), "see the network", passes=True)),
    (("could not translate host name", "Name or service not known"), Refusal(
        "cannot be reached: its host is not known", ("host",), "correct the host's name")),
    (("failed: No such file or directory",), Refusal(
        "cannot be reached: there is no such socket", ("host", "port"), "start the server, or correct host and port",
        passes=True)),
    (("Connection refused",), Refusal(
        "cannot be reached: nothing listens there", ("host", "port"), "start the server, or correct host and port",
        passes=True)),
    (("timeout expired", "Connection timed out"), Refusal(
        "cannot be reached: it does not answer in time", ("host", "port"),
        "look at the server and at the network between, or raise connect_timeout", passes=True)),
    (("No route to host", "Network is unreachable"), Refusal(
        "cannot be reached: there is no way to its host", ("host",), "look at the network between", passes=True)),
    (("server does not support SSL",), Refusal(
        "has no TLS, which sslmode '{sslmode}' wants", ("sslmode",),
        "turn it on there (`ssl = on`), or set sslmode: prefer where the way there is safe")),
    (("server certificate for",), Refusal(
        "has a certificate of another name: {said}", ("host", "sslmode"), "give the name that the certificate has")),
    (("weak sslmode",), Refusal(
        "is not asked: sslrootcert: system wants sslmode: verify-full", ("sslmode", "sslrootcert"), "set that")),
    (("root certificate file",), Refusal("cannot be verified: {said}", ("sslrootcert", "sslmode"), _TRUST)),
    (("certificate verify failed",), Refusal(
        "has a certificate that is not to be trusted: {said}", ("sslrootcert", "sslmode"), _TRUST)),
    (("private key file", "could not load private key"), Refusal(
        "is not asked, because the client's key cannot be used: {said}", ("sslkey", "sslpassword"),
        "give the key of sslcert, its password in sslpassword, and let nobody else read the file (chmod 600)")),
    (("could not read certificate file", "certificate file"), Refusal(
        "is not asked, because the client's certificate cannot be used: {said}", ("sslcert",), "correct the path")),
    (("requires a valid client certificate",), Refusal(
        "wants a certificate of the client", ("sslcert", "sslkey"), "set sslcert and sslkey")),
    (("alert unknown ca", "alert bad certificate", "alert certificate", "alert decrypt error"), Refusal(
        "does not take the client's certificate: {said}", ("sslcert", "sslkey"),
        "give one that an authority of its ssl_ca_file signed")),
    (("channel binding", "SCRAM"), Refusal(
        "cannot prove who it is: {said}", ("channel_binding", "sslmode"), "channel_binding needs TLS and a SCRAM password")),
    (("authentication failed for user",), Refusal(
        "refuses the user '{user}' with this password", ("password", "user"), "give the password of this user")),
    (("no password supplied",), Refusal(
        "wants a password for the user '{user}'", ("password", "user"), "set it, best in a secret or a variable")),
    (("no pg_hba.conf entry", "pg_hba.conf rejects"), Refusal(
        "does not let the user in from here: {said}", ("user", "database", "sslmode"),
        "allow it in pg_hba.conf, or set sslmode: require where that wants TLS")),
    (("permission denied for database",), Refusal(
        "does not let the user '{user}' into the database '{database}'", ("user", "database"),
        "grant it: GRANT CONNECT ON DATABASE … TO …")),
    (('database "',), Refusal(
        "has no database '{database}'", ("database",), "make it first, or correct its name")),
    (("is not permitted to log in",), Refusal(
        "does not let the user '{user}' log in", ("user",), "ALTER ROLE … LOGIN, or name another user")),
    (('role "',), Refusal("has no user '{user}'", ("user",), "make it first, or correct its name")),
    (("invalid port", "invalid sslmode", "invalid integer value", "invalid connection option", "invalid channel_binding"),
     Refusal("cannot be asked: {said}", ("port", "sslmode"), "correct the setting")),
    (("SSL error", "SSL SYSCALL"), Refusal(
        "lets no TLS connection be made: {said}", ("sslmode", "sslrootcert"), "see the server's log")),
    (("server closed the connection",), Refusal(
        "ends the connection before it is made", ("host", "port"), "is it Postgres? see the server's log", passes=True)),
)  # fmt: skip
_UNKNOWN = Refusal("cannot be reached: {said}", ("host", "port"), "see the server's log", passes=True)


def refusal_of(error: Exception, _: Connection) -> tuple[Refusal, str]:
    """What kind of refusal a driver's error tells, and the sentence in it that says so."""
    text = str(error)
    for signs, refusal in _REFUSALS:
        for sign in signs:
            if sign in text:
                return refusal, _sentence(text, sign)
    return _UNKNOWN, _sentence(text, "")


def _sentence(text: str, sign: str) -> str:
    """The line with these words, without the address and the preface of the driver."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = next((x for x in lines if sign.partition("\n")[0] in x), "no reason given")
    line = re.sub(r"^[A-Z_]+: ", "", line)
    line = re.sub(r"^\[libpq\] (?:Failed to \w+(?: \w+)*: )?", "", line)
    line = re.sub(r"^connection to server (?:at|on) .*? failed: ", "", line)
    line = re.sub(r"^(?:FATAL|ERROR|PANIC):\s+", "", line)
    return re.sub(r"\s*SQLSTATE: \w+\s*$", "", line).strip().rstrip(".")
