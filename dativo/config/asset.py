"""Data contracts (assets) in their three forms, brought into one.

- flat: the contract's keys at the top, `schema` a list of columns;
- wrapped: the same below `asset:`, with a `governance` block;
- native ODCS 3.0.2: `schema` a list of objects with `properties`.

What the rest of the program sees is `Asset` with its `Field`s; where each came from in the file stays with it.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.decode import Problems, decode
from dativo.config.documents import Node, map_of
from dativo.config.job import Finops, NotNegative
from dativo.config.privacy import Privacy
from dativo.config.types import DEFAULT_DECIMAL, KNOWN, Kind, TypeName, has_time, parse_type, refine, strftime_of
from dativo.errors import Mark, listed, nearest, one_slip

ODCS_VERSIONS = ("v3.0.0", "v3.0.1", "v3.0.2", "v2.2.0", "v2.2.1", "v2.2.2")
Scalar = str | int | float | bool
Bound = int | float | str


class FieldEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a flat contract."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"source_name": "physicalName"}
    name: Annotated[str, Meta(min_length=1, description="column name in the table")]
    type: Annotated[str, Meta(description="string, integer, double, decimal(p,s), boolean, date, timestamp, …")] = "string"
    required: Annotated[bool | None, Meta(description="whether null is a violation")] = None
    nullable: Annotated[bool | None, Meta(description="the inverse of `required`")] = None
    classification: Annotated[str | list[str] | None, Meta(description="class of the data, as PII")] = None
    description: Annotated[str | None, Meta(description="for people; becomes the column's comment")] = None
    primary_key: Annotated[bool, Meta(description="part of the key that identifies a row")] = False
    unique: Annotated[bool, Meta(description="whether no value may come twice")] = False
    precision: Annotated[Annotated[int, Meta(ge=1, le=38)] | None, Meta(description="digits of a decimal")] = None
    scale: Annotated[Annotated[int, Meta(ge=0, le=38)] | None, Meta(description="decimal places")] = None
    format: Annotated[str | None, Meta(description="date format, strftime or `yyyy-MM-dd`")] = None
    formats: Annotated[list[str] | None, Meta(description="several date formats, tried in order")] = None
    items: Annotated[FieldItem | str | None, Meta(description="type of an array's entries")] = None
    properties: Annotated[list[FieldEntry] | None, Meta(description="fields of an object")] = None
    default: Annotated[Scalar | None, Meta(description="value where the source has none")] = None
    physical_name: Annotated[str | None, Meta(description="the source's column; the name by default")] = msgspec.field(
        name="physicalName", default=None
    )
    physical_type: Annotated[str | None, Meta(description="exact type, as uuid or decimal(12,2)")] = msgspec.field(
        name="physicalType", default=None
    )
    enum: Annotated[list[Scalar] | None, Meta(description="values that are allowed")] = None
    pattern: Annotated[str | None, Meta(description="regular expression (RE2) that must be found in the text")] = None
    minimum: Annotated[Bound | None, Meta(description="smallest value")] = None
    maximum: Annotated[Bound | None, Meta(description="largest value")] = None
    exclusive_minimum: Annotated[bool, Meta(description="whether `minimum` itself is out")] = False
    exclusive_maximum: Annotated[bool, Meta(description="whether `maximum` itself is out")] = False
    min_length: Annotated[NotNegative | None, Meta(description="fewest characters")] = None
    max_length: Annotated[NotNegative | None, Meta(description="most characters")] = None
    null_values: Annotated[list[str] | None, Meta(description="texts that mean null, instead of the source's")] = None
    quality: Annotated[list[dict[str, Any]] | None, Meta(description="quality rules, kept")] = None
    tags: Annotated[list[str] | None, Meta(description="labels")] = None
    extra: dict[str, Any] = {}


class FieldItem(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of an array."""

    unknown: ClassVar[str] = "keep"
    type: Annotated[str, Meta(description="type of each entry")] = "string"
    items: Annotated[FieldItem | str | None, Meta(description="for arrays of arrays")] = None
    properties: Annotated[list[FieldEntry] | None, Meta(description="for arrays of objects")] = None
    precision: Annotated[Annotated[int, Meta(ge=1, le=38)] | None, Meta(description="digits of a decimal")] = None
    scale: Annotated[Annotated[int, Meta(ge=0, le=38)] | None, Meta(description="decimal places")] = None
    physical_type: Annotated[str | None, Meta(description="exact type")] = msgspec.field(
        name="physicalType", default=None
    )
    extra: dict[str, Any] = {}


