"""The contracts that a job names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dativo.config.asset import Asset
from dativo.config.job import File, Sheet, Source, Table
from dativo.config.nodes import Node
from dativo.config.reading import Reading
from dativo.errors import Mark


class Contract(NamedTuple):
    """A contract, and where the job names it."""

    asset: Asset
    mark: Mark
    field: str


def read_contracts(reading: Reading, source: Source | None, tenant: str) -> list[Contract] | None:
    """The contracts of a job in its order, each file once; None when one is missing or has mistakes."""
    wanted = _wanted(reading)
    if not wanted:
        reading.problems.add(
            "'asset_path' is required",
            reading.node.mark,
            "asset_path",
            "name the data contract, as `asset_path: assets/csv/v1.0/employees.yaml`",
        )
        return None
    object_ = first_object(source) if source is not None and len(wanted) == 1 else None
    found: list[Contract] = []
    seen: set[Path] = set()
    failed = False
    for field, where in wanted:
        path = reading.find(where, field, "asset")
        if path is None or reading.library.real(path) in seen:
            failed |= path is None
            continue
        seen.add(reading.library.real(path))
        asset = reading.library.asset(path, object_, tenant, reading.problems)
        failed |= asset is None
        if asset is not None:
            found.append(Contract(asset, where.mark, field))
    return None if failed else found


def _wanted(reading: Reading) -> list[tuple[str, Node]]:
    """The paths of contracts with their fields; what is not text is told when the job is decoded."""
    wanted: list[tuple[str, Node]] = []
    single = reading.head.get("asset_path")
    if single is not None and _names_file(single):
        wanted.append(("asset_path", single))
    for key in ("asset_paths", "assets"):
        block = reading.head.get(key)
        if block is not None and block.kind == "list":
            wanted += [(f"{key}[{i}]", n) for i, n in enumerate(block.value) if _names_file(n)]
    return wanted


def _names_file(node: Node) -> bool:
    return node.kind == "scalar" and node.value is not None and bool(node.text)


def first_object(source: Source) -> str | None:
    """The name of the first thing that a source reads, where it has one."""
    blocks: tuple[Sequence[File | Sheet | Table] | None, ...] = (source.files, source.sheets, source.tables)
    named = (entry.object for block in blocks for entry in block or () if entry.object)
    return next(named, source.objects[0] if source.objects else None)
