"""From a job's file to one frozen ResolvedJob: recipes, contract, registry, variables and defaults all put in.

Every mistake is found here, with file, line and field, before anything is read or written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from dativo.config import paths
from dativo.config.asset import Asset, read_asset
from dativo.config.decode import Problems, decode
from dativo.config.documents import DocumentError, Node, load, map_of, merge
from dativo.config.environment import Environment, Missing, process_environment
from dativo.config.job import Budget, File, Incremental, JobFile, Source, Strategy, Target, ValidationMode, WriteMode
from dativo.config.partition import Partition, read_partitioning
from dativo.config.policy import PolicyFile, check_asset
from dativo.config.privacy import Privacy
from dativo.config.recipe import Recipe, incremental_defaults, read_recipe, source_defaults, target_defaults
from dativo.config.registry import Connector, RegistryFile, check_connector, read_registry
from dativo.errors import ConfigError, Mark, Problem, listed, nearest

Mode = Literal["self_hosted", "cloud"]

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
FILE_STRATEGIES = ("file_modified_time",)
CURSOR_STRATEGIES = ("updated_at", "created", "updated_after")
# In cloud mode a configuration may read these variables (those of the connectors) and no others of the process.
CLOUD_VARIABLES = re.compile(
    r"(?:AWS_|S3_|MINIO_|NESSIE_|PG|POSTGRES_|MYSQL_|SQLITE_DATABASE_PATH|STRIPE_|HUBSPOT_|AZURE_STORAGE_|GDRIVE_|GSHEETS_"
    r"|GOOGLE_APPLICATION_CREDENTIALS|OPENMETADATA_|DATABRICKS_)\w*\Z"
)


class MaxRejects(msgspec.Struct, frozen=True):
    """How many rejects quarantine allows: rows, or a share of the rows extracted."""

    rows: int | None = None
    share: float | None = None

    def allows(self, rejected: int, extracted: int) -> bool:
        if self.rows is not None:
            return rejected <= self.rows
        return rejected <= (self.share or 0) * extracted

    def __str__(self) -> str:
        return str(self.rows) if self.rows is not None else f"{(self.share or 0) * 100:g}%"


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One contract of the job with the part of the source that it governs and the table it becomes."""

    name: str
    asset: Asset
    objects: tuple[str, ...]
    files: tuple[File, ...]
    namespace: str
    table: str
    partitioning: tuple[Partition, ...]
    privacy: Privacy | None
    max_rejects: MaxRejects | None


class ResolvedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job with nothing left to look up. `marks` has the place in a file of every setting that came from one."""

    name: str
    path: str
    root: str
    tenant_id: str
    environment: str | None
    mode: Mode
    source_type: str
    source: Source
    target_type: str
    target: Target
    registry_source: Connector | None
    registry_target: Connector | None
    streams: tuple[StreamConfig, ...]
    validation_mode: ValidationMode
    incremental: Incremental | None
    write_mode: WriteMode
    schema_mode: Literal["strict", "merge", "relaxed"]
    branch: str | None
    file: JobFile
    budget: Budget
    missing: tuple[str, ...]
    unbuilt: tuple[str, ...]
    warnings: tuple[Problem, ...]
    marks: dict[str, Mark]

    def mark(self, field: str) -> Mark | None:
        """Where a setting stands: the setting itself, else the nearest one around it."""
        while field:
            if field in self.marks:
                return self.marks[field]
            field = re.sub(r"(\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+)\Z", "", field)
        return Mark(self.path)


class Resolver:
    """Reads jobs and what they refer to; what several jobs share is read once.

    `problems` collects every mistake and warning of every file read so far.
    """

    def __init__(
        self,
        *,
        environment: Environment | None = None,
        mode: Mode | None = None,
        policy: PolicyFile | None = None,
        strict_governance: bool = False,
    ) -> None:
        self.base = environment if environment is not None else process_environment()
        self.mode = mode
        self.policy = policy
        self.strict_governance = strict_governance
        self.problems = Problems()
        self._documents: dict[Path, Node | Problem] = {}
        self._registries: dict[Path, RegistryFile | None] = {}
        self._recipes: dict[Path, Recipe | None] = {}
        self._assets: dict[tuple[Path, str | None, str], Asset | None] = {}

    def document(self, path: Path) -> Node | None:
        """The document in a file, or None after its problem was noted."""
        key = path.resolve()
        if key not in self._documents:
            try:
                self._documents[key] = load(path, paths.shown(path))
            except DocumentError as error:
                self._documents[key] = error.problem
        found = self._documents[key]
        if isinstance(found, Problem):
            self.problems.add(*found[:4], code=found.code)
            return None
        return found

    def job(self, path: Path) -> ResolvedJob | None:
        """The job in a file, or None when a mistake kept it from being resolved; mistakes go to `problems`."""
        node = self.document(path)
        if node is None:
            return None
        return _JobReader(self, path, node).read()

    def registry(self, beside: Path) -> RegistryFile | None:
        """The registry that holds for a job: `DATIVO_REGISTRY`, the container's, the project's, the one that ships."""
        chosen = self.base.get("DATIVO_REGISTRY")
        if chosen:
            found = paths.find(chosen, beside)
            if found.path is None:
                self.problems.add(
                    f"DATIVO_REGISTRY names '{chosen}', which does not exist",
                    None,
                    "DATIVO_REGISTRY",
                    "looked at: " + ", ".join(map(str, found.tried)),
                )
                return None
            path = found.path
        else:
            found = paths.find("/app/registry/connectors.yaml", beside, ship=True)
            path = found.path or paths.bundled("registry/connectors.yaml")
        key = path.resolve()
        if key not in self._registries:
            node = self.document(path)
            self._registries[key] = read_registry(node, self.problems) if node is not None else None
        return self._registries[key]

    def recipe(self, path: Path) -> Recipe | None:
        key = path.resolve()
        if key not in self._recipes:
            node = self.document(path)
            self._recipes[key] = read_recipe(node, path.parent.name, self.problems) if node is not None else None
        return self._recipes[key]

    def asset(self, path: Path, object: str | None, tenant: str) -> Asset | None:
        key = (path.resolve(), object, tenant)
        if key not in self._assets:
            node = self.document(path)
            asset = read_asset(node, self.problems, object=object, tenant=tenant) if node is not None else None
            if asset is not None and self.policy is not None:
                strict = self.strict_governance or self.policy.contract_enforcement == "strict"
                check_asset(self.policy, asset, self.problems, strict=strict)
            self._assets[key] = asset
        return self._assets[key]

    def check_names(self, jobs: list[ResolvedJob]) -> None:
        """Notes jobs of one tenant that have one name: they would share their state."""
        seen: dict[tuple[str, str], ResolvedJob] = {}
        for job in jobs:
            other = seen.setdefault((job.tenant_id, job.name), job)
            if other is not job and Path(other.path).resolve() != Path(job.path).resolve():
                self.problems.add(
                    f"two jobs of tenant '{job.tenant_id}' have the name '{job.name}'",
                    Mark(job.path),
                    "",
                    f"the other is {other.path}; rename one of the files: a job's name is its file's stem",
                )


def load_job(path: str | Path, *, mode: Mode | None = None, environment: Environment | None = None) -> ResolvedJob:
    """The job in a file, resolved.

    Raises ConfigError with every mistake found in the job and in all it refers to.
    """
    resolver = Resolver(environment=environment, mode=mode)
    job = resolver.job(Path(path))
    if job is None or resolver.problems.errors():
        raise ConfigError(resolver.problems.found)
    return job


class _JobReader:
    """Resolves one job file."""

    def __init__(self, resolver: Resolver, path: Path, node: Node) -> None:
        self.r = resolver
        self.path = path
        self.node = node
        self.problems = resolver.problems
        base = resolver.base
        self.env = Environment(base.values, base.names)

    def read(self) -> ResolvedJob | None:
        before = len(self.problems.errors())
        warned = len(self.problems.found)
        if self.node.kind != "map":
            self.problems.add(f"expected a job (a map), got a {self.node.kind}", self.node.mark)
            return None
        mode = self.run_mode()
        if mode == "cloud":
            values = [{k: v for k, v in m.items() if CLOUD_VARIABLES.match(k)} for m in self.env.values[:1]]
            self.env = Environment(list(values), ["the variables of the connectors (cloud mode reads no others)"])
        node = self.expanded(self.node)
        file = decode(node, JobFile, self.problems)
        tenant_node = node.get("tenant_id")
        tenant = tenant_node.text if tenant_node is not None else ""
        if tenant_node is not None and not TENANT.match(tenant):
            self.problems.add(
                f"'{tenant}' cannot be a tenant: it names folders and branches",
                tenant_node.mark,
                "tenant_id",
                "use letters, digits, '.', '_' and '-', starting with a letter or digit",
            )
        registry = self.r.registry(self.path.parent)
        source = self.side(node, "source", registry, mode)
        target = self.side(node, "target", registry, mode)
        assets = self.assets(node, source.spec if source else None, tenant)
        if file is None or source is None or target is None or assets is None or registry is None:
            return None
        job = self.build(file, node, mode, source, target, assets)
        if len(self.problems.errors()) > before or job is None:
            return None
        warnings = tuple(p for p in self.problems.found[warned:] if p.severity == "warning")
        return msgspec.structs.replace(job, warnings=warnings)

    def run_mode(self) -> Mode:
        """The mode of the run: asked for on the command line, else the job's own."""
        own = self.node.get("mode")
        return self.r.mode or ("cloud" if own is not None and own.value == "cloud" else "self_hosted")

    def expanded(self, node: Node, path: str = "") -> Node:
        return self.env.node(node, path)

    # -- source and target ------------------------------------------------------------------------------------------

    def side(
        self, node: Node, role: Literal["source", "target"], registry: RegistryFile | None, mode: Mode
    ) -> _Side | None:
        recipe = self.recipe(node, role)
        if recipe is None or registry is None:
            return None
        if recipe.roles is not None and role not in recipe.roles:
            self.problems.add(
                f"the recipe '{recipe.name}' cannot be a {role}, only a {' or '.join(recipe.roles)}",
                node.mark_of(f"{role}_connector_path"),
                f"{role}_connector_path",
                f"name a {role} recipe",
            )
            return None
        defaults = source_defaults(recipe) if role == "source" else target_defaults(recipe)
        own = node.get(role)
        block = own if own is not None and own.kind == "map" else None
        merged = merge(_without(defaults, "incremental"), block) or map_of({}, node.mark)
        merged = self.expanded(_flatten_engine(merged), role)
        if role == "source":
            merged = self.with_incremental(merged, recipe)
        merged = _prune_unset(merged)
        spec: Source | Target | None
        spec = decode(merged, Source if role == "source" else Target, self.problems, role)  # type: ignore[type-var]
        if spec is None:
            return None
        type_ = spec.type or recipe.connector
        custom = merged.get("custom_reader" if role == "source" else "custom_writer")
        connector = None
        if custom is None or custom.is_null():
            where = merged.get("type")
            place = where if where is not None else node.get(f"{role}_connector_path") or recipe.node
            field = f"{role}.type" if where is not None else f"{role}_connector_path"
            connector = check_connector(registry, type_, role, place, self.problems, field)
            if connector is None:
                return None
            if mode == "cloud" and not connector.allowed_in_cloud:
                self.problems.add(
                    f"connector '{type_}' is not allowed in cloud mode",
                    place.mark,
                    field,
                    "run with --mode self_hosted",
                )
        return _Side(type_, spec, merged, connector)

    def recipe(self, node: Node, role: str) -> Recipe | None:
        key = f"{role}_connector_path"
        where = node.get(key)
        if where is None or not isinstance(where.value, str):
            return None  # decoding the job tells it
        found = paths.find(where.value, self.path.parent, ship=True)
        if found.path is None:
            self.problems.add(
                f"Connector recipe not found: '{where.text}'",
                where.mark,
                key,
                _looked_at(found.tried) + _similar(found.tried),
            )
            return None
        return self.r.recipe(found.path)

    def with_incremental(self, merged: Node, recipe: Recipe) -> Node:
        """Fills the gaps of a job's `incremental` from the recipe; without a block of its own the job loads fully."""
        own = merged.get("incremental")
        entries = dict(merged.value)
        if own is None or own.is_null() or (own.kind == "map" and not own.value):
            entries.pop("incremental", None)
        elif own.kind == "map":
            base = incremental_defaults(recipe)
            filled = Node("map", dict(own.value), own.mark, keys=dict(own.keys))
            for key, value in (base.value if base is not None else {}).items():
                if key not in own.value:
                    filled.value[key] = value
                    filled.keys[key] = value.mark
            entries["incremental"] = filled
        return Node("map", entries, merged.mark, keys=merged.keys)

    # -- contracts --------------------------------------------------------------------------------------------------

    def assets(self, node: Node, source: Any, tenant: str) -> list[tuple[Asset, Mark]] | None:
        wanted: list[tuple[str, Node]] = []
        single = node.get("asset_path")
        if single is not None and isinstance(single.value, str):
            wanted.append(("asset_path", single))
        for key in ("asset_paths", "assets"):
            block = node.get(key)
            if block is not None and block.kind == "list":
                wanted += [(f"{key}[{i}]", n) for i, n in enumerate(block.value) if isinstance(n.value, str)]
        if not wanted:
            self.problems.add(
                "'asset_path' is required",
                node.mark,
                "asset_path",
                "name the data contract, as `asset_path: assets/csv/v1.0/employees.yaml`",
            )
            return None
        object_ = _first_object(source)
        found: list[tuple[Asset, Mark]] = []
        seen: set[Path] = set()
        failed = False
        for field, where in wanted:
            place = paths.find(where.value, self.path.parent)
            if place.path is None:
                self.problems.add(
                    f"asset not found: '{where.text}'",
                    where.mark,
                    field,
                    _looked_at(place.tried) + _similar(place.tried),
                )
                failed = True
                continue
            if place.path.resolve() in seen:
                continue
            seen.add(place.path.resolve())
            asset = self.r.asset(place.path, object_ if len(wanted) == 1 else None, tenant)
            failed |= asset is None
            if asset is not None:
                found.append((asset, where.mark))
        return None if failed else found

    # -- the whole --------------------------------------------------------------------------------------------------

    def build(
        self, file: JobFile, node: Node, mode: Mode, source: _Side, target: _Side, assets: list[tuple[Asset, Mark]]
    ) -> ResolvedJob | None:
        spec: Source = source.spec
        goal: Target = target.spec
        incremental = self.incremental(spec, source)
        write_mode = goal.write_mode or ("append" if incremental is not None else "replace")
        streams = self.streams(file, node, spec, target, assets)
        self.check_source(spec, source, mode)
        if incremental is not None and write_mode == "upsert":
            for stream in streams:
                self.check_key(stream, target)
        asset_mode = next((a.mode for a, _ in assets if a.mode), None)
        schema_mode = goal.mode or asset_mode or "merge"
        marks = {
            path: n.mark
            for side, n in (("source", source.node), ("target", target.node))
            for path, n in n.scalars(side)
        }
        marks.update({path: n.mark for path, n in node.scalars() if path not in marks})
        return ResolvedJob(
            name=self.path.stem,
            path=paths.shown(self.path),
            root=str(paths.project_root(self.path.parent) or Path.cwd()),
            tenant_id=file.tenant_id,
            environment=file.environment,
            mode=mode,
            source_type=source.type,
            source=spec,
            target_type=target.type,
            target=goal,
            registry_source=source.connector,
            registry_target=target.connector,
            streams=tuple(streams),
            validation_mode=file.schema_validation_mode,
            incremental=incremental,
            write_mode=write_mode,
            schema_mode="relaxed" if schema_mode == "warn" else schema_mode,  # type: ignore[arg-type]
            branch=goal.branch,
            file=file,
            budget=file.engine or Budget(),
            missing=self.missing(),
            unbuilt=_unbuilt(file, goal),
            warnings=(),
            marks=marks,
        )

    def missing(self) -> tuple[str, ...]:
        """Notes the variables that are still needed and set nowhere; their names."""
        names: dict[str, Missing] = {}
        for entry in self.env.missing:
            if not entry.field.startswith(("catalog.", "observability.", "infrastructure")):
                names.setdefault(entry.name, entry)
        places = ", then ".join(self.env.names)
        for entry in names.values():
            self.problems.warn(
                f"Missing required environment variable: {entry.name}",
                entry.mark,
                entry.field,
                f"looked in {places}; set it, or write a default as ${{{entry.name}:-value}}",
                code="env_missing",
            )
        return tuple(names)

    def incremental(self, spec: Source, side: _Side) -> Incremental | None:
        block = spec.incremental
        if block is None:
            return None
        mark = side.node.mark_of("incremental")
        connector = side.connector
        default = connector.incremental_strategy_default if connector else None
        strategy: Strategy | None = block.strategy
        if strategy is None or strategy == "incremental":
            strategy = default
        where = "source.incremental.strategy"
        if strategy is None:
            self.problems.add(
                "no incremental strategy: neither the job, the recipe nor the registry gives one",
                mark,
                where,
                "add `strategy: updated_at`, or remove the incremental block",
            )
            return None
        if strategy == "cdc":
            self.problems.add(
                "strategy 'cdc' is not supported",
                side.node.mark_of("incremental", "strategy"),
                where,
                "use updated_at with lookback_days, or full_refresh",
            )
            return None
        if strategy == "full_refresh":
            return None
        if connector is not None and not connector.supports_incremental:
            self.problems.add(
                f"connector '{side.type}' cannot load incrementally",
                mark,
                "source.incremental",
                "remove the incremental block",
            )
            return None
        if strategy in CURSOR_STRATEGIES and not _names_cursor(block, side.node, spec):
            self.problems.add(
                f"strategy '{strategy}' needs a cursor_field",
                mark,
                "source.incremental.cursor_field",
                "name the column that grows, as `cursor_field: updated_at`, or null for a full load",
            )
            return None
        if strategy in FILE_STRATEGIES and not (
            spec.files or spec.folder_id or spec.query or spec.prefix or spec.pattern
        ):
            self.problems.add(
                f"strategy '{strategy}' needs files", mark, "source.files", "add `files: [{path: data/*.csv}]`"
            )
            return None
        if strategy in FILE_STRATEGIES and default is not None and default not in FILE_STRATEGIES:
            self.problems.add(
                f"connector '{side.type}' has no strategy '{strategy}'", mark, where, f"its own is '{default}'"
            )
            return None
        return msgspec.structs.replace(block, strategy=strategy, lookback_days=block.lookback_days or 0)

    def streams(
        self, file: JobFile, node: Node, source: Source, target: _Side, assets: list[tuple[Asset, Mark]]
    ) -> list[StreamConfig]:
        goal: Target = target.spec
        files = list(source.files or [])
        streams = []
        for asset, mark in assets:
            own = _own_files(files, asset) if len(assets) > 1 else files
            name = _table_name(asset.name)
            namespace = _table_name(asset.domain) if asset.domain else "default"
            for text, label in ((name, "name"), (namespace, "domain")):
                if not re.fullmatch(r"\w+", text):
                    self.problems.add(
                        f"'{text}' cannot name a {'table' if label == 'name' else 'namespace'}",
                        asset.mark,
                        label,
                        "use letters, digits and '_' (spaces and '-' become '_')",
                    )
            privacy = _merged_privacy(file.privacy, asset.privacy)
            self.check_overrides(file, node, asset)
            limit = file.max_rejects if file.max_rejects is not None else asset.max_rejects
            limit_mark = node.mark_of("max_rejects") if file.max_rejects is not None else asset.mark
            streams.append(
                StreamConfig(
                    name=name,
                    asset=asset,
                    objects=tuple(dict.fromkeys(f.object for f in own if f.object)) or tuple(source.objects or ()),
                    files=tuple(own),
                    namespace=namespace,
                    table=name,
                    partitioning=self.partitioning(goal, target, asset),
                    privacy=privacy,
                    max_rejects=self.max_rejects(limit, limit_mark),
                )
            )
        if len(assets) > 1:
            self.check_matched(files, assets, target)
        return streams

    def check_matched(self, files: list[File], assets: list[tuple[Asset, Mark]], side: _Side) -> None:
        names = {a.object or a.name for a, _ in assets}
        for position, entry in enumerate(files):
            object_ = entry.object or Path(entry.path or "").stem
            if object_ not in names and object_ not in {a.name for a, _ in assets}:
                self.problems.add(
                    f"no asset for the object '{object_}'",
                    Mark(paths.shown(self.path)),
                    f"source.files[{position}]",
                    f"the assets are for: {listed(sorted(names))}",
                )

    def partitioning(self, goal: Target, side: _Side, asset: Asset) -> tuple[Partition, ...]:
        """The job's partitioning, else the contract's, else the recipe's."""
        own = self.node.at("target", "partitioning")
        node = side.node.get("partitioning")
        if own is None and asset.partitioning is not None:
            values = [Node("scalar", t, asset.mark, text=t) for t in asset.partitioning]
            node = Node("list", values, asset.mark)
        if (
            node is None
            or node.kind != "list"
            or (own is None and asset.partitioning is None and goal.partitioning is None)
        ):
            return ()
        return read_partitioning(node, asset, self.problems, "target.partitioning")

    def max_rejects(self, value: str | int | None, mark: Mark) -> MaxRejects | None:
        if value is None:
            return None
        text = str(value).strip()
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)\s*%", text)
        if match is None or (match[2] and float(match[2]) > 100):
            self.problems.add(
                f"'{text}' is not a limit of rejects",
                mark,
                "max_rejects",
                "a number of rows, as 100, or a share, as 0.1%",
            )
            return None
        return MaxRejects(rows=int(match[1])) if match[1] else MaxRejects(share=float(match[2]) / 100)

    def check_overrides(self, file: JobFile, node: Node, asset: Asset) -> None:
        names = [f.name for f in asset.fields]
        blocks = [("classification_overrides", name) for name in file.classification_overrides if name != "default"]
        for purpose in ("warehouse", "llm", "preview"):
            block = getattr(file.privacy, purpose, None) if file.privacy else None
            blocks += [(f"privacy.{purpose}.columns", name) for name in (block.columns if block else {})]
        for block_path, name in blocks:
            if name not in names:
                guess = nearest(name, names)
                self.problems.warn(
                    f"'{name}' is not a column of asset {asset.label}",
                    node.mark_of(*block_path.split("."), name),
                    f"{block_path}.{name}",
                    f"did you mean '{guess}'?" if guess else f"columns: {listed(names)}",
                )

    def check_key(self, stream: StreamConfig, side: _Side) -> None:
        if not stream.asset.key:
            self.problems.add(
                f"write_mode 'upsert' needs a key, and asset {stream.asset.label} has none",
                side.node.mark_of("write_mode"),
                "target.write_mode",
                "mark the key's columns with `primary_key: true`",
            )

    def check_source(self, spec: Source, side: _Side, mode: Mode) -> None:
        for position, entry in enumerate(spec.files or []):
            mark = side.node.mark_of("files", position)
            if entry.path is None and side.type in ("csv", "parquet", "jsonl", "markdown_kv"):
                self.problems.add(
                    "a file needs a 'path'", mark, f"source.files[{position}].path", "as `- path: data/employees.csv`"
                )
            if mode == "cloud" and entry.path is not None and paths.leaves_root(entry.path):
                self.problems.add(
                    f"'{entry.path}' leaves the project, which cloud mode does not allow",
                    mark,
                    f"source.files[{position}].path",
                    "use a path below the project",
                )
            if entry.object is not None and re.search(r"[/\\]|^\.\.?$", entry.object):
                self.problems.add(
                    f"'{entry.object}' cannot be an object: it names files",
                    mark,
                    f"source.files[{position}].object",
                    "leave out '/', '\\' and '..'",
                )
        if not spec.files and side.type in ("csv", "parquet", "jsonl") and side.connector is not None:
            self.problems.add(
                f"a {side.type} source needs 'files'",
                side.node.mark,
                "source.files",
                "add `files: [{path: data/*.csv}]`",
            )