class TargetHints(msgspec.Struct, frozen=True, kw_only=True):
    """The asset's wishes for the table; a job's own come first."""

    unknown: ClassVar[str] = "keep"
    file_format: Annotated[str | None, Meta(description="format of the data files")] = None
    partitioning: Annotated[list[str] | None, Meta(description="columns or transforms")] = None
    mode: Annotated[Literal["strict", "merge", "relaxed", "warn"] | None, Meta(description="schema changes")] = None
    extra: dict[str, Any] = {}


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A role in the team."""

    unknown: ClassVar[str] = "free"
    name: str | None = None
    username: str | None = None
    role: str | None = None
    email: str | None = None
    responsibility: str | None = None
    extra: dict[str, Any] = {}


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """Who is responsible."""

    unknown: ClassVar[str] = "keep"
    owner: Annotated[str | None, Meta(description="owner")] = None
    roles: Annotated[list[Person], Meta(description="further people")] = []
    extra: dict[str, Any] = {}


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """Security demands."""

    unknown: ClassVar[str] = "keep"
    access_control: Annotated[Literal["role_based", "attribute_based", "none"] | None, Meta(description="kind")] = None
    encryption_required: Annotated[bool | None, Meta(description="encryption at rest")] = None
    extra: dict[str, Any] = {}


class Compliance(msgspec.Struct, frozen=True, kw_only=True):
    """Compliance facts; they become table properties."""

    unknown: ClassVar[str] = "keep"
    classification: Annotated[list[str] | str | None, Meta(description="classes of the data")] = None
    regulations: Annotated[list[str] | None, Meta(description="as GDPR")] = None
    retention_days: Annotated[NotNegative | None, Meta(description="days to keep the data")] = None
    security: Annotated[Security | None, Meta(description="security demands")] = None
    user_consent_required: Annotated[bool | None, Meta(description="whether consent is needed")] = None
    extra: dict[str, Any] = {}


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """Monitoring of the data; `oncall_rotation` is required when enabled."""

    unknown: ClassVar[str] = "keep"
    enabled: Annotated[bool, Meta(description="whether it is monitored")]
    oncall_rotation: Annotated[str | None, Meta(description="who is called")] = None
    extra: dict[str, Any] = {}


class DataQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Expectations, alerts, and the rejects that quarantine allows."""

    unknown: ClassVar[str] = "keep"
    expectations: Annotated[list[dict[str, Any]], Meta(description="free maps, kept")] = []
    monitoring: Annotated[Monitoring | None, Meta(description="monitoring")] = None
    alerts: Annotated[dict[str, Any] | None, Meta(description="channels and thresholds")] = None
    max_rejects: Annotated[str | int | None, Meta(description="`100` or `0.1%`")] = None
    extra: dict[str, Any] = {}


class ChangeManagement(msgspec.Struct, frozen=True, kw_only=True):
    """How the contract may change."""

    unknown: ClassVar[str] = "keep"
    policy: Annotated[Literal["breaking", "non-breaking"] | None, Meta(description="kind of changes")] = None
    approval_required: bool | None = None
    notification_channels: list[str] | None = None
    version_history: Any = None
    extra: dict[str, Any] = {}


