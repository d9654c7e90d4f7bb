"""Object stores: what they give, what they refuse and how that is told, and what is tried again."""

from __future__ import annotations

import http.server
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dativo.config.connection import Connection, Setting
from dativo.errors import StoreError
from dativo.stores import upload
from dativo.stores.store import Changed, NoSuchObject, ObjectStore, open_store
from tests.services.azurite import Azurite
from tests.services.certificate import AUTHORITY, server_context
from tests.services.minio import Minio

SECRET = "canary-" + secrets.token_hex(8)


def connected(kind: str, **settings: str | None) -> Connection:
    """A connection whose settings stand in a job, one line each; those that are None are not set."""
    named = {k: v for k, v in settings.items() if v is not None}
    return Connection(
        kind=kind,
        settings={
            name: Setting(
                value=value, origin=f"target.connection.{name} (job.yaml:{line}:5)",
                secret=name in ("secret_access_key", "account_key"),
            )
            for line, (name, value) in enumerate(named.items(), 1)
        },
        looked={k: f"target.connection.{k}, the variable {k.upper()}" for k, v in settings.items() if v is None},
    )  # fmt: skip


@pytest.fixture
def s3(minio_server: Minio) -> Callable[..., Connection]:
    bucket = minio_server.make_bucket(f"stores-{secrets.token_hex(6)}")

    def connect(**other: str | None) -> Connection:
        usual: dict[str, str | None] = {
            "endpoint": minio_server.endpoint, "bucket": bucket, "region": minio_server.region,
            "access_key_id": minio_server.access_key, "secret_access_key": minio_server.secret_key,
        }  # fmt: skip
        return connected("s3", **{**usual, **other})

    return connect


@pytest.fixture
def azure(azurite_server: Azurite) -> Callable[..., Connection]:
    container = azurite_server.make_container(f"stores-{secrets.token_hex(6)}")

    def connect(**other: str | None) -> Connection:
        usual: dict[str, str | None] = {
            "endpoint": azurite_server.endpoint, "container": container,
            "account_name": azurite_server.account, "account_key": azurite_server.key,
        }  # fmt: skip
        return connected("azure_blob", **{**usual, **other})

    return connect


@pytest.fixture(params=["s3", "azure"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return open_store(request.getfixturevalue(request.param)())


pytestmark = pytest.mark.server


# -- What they give -----------------------------------------------------------------------------------------------------


def test_objects_are_listed_by_the_beginning_of_their_keys(store: ObjectStore) -> None:
    for key in ("in/orders_1.csv", "in/orders_2.csv", "in/orders/3.csv", "in/other.csv", "inside.csv"):
        store.write(key, key.encode())
    assert sorted(o.key for o in store.list("in/orders_")) == ["in/orders_1.csv", "in/orders_2.csv"]
    assert sorted(o.key for o in store.list("in/")) == [
        "in/orders/3.csv", "in/orders_1.csv", "in/orders_2.csv", "in/other.csv",
    ]  # fmt: skip
    assert len(list(store.list())) == 5 and list(store.list("nothing/")) == []
    (found,) = store.list("in/other")
    assert (found.size, found.etag) == (len("in/other.csv"), store.head("in/other.csv").etag)
    assert abs(found.modified_ns - store.head("in/other.csv").modified_ns) < 10**9


def test_more_objects_than_one_page_are_listed_and_removed(store: ObjectStore) -> None:
    keys = [f"many/{i:04d}" for i in range(1010)]
    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda key: store.write(key, b""), keys))
    assert sorted(o.key for o in store.list("many/")) == keys
    store.delete([*keys, "many/never was"])
    assert list(store.list("many/")) == []


@pytest.mark.parametrize("key", ["a b/c+d=é%20&?#.txt", "x/col=Zürich/ü.csv", "🦆/'\"`"])
def test_keys_of_any_characters(store: ObjectStore, key: str) -> None:
    store.write(key, b"x")
    assert [o.key for o in store.list()] == [key]
    assert store.read(key)[0] == b"x"
    store.delete([key])
    with pytest.raises(NoSuchObject):
        store.read(key)


def test_a_file_is_read_in_pieces_from_anywhere(store: ObjectStore) -> None:
    content = bytes(range(256)) * 4096
    store.write("file", content)
    with store.open_input("file", buffer=10_000) as stream:
        assert stream.read(300) == content[:300]
        stream.seek(-8, 2)
        assert (stream.read(), stream.read()) == (content[-8:], b"")
        stream.seek(123_456)
        assert stream.read(70_000) == content[123_456:193_456]
        stream.seek(0)
        assert stream.read() == content
    with pytest.raises(NoSuchObject):
        store.open_input("none")
    store.write("empty", b"")
    assert store.open_input("empty").read() == b""


