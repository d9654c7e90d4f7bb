"""The connection of a database in a job, read from or loaded into: every setting of it counts, or is told."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from dativo.config.connection import Connection, Setting
from dativo.config.logins import address, libpq, pymysql
from dativo.config.tls import BadCertificate
from dativo.errors import ConfigError
from tests.project import Project

ROLES = ("source", "target")


def write(project: Project, kind: str, role: str, connection: dict[str, Any], **more: Any) -> None:
    project.asset([{"name": "id", "type": "integer"}])
    block: dict[str, Any] = {"connection": connection, **more}
    if role == "source":
        block["tables"] = [{"name": "people"}]
    job: dict[str, Any] = {f"{role}_connector_path": f"connectors/{role}s/{kind}.yaml", role: block}
    project.job(**job)


def connection_of(project: Project, kind: str, role: str, connection: dict[str, Any], **more: Any) -> Connection:
    write(project, kind, role, connection, **more)
    return project.load(variables={}).connections[role]


def told(project: Project, kind: str, role: str, connection: dict[str, Any]) -> str:
    write(project, kind, role, connection)
    with pytest.raises(ConfigError) as caught:
        project.load(variables={})
    return caught.value.render()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("kind", "settings", "field", "words"),
    [
        ("postgres", {"sslmode": "requird"}, "sslmode", "did you mean 'require'?"),
        ("mysql", {"ssl_mode": "on"}, "ssl_mode", "one of disabled, preferred, required, verify_ca, verify_identity"),
        ("mysql", {"sslmode": "requird"}, "ssl_mode", "did you mean 'required'?"),
        ("postgres", {"port": "70000"}, "port", "'70000' is no port"),
        ("mysql", {"port": "x"}, "port", "'x' is no port"),
        ("mysql", {"connect_timeout": 0}, "connect_timeout", "'0' is no time to wait"),
        ("postgres", {"connect_timeout": "soon"}, "connect_timeout", "from 1 to 3600"),
        ("postgres", {"sslmod": "require"}, "sslmod", "did you mean 'sslmode'?"),
        ("mysql", {"ssl_mod": "required"}, "ssl_mod", "did you mean 'ssl_mode'?"),
        ("postgres", {"password": "a\0b"}, "password", "password has a NUL"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(
    project: Project, kind: str, role: str, settings: dict[str, Any], field: str, words: str
) -> None:
    text = told(project, kind, role, settings)
    assert f"error: {role}.connection.{field}: " in text and "jobs/acme/job.yaml:" in text and words in text, text
    assert "a\0b" not in text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_setting_that_nobody_reads_is_told(project: Project, kind: str, role: str) -> None:
    write(project, kind, role, {"host": "h", "database": "d", "verify_server": True})
    [warning] = [p for p in project.load(variables={}).warnings if p.field.startswith(role)]
    assert warning.field == f"{role}.connection.verify_server" and "does nothing" in warning.message
    assert "connect_timeout" in warning.hint and warning.mark is not None


def test_the_schema_belongs_to_a_target_only(project: Project) -> None:
    write(project, "postgres", "target", {"schema": "sales"})
    assert not project.load(variables={}).warnings
    write(project, "postgres", "source", {"schema": "sales"})
    assert [p.message for p in project.load(variables={}).warnings] == [
        "the setting 'schema' of a postgres source does nothing"
    ]


def test_what_a_url_asks_for_counts_or_is_told(project: Project) -> None:
    url = "mysql://u:p@h/d?ssl-mode=REQUIRED&ssl-ca=ca.pem&connect-timeout=3"
    found = connection_of(project, "mysql", "source", {}, dsn=url)
    assert [found.get(n) for n in ("ssl_mode", "ssl_ca", "connect_timeout")] == ["REQUIRED", "ca.pem", "3"]
    url = "postgres://u@h/d?password=a+b%2Bc&channel_binding=require&pgbouncer=true"
    found = connection_of(project, "postgres", "source", {}, dsn=url)
    assert (found.get("password"), found.get("channel_binding")) == ("a+b+c", "require")
    [warning] = project.load(variables={}).warnings
    assert (warning.field, "'pgbouncer'" in warning.message) == ("source.dsn", True)


def values(kind: str, **settings: str) -> Connection:
    return Connection(kind=kind, settings={n: Setting(value=v, origin="the test") for n, v in settings.items()})


def test_libpq_is_told_every_setting() -> None:
    names = ("sslcert", "sslkey", "sslrootcert", "channel_binding", "options")
    given = {name: f"the {name}" for name in names if name != "sslcert"} | {"sslcert": __file__}
    found = libpq(values("postgres", host="[::1]", port="5433", user="u", password="it's \\ 'x'", database="d d",
                         sslmode="VERIFY_FULL", sslpassword="k y", connect_timeout="7", **given))  # fmt: skip
    for name in names:
        assert f"{name}='{given[name]}'" in found
    for part in ("host='::1'", "port='5433'", "dbname='d d'", "sslmode='verify-full'", "sslpassword='k y'"):
        assert part in found
    assert r"password='it\'s \\ \'x\''" in found and "connect_timeout='7'" in found


def test_pymysql_is_told_every_setting() -> None:
    found = pymysql(
        values("mysql", host="h", port="3307", user="u", password="zażółć 😀", database="d", ssl_mode="required")
    )
    assert found["password"] == "zażółć 😀".encode()
    assert (found["host"], found["port"], found["user"], found["database"]) == ("h", 3307, "u", "d")
    assert found["ssl"].verify_mode == ssl.CERT_NONE and not found["ssl"].check_hostname
    assert "ssl" not in pymysql(values("mysql", host="h"))
    assert pymysql(values("mysql", host="h", ssl_mode="DISABLED"))["ssl_disabled"] is True
    for mode, named in (("verify_ca", False), ("verify-identity", True)):
        context = pymysql(values("mysql", host="h", ssl_mode=mode))["ssl"]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, named)
    with pytest.raises(BadCertificate, match=r"ssl_ca 'nope\.pem' is not there") as caught:
        pymysql(values("mysql", host="h", ssl_ca="nope.pem"))
    assert caught.value.setting == "ssl_ca"


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("postgres", {"host": "db", "port": "5432"}, "db:5432"),
        ("postgres", {"host": "::1", "port": "5432"}, "[::1]:5432"),
        ("postgres", {"host": "/run/pg", "port": "5432"}, "/run/pg/.s.PGSQL.5432"),
        ("mysql", {"host": "/run/my.sock", "port": "3306"}, "/run/my.sock"),
        ("mysql", {"host": "db", "port": "3306", "unix_socket": "/run/my.sock"}, "/run/my.sock"),
    ],
)
def test_an_address_is_written_as_people_do(kind: str, settings: dict[str, str], text: str) -> None:
    assert address(values(kind, **settings)) == text