class _Side:
    """Source or target with its recipe laid under it."""

    __slots__ = ("connector", "node", "spec", "type")

    def __init__(self, type_: str, spec: Any, node: Node, connector: Connector | None) -> None:
        self.type = type_
        self.spec = spec
        self.node = node
        self.connector = connector


def _without(node: Node, key: str) -> Node:
    return Node("map", {k: v for k, v in node.value.items() if k != key}, node.mark, keys=node.keys)


def _flatten_engine(node: Node) -> Node:
    """`engine.options`: what stands under the engine's own name comes up one level; direct keys win."""
    engine = node.get("engine")
    if engine is None or engine.kind != "map":
        return node
    options = engine.get("options")
    if options is None or options.kind != "map":
        return node
    type_node = engine.get("type")
    names = {type_node.text if type_node is not None else "native", "native"}
    flat: dict[str, Node] = {}
    for name in names:
        inner = options.get(name)
        if inner is not None and inner.kind == "map":
            flat.update(inner.value)
    flat.update({k: v for k, v in options.value.items() if k not in names or v.kind != "map"})
    new_options = Node("map", flat, options.mark, keys={k: v.mark for k, v in flat.items()})
    new_engine = Node("map", {**engine.value, "options": new_options}, engine.mark, keys=engine.keys)
    return Node("map", {**node.value, "engine": new_engine}, node.mark, keys=node.keys)