def test_a_file_that_is_replaced_while_it_is_read_is_told(store: ObjectStore) -> None:
    store.write("file", b"a" * 5000)
    stream = store.open_input("file", buffer=1000)
    stream.read(1000)
    store.write("file", b"b" * 5000)
    with pytest.raises(OSError, match="file was replaced while it was read"):
        stream.read(4000)


def test_conditional_writes_let_one_of_two_win(store: ObjectStore) -> None:
    first = store.write("x", b"1", only_if_absent=True)
    with pytest.raises(Changed):
        store.write("x", b"2", only_if_absent=True)
    second = store.write("x", b"3", only_if=first)
    with pytest.raises(Changed):
        store.write("x", b"4", only_if=first)
    with pytest.raises(Changed):
        store.write("not there", b"4", only_if=first)
    assert store.read("x")[0] == b"3" and store.head("x").etag == second != first


def test_polars_reads_and_writes_with_the_same_settings(store: ObjectStore) -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    frame.lazy().sink_parquet(store.uri("d/x.parquet"), storage_options=store.polars_options())  # type: ignore[call-overload]
    assert pl.scan_parquet(store.uri("d/*.parquet"), storage_options=store.polars_options()).collect().equals(frame)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1000, upload.PART, 3 * upload.PART + 17])
