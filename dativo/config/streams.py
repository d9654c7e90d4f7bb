"""The streams of a job: each contract with the part of the source that it governs and the table it becomes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from dativo.config.asset import Asset
from dativo.config.contracts import Contract
from dativo.config.job import File, JobFile, Source, Target
from dativo.config.nodes import Node
from dativo.config.partition import Partition, read_partitioning
from dativo.config.privacy import Privacy
from dativo.config.problems import Problems
from dativo.config.reading import Reading
from dativo.config.relations import relations
from dativo.config.resolved import MaxRejects, StreamConfig
from dativo.config.sides import Side
from dativo.errors import Mark, listed, nearest

PURPOSES = ("warehouse", "llm", "preview")


def read_streams(
    file: JobFile, contracts: list[Contract], source: Side[Source], target: Side[Target], reading: Reading
) -> tuple[StreamConfig, ...]:
    """The streams, in the order of the contracts; mistakes go to the reading's problems."""
    files = list(source.spec.files or [])
    several = len(contracts) > 1
    found = relations(source)
    if several and target.spec.markdown_kv_storage is None:
        _check_matched(source, contracts, reading)
    if target.spec.markdown_kv_storage is None:  # else they may name columns of the source
        _check_overrides(file, [c.asset for c in contracts], reading)
    streams: list[StreamConfig] = []
    for contract in contracts:
        asset = contract.asset
        own = [f for f in files if _object(f) in _names(asset)] if several else files
        objects = tuple(dict.fromkeys(f.object for f in own if f.object)) or tuple(source.spec.objects or ())
        streams.append(
            StreamConfig(
                name=table_name(asset.name),
                asset=asset,
                objects=tuple(o for o in objects if not several or o in _names(asset)),
                files=tuple(own),
                relations=tuple(r for r in found if not several or r.object in _names(asset)),
                namespace=_namespace(asset, target),
                table=table_name(asset.name),
                partitioning=_partitioning(target, asset, reading),
                privacy=merged_privacy(file.privacy, asset.privacy),
                max_rejects=_limit(file, asset, reading),
            )
        )
        _check_names(streams[-1], streams[:-1], contract, reading.problems)
    return tuple(streams)


def table_name(name: str) -> str:
    """The table of a contract's name, and the namespace of its domain."""
    return name.lower().replace(" ", "_").replace("-", "_")


def _namespace(asset: Asset, target: Side[Target]) -> str:
    """The namespace of the contract's domain; in a database the schema that the connection names, where it names one."""
    domain = table_name(asset.domain) if asset.domain else "default"
    connection = target.connections.get("target")
    if connection is None or target.type not in ("postgres", "mysql"):
        return domain
    if target.type == "postgres":
        return connection.get("schema") or ("public" if domain == "default" else domain)
    return connection.get("schema") or connection.get("database") or domain


def _names(asset: Asset) -> set[str]:
    return {n for n in (asset.object, asset.name) if n}


def _object(entry: File) -> str:
    return entry.object or Path(entry.path or "").stem


def _check_matched(source: Side[Source], contracts: list[Contract], reading: Reading) -> None:
    """Every stream of the source has its contract, and every contract its stream."""
    spec = source.spec
    found = {f"source.files[{i}]": _object(f) for i, f in enumerate(spec.files or [])}
    found |= {f"source.objects[{i}]": o for i, o in enumerate(spec.objects or [])}
    found |= {r.field: r.object for r in relations(source) if not r.field.startswith("source.objects")}
    found |= {f"source.sheets[{i}]": s.object for i, s in enumerate(spec.sheets or []) if s.object}
    known = {name for contract in contracts for name in _names(contract.asset)}
    for field, name in found.items():
        if name not in known:
            block, _, position = field.removeprefix("source.").rstrip("]").partition("[")
            mark = source.node.mark_of(block, int(position)) if position else source.node.mark_of(block)
            reading.problems.add(
                f"no asset for the object '{name}'", mark, field, f"the assets are for: {listed(sorted(known))}"
            )
    for contract in contracts if found else ():
        if not _names(contract.asset) & set(found.values()):
            reading.problems.add(
                f"asset {contract.asset.label} is for the object '{contract.asset.object or contract.asset.name}', "
                "which the source does not have",
                contract.mark,
                contract.field,
                f"the source has: {listed(found.values())}",
            )


