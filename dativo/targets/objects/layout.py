"""Where a table lies in its store: the folder, the names of its files and partitions, what objects tell of themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from dativo.config.partition import Partition
from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.stores.store import ObjectStore

Format = Literal["parquet", "csv", "json"]
CONTENT_TYPES: dict[Format, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "json": "application/x-ndjson",
}
REJECTS_SUFFIX = "__rejects"
# What begins with an underscore is no data to the programs that read whole folders.
HIDDEN = "_dativo"
UNKNOWN = "unknown"


class Place(msgspec.Struct, frozen=True):
    """A table's folder in a store: `base` is a path inside the bucket, `table` the name that its files begin with."""

    store: ObjectStore
    base: str
    table: str

    @property
    def name(self) -> str:
        return self.store.uri(self.base)

    @property
    def manifest(self) -> str:
        return self.hidden("manifest.json")

    def hidden(self, name: str) -> str:
        """The key of something that is not data."""
        return f"{self.base}/{HIDDEN}/{name}"

    def key(self, path: str) -> str:
        """The key of a file of the table."""
        return f"{self.base}/{path}"

    def rejects(self) -> Place:
        return Place(self.store, self.base + REJECTS_SUFFIX, self.table + REJECTS_SUFFIX)


def place(job: ResolvedJob, stream: StreamConfig, store: ObjectStore) -> Place:
    """The connection's prefix, with the table's name where several streams share it, else domain, data product, table."""
    table = table_name(stream.table)
    if store.prefix:
        several = len(job.streams) > 1
        return Place(store, f"{store.prefix}/{table}" if several else store.prefix, table)
    asset = stream.asset
    parts = [_folder(asset.domain or "default"), _folder(asset.data_product or "default"), table]
    return Place(store, "/".join(parts), table)


def table_name(name: str) -> str:
    return _folder(name.lower().replace(" ", "_").replace("-", "_"))


def _folder(name: str) -> str:
    """A name as one folder: it cannot lead anywhere else."""
    found = re.sub(r"[/\\\x00-\x1f\x7f]", "_", name).strip()
    return re.sub(r"^\.+", lambda m: "_" * len(m[0]), found) or "_"


def segment_name(part: Partition) -> str:
    return part.name.lower().replace(" ", "_").replace("-", "_")


def file_name(table: str, number: int, token: str, ending: str) -> str:
    """The name of a data file: numbered through the table's life, with the run that wrote it."""
    return f"{table}_{number:06d}-{token}.{ending}"


Describe = Callable[[str, int | None, int | None], dict[str, str]]


def metadata(
    job: ResolvedJob, stream: StreamConfig, started: datetime, format: Format, compression: str, tags: Mapping[str, str]
) -> Describe:
    """What an object tells of itself, by its partition, rows and bytes; these are left out while they are not known."""
    fixed = {
        "asset-name": stream.asset.name,
        "asset-version": stream.asset.version,
        "asset-domain": stream.asset.domain,
        "data-product": stream.asset.data_product,
        "tenant-id": job.tenant_id,
        "branch": job.branch,
        "owner": tags.get("governance.owner"),
        "retention-days": tags.get("governance.retention_days"),
        "classification": tags.get("classification.default"),
        "ingest-timestamp": started.isoformat(),
        "file-format": format,
        "compression": compression,
    }
    known = {k: str(v) for k, v in fixed.items() if v not in (None, "")}

    def described(partition: str, rows: int | None, size: int | None) -> dict[str, str]:
        late = {"record-count": rows, "file-size-bytes": size}
        found = {**known, **({"partition": partition} if partition else {})}
        return {**found, **{k: str(v) for k, v in late.items() if v is not None}}

    return described


def object_tags(
    job: ResolvedJob, stream: StreamConfig, properties: Mapping[str, str]
) -> Callable[[str], dict[str, str]]:
    """The tags of an object by its partition; S3 takes ten, of letters, digits, spaces and `+-=._:/@`."""
    fixed = {
        "domain": stream.asset.domain,
        "data-product": stream.asset.data_product,
        "tenant": job.tenant_id,
        "branch": job.branch,
        "owner": properties.get("governance.owner"),
        "asset-tag": next(iter(stream.asset.tags), None),
    }
    known = {k: _tag(str(v)) for k, v in fixed.items() if v not in (None, "")}
    return lambda partition: {**known, "partition": _tag(partition)} if partition else known


def _tag(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9_ +=.:/@-]", "_", value)[:256]