def _prune_unset(node: Node) -> Node:
    """Takes settings out of `connection` and `credentials` whose variable is set nowhere: they count as absent."""

    def prune(block: Node) -> Node:
        if block.kind != "map":
            return block
        kept = {
            k: prune(v)
            for k, v in block.value.items()
            if not (isinstance(v.value, str) and re.search(r"\$\{?[A-Za-z_]\w*", v.value))
        }
        return Node("map", kept, block.mark, keys=block.keys)

    entries = {k: prune(v) if k in ("connection", "credentials", "catalog") else v for k, v in node.value.items()}
    return Node("map", entries, node.mark, keys=node.keys)


def _names_cursor(block: Incremental, node: Node, source: Source) -> bool:
    own = node.at("incremental", "cursor_field")
    return block.cursor_field is not None or own is not None or any(t.cursor_field for t in source.tables or [])


def _first_object(source: Any) -> str | None:
    if source is None:
        return None
    for entry in [*(source.files or []), *(source.sheets or []), *(source.tables or [])]:
        if entry.object:
            return str(entry.object)
    return str(source.objects[0]) if source.objects else None


def _own_files(files: list[File], asset: Asset) -> list[File]:
    names = {asset.object, asset.name}
    return [f for f in files if (f.object or Path(f.path or "").stem) in names]