def _check_names(stream: StreamConfig, before: list[StreamConfig], contract: Contract, problems: Problems) -> None:
    domain = table_name(stream.asset.domain or "default")
    for text, field, what in ((stream.table, "name", "table"), (domain, "domain", "namespace")):
        if not re.fullmatch(r"\w+", text):
            problems.add(
                f"'{text}' cannot name a {what}",
                stream.asset.mark,
                field,
                "use letters, digits and '_' (spaces and '-' become '_')",
            )
    if any((s.namespace, s.table) == (stream.namespace, stream.table) for s in before):
        problems.add(
            f"two assets of the job are for the table '{stream.namespace}.{stream.table}'",
            contract.mark,
            contract.field,
            "give one of them another name or domain",
        )


def _partitioning(target: Side[Target], asset: Asset, reading: Reading) -> tuple[Partition, ...]:
    """The job's partitioning, else the contract's, else the recipe's."""
    own = reading.node.at("target", "partitioning")
    node = target.node.get("partitioning")
    if own is None and asset.partitioning is not None:
        node = Node("list", [Node("scalar", t, asset.mark, text=t) for t in asset.partitioning], asset.mark)
    if node is None or node.kind != "list":
        return ()
    return read_partitioning(node, asset, reading.problems, "target.partitioning")


def _limit(file: JobFile, asset: Asset, reading: Reading) -> MaxRejects | None:
    if file.max_rejects is not None:
        return read_limit(file.max_rejects, reading.node.mark_of("max_rejects"), "max_rejects", reading.problems)
    return read_limit(asset.max_rejects, asset.mark, "data_quality.max_rejects", reading.problems)


def read_limit(value: str | int | None, mark: Mark, field: str, problems: Problems) -> MaxRejects | None:
    """A limit of rejects: a number of rows, or a share of the rows extracted."""
    if value is None:
        return None
    text = str(value).strip()
    match = re.fullmatch(r"(\d{1,18})|(\d{1,3}(?:\.\d{1,18})?)\s*%", text, re.ASCII)
    if match is None or (match[2] and float(match[2]) > 100):
        problems.add(
            f"'{text}' is not a limit of rejects", mark, field, "a number of rows, as 100, or a share, as 0.1%"
        )
        return None
    return MaxRejects(rows=int(match[1])) if match[1] else MaxRejects(share=float(match[2]) / 100)


def _check_overrides(file: JobFile, assets: list[Asset], reading: Reading) -> None:
    """Notes columns of the job's classifications and treatments that no contract has."""
    names = [f.name for asset in assets for f in asset.fields]
    blocks: list[tuple[tuple[str, ...], str]]
    blocks = [(("classification_overrides",), name) for name in file.classification_overrides if name != "default"]
    for purpose in PURPOSES:
        block = getattr(file.privacy, purpose) if file.privacy else None
        blocks += [(("privacy", purpose, "columns"), name) for name in (block.columns if block else {})]
    for path, name in blocks:
        if name not in names:
            guess = nearest(name, names)
            reading.problems.warn(
                f"'{name}' is not a column of asset {', '.join(a.label for a in assets)}",
                reading.node.mark_of(*path, name),
                ".".join((*path, name)),
                f"did you mean '{guess}'?" if guess else f"columns: {listed(names)}",
            )


def merged_privacy(job: Privacy | None, asset: Privacy | None) -> Privacy | None:
    """The job's block laid over the asset's, purpose by purpose and column by column; of two scans the stricter."""
    if job is None or asset is None:
        return job or asset
    merged = {}
    for purpose in PURPOSES:
        over, under = getattr(job, purpose), getattr(asset, purpose)
        if over is None or under is None:
            merged[purpose] = over or under
        else:
            merged[purpose] = msgspec.structs.replace(
                over,
                default=over.default or under.default,
                classes={**under.classes, **over.classes},
                columns={**under.columns, **over.columns},
            )
    scans = (job.leak_scan, asset.leak_scan)
    return msgspec.structs.replace(
        job,
        **merged,
        treat_findings=job.treat_findings or asset.treat_findings,
        leak_scan="fail" if "fail" in scans else "warn" if "warn" in scans else "off",
    )