class AssetFile(msgspec.Struct, frozen=True, kw_only=True):
    """A flat data contract (dativo's dialect of ODCS 3.0.2)."""

    unknown: ClassVar[str] = "keep"
    editor_schema: Annotated[str | None, Meta(description="hint for editors, ignored")] = msgspec.field(
        name="$schema", default=None
    )
    api_version: Annotated[str, Meta(description="ODCS version")] = msgspec.field(name="apiVersion", default="v3.0.2")
    kind: Annotated[str, Meta(description="always DataContract")] = "DataContract"
    id: Annotated[str | None, Meta(description="stable identity; made from tenant and name by default")] = None
    name: Annotated[str, Meta(min_length=1, description="name; the table is called so")]
    version: Annotated[str, Meta(min_length=1, description="version, quoted text")]
    status: Annotated[str, Meta(description="as active")] = "active"
    domain: Annotated[str | None, Meta(description="domain; becomes the namespace")] = None
    data_product: Annotated[str | None, Meta(description="data product")] = msgspec.field(name="dataProduct", default=None)
    tenant: Annotated[str | None, Meta(description="tenant")] = None
    description: Annotated[dict[str, Any] | str | None, Meta(description="purpose, limitations, usage")] = None
    tags: Annotated[list[str], Meta(description="labels")] = []
    source_type: Annotated[str | None, Meta(description="the recipe's type by default")] = None
    object: Annotated[str | None, Meta(description="the job's first object by default")] = None
    schema: Annotated[list[FieldEntry], Meta(description="columns")]
    target: Annotated[TargetHints | None, Meta(description="wishes for the table")] = None
    team: Annotated[Team | None, Meta(description="who is responsible")] = None
    compliance: Annotated[Compliance | None, Meta(description="compliance facts")] = None
    data_quality: Annotated[DataQuality | None, Meta(description="expectations and rejects")] = None
    change_management: Annotated[ChangeManagement | None, Meta(description="how the contract may change")] = None
    finops: Annotated[Finops | None, Meta(description="cost labels")] = None
    lineage: Annotated[Any, Meta(description="kept as it is")] = None
    privacy: Annotated[Privacy | None, Meta(description="treatments of classified columns, by purpose")] = None
    source_contract: Annotated[str | None, Meta(description="the contract of the source, for rendered assets")] = None
    extra: dict[str, Any] = {}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a contract, or a field or entry inside one.

    `formats` are strftime formats; `minimum_exclusive` and `maximum_exclusive` tell whether the bound itself is out.
    """

    name: str
    kind: Kind
    source_name: str = ""
    precision: int = 0
    scale: int = 0
    item: Field | None = None
    fields: tuple[Field, ...] = ()
    required: bool = False
    primary_key: bool = False
    unique: bool = False
    classification: str | None = None
    description: str | None = None
    default: Scalar | None = None
    formats: tuple[str, ...] = ()
    null_values: tuple[str, ...] | None = None
    enum: tuple[Scalar, ...] | None = None
    pattern: str | None = None
    minimum: Bound | None = None
    maximum: Bound | None = None
    minimum_exclusive: bool = False
    maximum_exclusive: bool = False
    min_length: int | None = None
    max_length: int | None = None
    mark: Mark | None = None

    def type_text(self) -> str:
        """The type as a person writes it."""
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.kind == "list" and self.item is not None:
            return f"list<{self.item.type_text()}>"
        if self.kind == "struct":
            return "struct<" + ", ".join(f"{f.name}: {f.type_text()}" for f in self.fields) + ">"
        return self.kind


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A data contract in the one form the rest of the program knows."""

    name: str
    version: str
    id: str
    status: str
    domain: str | None
    data_product: str | None
    tenant: str | None
    description: str
    tags: tuple[str, ...]
    source_type: str | None
    object: str | None
    fields: tuple[Field, ...]
    partitioning: tuple[str, ...] | None
    mode: str | None
    file_format: str | None
    owner: str | None
    classification: tuple[str, ...]
    regulations: tuple[str, ...]
    retention_days: int | None
    finops: Finops | None
    max_rejects: str | int | None
    privacy: Privacy | None
    hash: str
    mark: Mark

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key, in order."""
        return tuple(f.name for f in self.fields if f.primary_key)

    def field(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    @property
    def label(self) -> str:
        """The contract as messages name it."""
        return f"{self.name} {self.version}"


def read_asset(node: Node, problems: Problems, *, object: str | None = None, tenant: str = "") -> Asset | None:
    """The contract in a document.

    `object` chooses among several objects of a native ODCS contract. None when a mistake kept it from being made; all
    mistakes go to `problems`.
    """
    if node.kind != "map":
        problems.add(f"expected a data contract (a map), got a {node.kind}", node.mark)
        return None
    if _is_native(node):
        from dativo.config.odcs import flattened

        flat = flattened(node, object, problems)
        if flat is None:
            return None
        node = flat
    wrapped = node.get("asset")
    if wrapped is not None and wrapped.kind == "map":
        node = _unwrapped(node, wrapped)
    schema = node.get("schema")
    if schema is None or (schema.kind == "list" and not schema.value) or schema.is_null():
        problems.add(
            "Asset definition has empty 'schema' field", schema.mark if schema else node.mark, "schema",
            "list the columns, as `- {name: id, type: integer, required: true}`",
        )
        return None
    file = decode(node, AssetFile, problems)
    return None if file is None else _Reader(node, problems).asset(file, tenant)


def _is_native(node: Node) -> bool:
    schema = node.get("schema")
    return schema is not None and schema.kind == "list" and any(e.get("properties") is not None for e in schema.value)


def _unwrapped(outer: Node, inner: Node) -> Node:
    """The wrapped form as flat: `governance` fills what `team`, `tags` and `compliance` leave open."""
    entries = {**{k: v for k, v in outer.value.items() if k != "asset"}, **inner.value}
    keys = {**outer.keys, **inner.keys}
    governance = entries.pop("governance", None)
    if governance is not None and governance.kind == "map":
        _fill(entries, "team", "owner", governance.get("owner"))
        for name in ("classification", "retention_days"):
            _fill(entries, "compliance", name, governance.get(name))
        if "tags" not in entries and governance.get("tags") is not None:
            entries["tags"] = governance.value["tags"]
        rest = {k: v for k, v in governance.value.items() if k not in ("owner", "tags", "classification", "retention_days")}
        if rest:
            entries["governance"] = Node("map", rest, governance.mark, keys=governance.keys)
    return Node("map", entries, inner.mark, keys={k: keys.get(k, v.mark) for k, v in entries.items()})


def _fill(entries: dict[str, Node], block: str, name: str, value: Node | None) -> None:
    if value is None or value.is_null():
        return
    before = entries.get(block)
    if before is None or before.is_null():
        entries[block] = map_of({name: value}, value.mark)
    elif before.kind == "map" and (before.get(name) is None or before.value[name].is_null()):
        entries[block] = Node("map", {**before.value, name: value}, before.mark, keys={**before.keys, name: value.mark})


class _Reader:
    """Turns the decoded file into an Asset, checking what types alone cannot."""

    def __init__(self, node: Node, problems: Problems) -> None:
        self.node = node
        self.problems = problems

    def asset(self, file: AssetFile, tenant: str) -> Asset | None:
        self.check_heads(file)
        fields = self.fields(file)
        if fields is None:
            return None
        compliance = file.compliance or Compliance()
        classes = compliance.classification or ()
        identity = file.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"dativo:{tenant}:{file.name}"))
        target = file.target or TargetHints()
        return Asset(
            name=file.name,
            version=file.version,
            id=identity,
            status=file.status,
            domain=file.domain,
            data_product=file.data_product,
            tenant=file.tenant,
            description=_description(file.description),
            tags=tuple(file.tags),
            source_type=file.source_type,
            object=file.object,
            fields=fields,
            partitioning=tuple(target.partitioning) if target.partitioning is not None else None,
            mode=target.mode,
            file_format=target.file_format,
            owner=file.team.owner if file.team else None,
            classification=(classes,) if isinstance(classes, str) else tuple(classes),
            regulations=tuple(compliance.regulations or ()),
            retention_days=compliance.retention_days,
            finops=file.finops,
            max_rejects=file.data_quality.max_rejects if file.data_quality else None,
            privacy=file.privacy,
            hash=_hash(file, fields),
            mark=self.node.mark,
        )

    def check_heads(self, file: AssetFile) -> None:
        if file.kind != "DataContract":
            self.problems.add(f"kind is '{file.kind}', not 'DataContract'", self.node.mark_of("kind"), "kind")
        if file.api_version not in ODCS_VERSIONS:
            self.problems.warn(
                f"apiVersion '{file.api_version}' is not known", self.node.mark_of("apiVersion"), "apiVersion",
                f"known: {', '.join(ODCS_VERSIONS)}",
            )
        monitoring = file.data_quality.monitoring if file.data_quality else None
        if monitoring and monitoring.enabled and not monitoring.oncall_rotation:
            self.problems.add(
                "'oncall_rotation' is required when monitoring is enabled",
                self.node.mark_of("data_quality", "monitoring"), "data_quality.monitoring.oncall_rotation",
                "name who is called, or set `enabled: false`",
            )
        if file.team is None or not file.team.owner:
            self.problems.warn(
                "the contract names no owner", self.node.mark_of("team"), "team.owner",
                "add `team: {owner: you@example.com}`", code="governance_incomplete",
            )

    def fields(self, file: AssetFile) -> tuple[Field, ...] | None:
        schema = self.node.get("schema")
        assert schema is not None
        before = len(self.problems.errors())
        seen: dict[str, Mark] = {}
        sources: dict[str, str] = {}
        fields = []
        for entry, node in zip(file.schema, schema.value, strict=True):
            path = f"schema[{len(fields)}]"
            folded = entry.name.casefold()
            if folded in seen:
                self.problems.add(
                    f"the column '{entry.name}' stands twice", node.mark_of("name"), f"{path}.name",
                    f"it stands first in line {seen[folded].line}; letter case does not tell columns apart",
                )
            seen.setdefault(folded, node.mark_of("name"))
            field = self.field(entry, node, path)
            if field.source_name in sources:
                self.problems.warn(
                    f"'{field.name}' and '{sources[field.source_name]}' are both fed by the source column "
                    f"'{field.source_name}'", node.mark, f"{path}.physicalName",
                )
            sources.setdefault(field.source_name, field.name)
            fields.append(field)
        return tuple(fields) if len(self.problems.errors()) == before else None

    def field(self, entry: FieldEntry, node: Node, path: str) -> Field:
        named = self.type_name(entry.type, node, path, entry.physical_type)
        formats = tuple(strftime_of(f) for f in [*([entry.format] if entry.format else []), *(entry.formats or [])])
        if named.kind == "date" and any(has_time(f) for f in formats) and entry.physical_type is None:
            named = TypeName("timestamp")
        if entry.required is not None and entry.nullable is not None and entry.required == entry.nullable:
            self.problems.add(
                f"'required: {str(entry.required).lower()}' and 'nullable: {str(entry.nullable).lower()}' contradict",
                node.mark_of("nullable"), f"{path}.nullable", "keep one of them",
            )
        required = entry.required if entry.required is not None else entry.nullable is False
        classes = entry.classification
        field = self.typed(entry.name, named, entry, node, path)
        return msgspec.structs.replace(
            field,
            source_name=entry.physical_name or entry.name,
            required=required or entry.primary_key,
            primary_key=entry.primary_key,
            unique=entry.unique,
            classification=",".join(classes) if isinstance(classes, list) else classes,
            description=entry.description,
            default=entry.default,
            formats=formats,
            null_values=tuple(entry.null_values) if entry.null_values is not None else None,
            enum=tuple(entry.enum) if entry.enum is not None else None,
            pattern=entry.pattern,
            minimum=entry.minimum,
            maximum=entry.maximum,
            minimum_exclusive=entry.exclusive_minimum,
            maximum_exclusive=entry.exclusive_maximum,
            min_length=entry.min_length,
            max_length=entry.max_length,
            mark=node.mark,
        )

    def type_name(self, name: str, node: Node, path: str, physical: str | None) -> TypeName:
        named = parse_type(name)
        mark = node.mark_of("type")
        if named is None:
            slip = one_slip(name, KNOWN) or one_slip(name.split("(")[0], KNOWN)
            guess = slip or nearest(name, KNOWN, cutoff=0.8)
            if guess:
                self.problems.add(f"unknown type '{name}'", mark, f"{path}.type", f"did you mean '{guess}'?")
            else:
                self.problems.warn(
                    f"unknown type '{name}' is loaded as text", mark, f"{path}.type", f"known: {listed(KNOWN, 40)}",
                    code="unknown_type",
                )
            return TypeName("string")
        return refine(named, physical)

    def typed(self, name: str, named: TypeName, entry: FieldEntry | FieldItem, node: Node, path: str) -> Field:
        """A field with its kind and what belongs to the kind."""
        if named.kind == "decimal":
            precision, scale = self.decimal(named, entry, node, path)
            return Field(name=name, kind="decimal", precision=precision, scale=scale, mark=node.mark)
        if named.kind == "list":
            item = self.item(entry.items, node.get("items") or node, f"{path}.items")
            return Field(name=name, kind="list", item=item, mark=node.mark)
        if named.kind == "struct":
            if not entry.properties:
                return Field(name=name, kind="json", mark=node.mark)
            properties = node.get("properties")
            assert properties is not None
            inner = tuple(
                self.field(child, child_node, f"{path}.properties[{i}]")
                for i, (child, child_node) in enumerate(zip(entry.properties, properties.value, strict=True))
            )
            return Field(name=name, kind="struct", fields=inner, mark=node.mark)
        return Field(name=name, kind=named.kind, mark=node.mark)

    def decimal(self, named: TypeName, entry: FieldEntry | FieldItem, node: Node, path: str) -> tuple[int, int]:
        precision = entry.precision if entry.precision is not None else named.precision
        scale = entry.scale if entry.scale is not None else named.scale
        if precision is None:
            precision = DEFAULT_DECIMAL[0]
            scale = DEFAULT_DECIMAL[1] if scale is None else scale
        scale = scale or 0
        if not 1 <= precision <= 38 or scale > precision:
            self.problems.add(
                f"decimal({precision},{scale}) is not possible", node.mark_of("type"), f"{path}.type",
                "precision is 1 to 38, scale 0 to precision",
            )
            return DEFAULT_DECIMAL
        return precision, scale

    def item(self, items: FieldItem | str | None, node: Node, path: str) -> Field:
        if items is None:
            return Field(name="element", kind="string")
        entry = FieldItem(type=items) if isinstance(items, str) else items
        named = self.type_name(entry.type, node, path, entry.physical_type)
        return self.typed("element", named, entry, node, path)


def _description(value: dict[str, Any] | str | None) -> str:
    if isinstance(value, dict):
        wanted = ("purpose", "usage", "limitations")
        return "\n".join(f"{k.capitalize()}: {value[k]}" for k in wanted if value.get(k))
    return value or ""


def _hash(file: AssetFile, fields: tuple[Field, ...]) -> str:
    """A hash of what decides how data is read and stored: two contracts with equal hashes load alike."""
    bare = [_bare(f) for f in fields]
    text = msgspec.json.encode([file.name, file.version, bare, file.privacy], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:32]


def _bare(field: Field) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(field)
    plain.pop("mark", None)
    plain.pop("description", None)
    plain["item"] = _bare(field.item) if field.item else None
    plain["fields"] = [_bare(f) for f in field.fields]
    return plain
