"""A data contract as it is written: the structs of the flat form."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dativo.config.constraints import NotNegative
from dativo.config.governance import Finops
from dativo.config.privacy import Privacy

Scalar = str | int | float | bool
Bound = int | float | str


class FieldEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a flat contract."""

    unknown: ClassVar[str] = "keep"
    aliases: ClassVar[dict[str, str]] = {"source_name": "physicalName"}
    name: Annotated[str, Meta(min_length=1, description="column name in the table")]
    type: Annotated[str, Meta(description="string, integer, double, decimal(p,s), boolean, date, timestamp, …")] = (
        "string"
    )
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
    name: Annotated[str | None, Meta(description="name")] = None
    username: Annotated[str | None, Meta(description="account")] = None
    role: Annotated[str | None, Meta(description="as owner, steward")] = None
    email: Annotated[str | None, Meta(description="address")] = None
    responsibility: Annotated[str | None, Meta(description="what for")] = None
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
    approval_required: Annotated[bool | None, Meta(description="whether changes need consent")] = None
    notification_channels: Annotated[list[str] | None, Meta(description="who is told")] = None
    version_history: Annotated[Any, Meta(description="kept as it is")] = None
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
    data_product: Annotated[str | None, Meta(description="data product")] = msgspec.field(
        name="dataProduct", default=None
    )
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
