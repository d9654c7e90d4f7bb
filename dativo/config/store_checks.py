"""What the source of an object store needs: a bucket, and what to read in it."""

from __future__ import annotations

from collections.abc import Iterator

from dativo.config.connection_fields import STORES
from dativo.config.job import Source
from dativo.config.problems import Problems
from dativo.config.sides import Side
from dativo.config.store_address import address
from dativo.errors import Mark, Problem

_NAMES = {"s3": "S3", "minio": "MinIO", "azure_blob": "Azure Blob Storage"}


def check_store_source(source: Side[Source], streams: int, problems: Problems) -> None:
    """Notes what is missing, and addresses that are in no store of this kind; nothing for other sources."""
    if source.type in STORES and source.connector is not None:
        problems.extend([*_places(source, streams), *_paths(source), *_bucket(source)])


def _places(source: Side[Source], streams: int) -> Iterator[Problem]:
    spec = source.spec
    if not (spec.files or spec.prefix or spec.pattern or source.connections["source"].has("prefix")):
        yield _wrong(
            f"a {source.type} source needs 'files', 'prefix' or 'pattern'", source.node.mark, "source.files",
            "add `files: [{path: orders/2024.csv}]`, or `prefix: orders` with `pattern: '**/*.csv'`",
        )  # fmt: skip
    if spec.files and spec.pattern:
        yield _wrong(
            "'pattern' does nothing where 'files' name what is read", source.node.mark_of("pattern"), "source.pattern",
            "leave one of them out: a path in files may be a glob, too",
        )  # fmt: skip
    if streams > 1 and not spec.files:
        yield _wrong(
            "a job with several assets needs 'files' that name the object of each", source.node.mark, "source.files",
            "add `files: [{path: orders/*.csv, object: orders}, …]`",
        )  # fmt: skip


def _paths(source: Side[Source]) -> Iterator[Problem]:
    scheme = "az" if source.type == "azure_blob" else "s3"
    for position, entry in enumerate(source.spec.files or []):
        mark, field = source.node.mark_of("files", position), f"source.files[{position}].path"
        if entry.path is None:
            yield _wrong("a file needs a 'path'", mark, field, "as `- path: orders/2024.csv`")
            continue
        named = address(entry.path)
        if named is not None and named.scheme != scheme:
            yield _wrong(
                f"'{entry.path}' is not in {_NAMES[source.type]}", mark, field,
                f"write {scheme}://bucket/key, or a key of the bucket without a scheme",
            )  # fmt: skip
        elif named is not None and not (named.bucket and named.key):
            yield _wrong(f"'{entry.path}' names no file", mark, field, f"write {scheme}://bucket/key")


def _bucket(source: Side[Source]) -> Iterator[Problem]:
    name = "container" if source.type == "azure_blob" else "bucket"
    connection = source.connections["source"]
    named = [address(f.path or "") for f in source.spec.files or []]
    # A variable that is set nowhere is told by itself.
    unset = any(path.endswith((".bucket", ".container")) for path, _ in source.unset)
    if connection.has(name) or unset or (named and all(n is not None for n in named)):
        return
    yield _wrong(
        f"a {source.type} source needs a {name}: {connection.origin(name)}", source.node.mark, f"source.{name}",
        f"add `{name}: NAME` to source.connection",
    )  # fmt: skip


def _wrong(message: str, mark: Mark | None, field: str, hint: str) -> Problem:
    return Problem(message, mark, field, hint)