def test_an_object_is_written_piece_by_piece_and_is_there_when_it_is_finished(store: ObjectStore, size: int) -> None:
    asked = []

    def describe(whole: bool) -> dict[str, str]:
        asked.append(whole)
        return {"asset-name": "people"}

    out = upload.Upload(store, "big", "text/plain", describe, {"owner": "me"})
    piece = bytes(range(256)) * 1024
    content = (piece * (size // len(piece) + 1))[:size]
    for at in range(0, size, len(piece)):
        out.write(content[at : at + len(piece)])
        assert list(store.list("big")) == []
    out.flush()
    assert store.read("big")[0] == content and out.size == size
    # Stores take what an object tells of itself before they take its parts.
    assert asked == [size < upload.PART]


def test_an_object_that_is_given_up_leaves_nothing(store: ObjectStore) -> None:
    out = upload.Upload(store, "big", "text/plain", lambda _: {}, {})
    out.write(b"x" * (2 * upload.PART))
    out.give_up()
    assert list(store.list()) == []


def test_a_check_leaves_nothing_behind(store: ObjectStore) -> None:
    store.check()
    store.check(write=False)
    store.check(conditions=True)
    assert list(store.list()) == []


# -- What they refuse ---------------------------------------------------------------------------------------------------

S3_REFUSALS: list[tuple[dict[str, str | None], str, str, str]] = [
    ({"secret_access_key": SECRET}, "the secret key is wrong", "secret_access_key: ****", "give the key"),
    ({"access_key_id": "nobody"}, "does not know the access key", "access_key_id: nobody", "access key of a user"),
    ({"bucket": "no-such-bucket"}, "there is no such bucket", "bucket: no-such-bucket", "make it first"),
    ({"endpoint": "127.0.0.1:1"}, "nobody listens at the endpoint", "endpoint: 127.0.0.1:1", "start the store"),
    ({"endpoint": "http://no.invalid"}, "the host of the endpoint is not known", "endpoint: http://no.inv", "host name"),
    ({"secret_access_key": None}, "the s3 store has no secret_access_key", "the variable SECRET_ACCESS_KEY", "set secret"),
    ({"bucket": None}, "the s3 store has no bucket", "looked at target.connection.bucket", "set bucket"),
]  # fmt: skip
AZURE_REFUSALS: list[tuple[dict[str, str | None], str, str, str]] = [
    ({"account_key": "d3Jvbmc="}, "the secret key is wrong", "account_key: ****", "give the key"),
    ({"account_key": SECRET}, "not the Base64 text", "account_key: ****", "copy the key"),
    ({"container": "no-such"}, "there is no such container", "container: no-such", "make it first"),
    ({"endpoint": "http://127.0.0.1:1"}, "nobody listens at the endpoint", "endpoint: http://127", "start the store"),
    ({"account_name": None}, "the azure_blob store has no account_name", "looked at target.con", "set account_name"),
]  # fmt: skip


def told(make: Callable[[], Connection]) -> str:
    """What the check of a connection that does not work tells."""
    with pytest.raises(StoreError) as caught:
        open_store(make()).check()
    text = caught.value.render()
    assert SECRET not in text and "Traceback" not in text and "Debug source" not in text
    return text


@pytest.mark.parametrize(("wrong", "meaning", "setting", "remedy"), S3_REFUSALS)
def test_what_s3_refuses_names_setting_origin_and_remedy(
    s3: Callable[..., Connection], wrong: dict[str, str | None], meaning: str, setting: str, remedy: str
) -> None:
    text = told(lambda: s3(**wrong))
    assert meaning in text and setting in text and remedy in text
    assert None in wrong.values() or "from target.connection." in text


@pytest.mark.parametrize(("wrong", "meaning", "setting", "remedy"), AZURE_REFUSALS)
def test_what_azure_refuses_names_setting_origin_and_remedy(
    azure: Callable[..., Connection], wrong: dict[str, str | None], meaning: str, setting: str, remedy: str
) -> None:
    text = told(lambda: azure(**wrong))
    assert meaning in text and setting in text and remedy in text
    assert None in wrong.values() or "from target.connection." in text


def test_tls_where_there_is_none_is_told(s3: Callable[..., Connection], minio_server: Minio) -> None:
    text = told(lambda: s3(endpoint=f"https://127.0.0.1:{minio_server.port}"))
    assert "the endpoint does not speak TLS" in text and "secure: false" in text


@contextmanager
def answering(*answers: tuple[int, str], tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers in turn, the last one for ever, and what it was asked."""
    asked: list[str] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = left.pop(0) if len(left) > 1 else left[0]
            if self.command == "POST" and status == 200:
                text = "<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = answer

        def log_message(self, *_: Any) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None: ...  # clients that do not trust it hang up

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def amazon(code: str, more: str = "") -> str:
    """An error as Amazon writes it."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message>{more}<RequestId>1</RequestId></Error>"


ANSWERS = [
    (403, amazon("RequestTimeTooSkewed"), "more than 15 minutes apart", "set the clock"),
    (400, amazon("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), "another region", "set region to eu-west-3"),
    (301, amazon("PermanentRedirect"), "the bucket is in another region", "region: us-east-1 from target.conn"),
    (403, amazon("AccessDenied"), "the credentials may not do this", "allow them to list"),
    (400, amazon("ExpiredToken"), "the credentials have expired", "fetch new credentials"),
    (400, "Client sent an HTTP request to an HTTPS server.", "speaks TLS and was asked without", "secure: true"),
    (404, "nothing here", "the store answered status 404", "whether it is a store of this kind"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text", "meaning", "remedy"), ANSWERS, ids=lambda v: str(v)[:30])
def test_what_amazon_answers_is_told_with_its_remedy(status: int, text: str, meaning: str, remedy: str) -> None:
    with answering((status, text)) as (endpoint, asked):
        found = told(lambda: connected("s3", endpoint=endpoint, bucket="lake", region="us-east-1",
                                       access_key_id="a", secret_access_key=SECRET))  # fmt: skip
    assert meaning in found and remedy in found
    assert len(asked) == 1


def test_a_store_that_is_busy_is_asked_again_and_not_for_ever() -> None:
    busy = (503, amazon("SlowDown"))
    settings = {"bucket": "lake", "region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}
    with answering(busy, busy, (500, amazon("InternalError")), (200, "")) as (endpoint, asked):
        open_store(connected("s3", endpoint=endpoint, **settings)).write("x", b"1")
    assert len(asked) == 4
    with (
        answering(busy) as (endpoint, asked),
        pytest.raises(StoreError, match="the store has too much to do") as caught,
    ):
        open_store(connected("s3", endpoint=endpoint, **settings)).write("x", b"1")
    assert len(asked) == 6 and not caught.value.refused


def test_a_store_that_ignores_conditions_is_told() -> None:
    with answering((200, "")) as (endpoint, asked):
        store = open_store(connected("s3", endpoint=endpoint, bucket="lake", region="us-east-1",
                                     access_key_id="a", secret_access_key="b"))  # fmt: skip
        store.check()
        with pytest.raises(StoreError, match="does not keep to their condition"):
            store.check(conditions=True)
    assert [a.split()[0] for a in asked] == ["PUT", "POST", "PUT", "PUT", "POST"]


def test_a_certificate_of_nobody_and_of_another_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(AUTHORITY)
    settings = {"bucket": "lake", "region": "us-east-1", "access_key_id": "a", "secret_access_key": SECRET}
    with answering((200, ""), tls=server_context(tmp_path)) as (endpoint, asked):
        strange = told(lambda: connected("s3", endpoint=endpoint, **settings))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        named = told(lambda: connected("s3", endpoint=endpoint, **settings))
    assert "is not signed by anyone this machine trusts" in strange and "SSL_CERT_FILE" in strange
    assert "the certificate of the endpoint is for another name" in named and f"endpoint: {endpoint}" in named
    assert asked == []