def _table_name(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def _merged_privacy(job: Privacy | None, asset: Privacy | None) -> Privacy | None:
    """The job's block laid over the asset's, purpose by purpose and column by column."""
    if job is None or asset is None:
        return job or asset
    merged = {}
    for purpose in ("warehouse", "llm", "preview"):
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
    return msgspec.structs.replace(job, **merged)


def _unbuilt(file: JobFile, target: Target) -> tuple[str, ...]:
    """Blocks that are valid and do nothing yet, and whose absence does not change the data."""
    blocks: Iterator[tuple[str, Any]] = iter(
        [
            ("observability", file.observability),
            ("catalog", file.catalog),
            ("retry_config", file.retry_config),
            ("plugins", file.plugins),
            ("infrastructure", file.infrastructure),
            ("engine.lock", file.engine.lock if file.engine else None),
            ("target.export", target.export),
        ]
    )
    return tuple(name for name, value in blocks if value is not None)


def _looked_at(tried: list[Path]) -> str:
    return "looked at: " + ", ".join(paths.shown(p) for p in tried)


def _similar(tried: list[Path]) -> str:
    """A file of a like name in one of the folders that were looked at."""
    for place in tried:
        if place.parent.is_dir():
            names = [p.name for p in place.parent.iterdir()]
            guess = nearest(place.name, names)
            if guess:
                return f"\nthere is {paths.shown(place.parent / guess)}: is it meant?"
    return ""
