"""The password of a database stays secret, whatever characters it has and wherever it was given."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.conftest import Answer, Dativo
from tests.faults.database import Orders, assert_same
from tests.faults.test_secrets import forms

pytestmark = [pytest.mark.slow, pytest.mark.server]

PASSWORD = "p@ss:w/rd%41 ü'"
FORMS = ("connection", "dsn", "variable", "secrets file")
FAILURES: dict[str, dict[str, Any]] = {
    "no such database": {"database": "nowhere"},
    "no such user": {"user": "nobody"},
    "nothing listens": {"port": "1"},
    "no such table": {"table": {"name": "nothing"}},
    "no such column": {"table": {"name": "orders", "columns": ["nothing"]}},
    "no condition": {"table": {"name": "orders", "where": "nothing = 1"}},
}


def account(orders: Orders) -> str:
    """An account that may read the database."""
    name = f"u{uuid.uuid4().hex[:12]}"
    secret = PASSWORD.replace("'", "''")
    if orders.database.dialect == "postgres":
        orders.database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{secret}'; GRANT SELECT ON orders TO {name};")
    else:
        orders.database.execute(
            f"CREATE USER '{name}'@'%' IDENTIFIED BY '{secret}'; GRANT SELECT ON {orders.database.name}.* TO '{name}'@'%';"
        )
    return name


def configured(
    orders: Orders, patch: pytest.MonkeyPatch, form: str, user: str, table: dict[str, Any], **wrong: str
) -> None:
    """The job with the password in one of the forms, and the rest of its connection with something wrong in it."""
    dialect, server = orders.database.dialect, orders.database.server
    assert server is not None
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE"):
        patch.delenv(("PG" if dialect == "postgres" else "MYSQL_") + name, raising=False)
    told = {"host": server.host, "port": str(server.port), "user": user, "database": orders.database.name, **wrong}
    secrets = orders.root / "secrets/acme" / f"{dialect}.json"
    source: dict[str, Any] = {"connection": told}
    if form == "connection":
        told["password"] = PASSWORD
    elif form == "dsn":
        scheme = "postgresql" if dialect == "postgres" else dialect
        login = f"{told['user']}:{quote(PASSWORD, safe='')}"
        source = {"dsn": f"{scheme}://{login}@{told['host']}:{told['port']}/{told['database']}"}
    elif form == "variable":
        patch.setenv("PGPASSWORD" if dialect == "postgres" else "MYSQL_PASSWORD", PASSWORD)
    else:
        patch.setenv("DATIVO_SECRET_MANAGER", "filesystem")
        orders.write(str(secrets.relative_to(orders.root)), json.dumps({"password": PASSWORD}))
    orders.configure(table=table, **source)
    job = orders.root / "jobs/acme/orders.yaml"
    job.write_text(job.read_text() + "logging:\n  level: DEBUG\n")


def assert_clean(root: Path, *answers: Answer) -> None:
    """The password is in nothing that was said or written, but where it was given."""
    told = {*forms(PASSWORD), quote(PASSWORD, safe="").encode()}
    written = [p for p in root.rglob("*") if p.is_file() and not {"jobs", "secrets"} & set(p.relative_to(root).parts)]
    for form in told:
        for answer in answers:
            assert form not in answer.data and form.decode() not in answer.err, answer.err
        for path in written:
            assert form not in path.read_bytes(), path


COMMANDS = (
    "sync orders --json --log-format json --progress json", "sync orders --full-refresh --debug", "check orders --verbose",
    "check orders --json", "plan orders --explain", "show orders --json", "preview orders",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_password_of_odd_characters_lets_in_and_leaves_no_trace(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    orders.fill(0, 5)
    configured(orders, monkeypatch, form, account(orders), {"name": "orders"})
    answers = [Dativo(monkeypatch)(*command.split()) for command in COMMANDS]
    assert_same(orders.found(), orders.truth())
    assert_clean(orders.root, *answers)


@pytest.mark.parametrize("form", FORMS)
def test_no_failure_of_a_database_tells_its_password(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    orders.fill(0, 5)
    user = account(orders)
    answers = []
    for wrong in FAILURES.values():
        more = {k: v for k, v in wrong.items() if k != "table"}
        configured(orders, monkeypatch, form, more.pop("user", user), wrong.get("table", {"name": "orders"}), **more)
        for command in ("sync orders --json --log-format json --debug", "check orders --verbose"):
            answers.append(Dativo(monkeypatch)(*command.split(), code=2))
    assert_clean(orders.root, *answers)


def test_the_password_would_be_found(tmp_path: Path) -> None:
    for text in (PASSWORD, quote(PASSWORD, safe=""), json.dumps(PASSWORD)):
        (tmp_path / "leak.log").write_text(f"<{text}>")
        with pytest.raises(AssertionError, match=r"leak\.log"):
            assert_clean(tmp_path)
