"""Data contracts: three forms, types, columns, and what is wrong with them."""

from __future__ import annotations

from textwrap import dedent

import pytest

from dativo.config.asset import Asset, read_asset
from dativo.config.documents import parse
from dativo.config.problems import Problems
from dativo.config.types import parse_type, refine, strftime_of
from dativo.errors import Problem


def read(text: str, object: str | None = None) -> tuple[Asset | None, list[Problem]]:
    problems = Problems()
    asset = read_asset(parse(dedent(text), "a.yaml"), problems, object=object, tenant="acme")
    return asset, problems.found


def flat(columns: str, more: str = "") -> str:
    return f"name: people\nversion: '1.0'\nteam: {{owner: me}}\n{more}\nschema:\n{dedent(columns)}"


def good(text: str, object: str | None = None) -> Asset:
    asset, problems = read(text, object)
    assert asset is not None, "\n".join(p.render() for p in problems)
    assert problems == []
    return asset


def told(text: str, object: str | None = None) -> str:
    asset, problems = read(text, object)
    assert asset is None
    return "\n".join(p.render() for p in problems)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("string", "string"), ("text", "string"), ("VARCHAR(20)", "string"), ("uuid", "string"), ("json", "string"),
        ("integer", "long"), ("bigint", "long"), ("smallint", "long"), ("INT", "long"),
        ("float", "double"), ("double", "double"), ("number", "double"), ("real", "double"), ("double precision", "double"),
        ("decimal", "decimal(38,9)"), ("decimal(12, 2)", "decimal(12,2)"), ("numeric(5)", "decimal(5,0)"),
        ("number(10,2)", "decimal(10,2)"),
        ("boolean", "boolean"), ("date", "date"), ("time", "time"), ("timestamp", "timestamp"), ("datetime", "timestamp"),
        ("timestamp with time zone", "timestamptz"), ("timestamptz", "timestamptz"), ("binary", "binary"),
        ("array", "list<string>"), ("object", "json"), ("map", "json"), ("struct", "json"),
    ],
)  # fmt: skip
def test_names_of_types(type_: str, kind: str) -> None:
    asset = good(flat(f"- {{name: a, type: '{type_}'}}"))
    assert asset.fields[0].type_text() == kind


@pytest.mark.parametrize(
    ("type_", "physical", "kind"),
    [
        ("string", "uuid", "uuid"), ("number", "decimal(12,2)", "decimal"), ("date", "timestamp", "timestamp"),
        ("date", "timestamptz", "timestamptz"), ("timestamp", "timestamptz", "timestamptz"), ("integer", "bigint", "long"),
        ("string", "varchar(20)", "string"), ("boolean", "tinyint", "boolean"), ("string", "no such type", "string"),
    ],
)  # fmt: skip
def test_a_physical_type_makes_a_type_exact_and_never_another(type_: str, physical: str, kind: str) -> None:
    named = parse_type(type_)
    assert named is not None
    assert refine(named, physical).kind == kind


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("yyyy-MM-dd", "%Y-%m-%d"), ("dd.MM.yyyy HH:mm:ss", "%d.%m.%Y %H:%M:%S"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "%Y-%m-%dT%H:%M:%S%.3f%:z"),
        ("d/M/yy h:mm a", "%-d/%-m/%y %-I:%M %p"), ("EEE, dd MMM yyyy", "%a, %d %b %Y"),
        ("%d/%m/%Y", "%d/%m/%Y"), ("plain", "plain"), ("'at' yyyy", "at %Y"),
    ],
)  # fmt: skip
def test_patterns_of_the_standard_become_strftime(pattern: str, wanted: str) -> None:
    assert strftime_of(pattern) == wanted


def test_a_date_whose_format_has_a_time_is_a_timestamp() -> None:
    columns = "- {name: a, type: date, format: 'yyyy-MM-dd HH:mm'}\n- {name: b, type: date, format: 'yyyy-MM-dd'}"
    assert [f.kind for f in good(flat(columns)).fields] == ["timestamp", "date"]


def test_required_nullable_and_primary_key() -> None:
    columns = """\
    - {name: a, required: true}
    - {name: b, nullable: false}
    - {name: c, nullable: true}
    - {name: d, primary_key: true}
    - {name: e, required: true, nullable: false}
    - name: f
    """
    asset = good(flat(columns))
    assert [f.name for f in asset.fields if f.required] == ["a", "b", "d", "e"]
    assert asset.key == ("d",)


def test_values_of_a_column_are_as_written_where_it_holds_text() -> None:
    columns = """\
    - {name: country, type: string, enum: [NO, SE, 007, 1.50, null_island], default: no}
    - {name: flag, type: boolean, default: no}
    - {name: count, type: integer, enum: [1, 2], minimum: 1}
    - {name: day, type: date, minimum: 2020-01-01}
    - {name: price, type: decimal, maximum: 0.10}
    """
    country, flag, count, day, price = good(flat(columns)).fields
    assert country.enum == ("NO", "SE", "007", "1.50", "null_island") and country.default == "no"
    assert flag.default is False
    assert count.enum == (1, 2) and count.minimum == 1
    assert day.minimum == "2020-01-01"
    assert price.maximum == "0.10"


def test_nested_fields_have_kinds_and_rules_of_their_own() -> None:
    columns = """\
    - name: items
      type: array
      items:
        type: array
        items: {type: decimal, precision: 4, scale: 1}
    - name: who
      type: struct
      properties:
        - {name: id, type: integer, required: true}
        - {name: tags, type: array, items: integer}
    """
    items, who = good(flat(columns)).fields
    assert items.type_text() == "list<list<decimal(4,1)>>"
    assert who.type_text() == "struct<id: long, tags: list<long>>"
    assert who.fields[0].required


def test_the_hash_tells_contracts_that_load_differently_apart_and_no_others() -> None:
    first = good(flat("- {name: a, type: integer}"))
    assert (
        good(flat("\n\n- {name: a, type: integer, description: counted}", "domain: x\nstatus: draft")).hash
        == first.hash
    )
    assert good(flat("- {name: a, type: long}")).hash == first.hash
    for other in (
        "- {name: a, type: string}",
        "- {name: b, type: integer}",
        "- {name: a, type: integer, required: true}",
    ):
        assert good(flat(other)).hash != first.hash
    assert good(flat("- {name: a, type: integer}").replace("'1.0'", "'1.1'")).hash != first.hash


def test_the_identity_is_stable_for_tenant_and_name() -> None:
    assert good(flat("- name: a")).id == good(flat("- name: b")).id
    assert good(flat("- name: a", "id: given")).id == "given"


def test_a_description_is_text_or_its_three_parts() -> None:
    assert good(flat("- name: a", "description: short")).description == "short"
    text = "description: {limitations: none, purpose: to count, usage: null}"
    assert good(flat("- name: a", text)).description == "Purpose: to count\nLimitations: none"


def test_a_contract_without_an_owner_is_told_and_read() -> None:
    asset, problems = read("name: a\nversion: 1\nschema: [{name: x}]\n")
    assert asset is not None
    assert [(p.severity, p.code) for p in problems] == [("warning", "governance_incomplete")]


def test_a_draft_has_no_owner_yet_and_needs_none() -> None:
    asset, problems = read("name: a\nversion: 1\nstatus: draft\nschema: [{name: x}]\n")
    assert asset is not None and asset.owner is None and not list(problems)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name: a\nversion: 1\n", "schema: Asset definition has empty 'schema' field"),
        ("name: a\nversion: 1\nschema: []\n", "Asset definition has empty 'schema' field"),
        ("asset: {name: a, version: 1, schema: null}\n", "Asset definition has empty 'schema' field"),
        ("[1]", "expected a data contract (a map), got a list"),
        ("just text", "expected a data contract (a map), got a scalar"),
        ("name: a\nschema: [{name: x}]\n", "version: 'version' is required"),
        ("version: 1\nschema: [{name: x}]\n", "name: 'name' is required"),
        (flat("- name: a", "kind: Report"), "kind: kind is 'Report', not 'DataContract'"),
        (flat("- {type: integer}"), "schema[0].name: 'name' is required"),
        (flat("- name: a\n- name: A"), "schema[1].name: the column 'A' stands twice"),
        (flat("- name: a\n- name: '*'"), "schema[1].name: no column can be called '*'"),
        (flat("- name: a\n- name: ^a.*$"), "schema[1].name: no column can be called '^a.*$'"),
        (flat("- name: a\n- name: __dativo_row"), "schema[1].name: no column can be called '__dativo_row'"),
        (flat("- {name: a, type: strng}"), "did you mean 'string'?"),
        (flat("- {name: a, type: 'decimal(40,2)'}"), "decimal(40,2) is not possible"),
        (flat("- {name: a, type: 'decimal(3,5)'}"), "decimal(3,5) is not possible"),
        (flat("- {name: a, type: decimal, precision: 2, scale: 3}"), "decimal(2,3) is not possible"),
        (flat("- {name: a, required: true, nullable: true}"), "'required: true' and 'nullable: true' contradict"),
        (flat("- {name: a, primry_key: true}"), "did you mean 'primary_key'?"),
        (flat("- {name: a, pattern: '(?=x)y'}"), "the pattern uses '(?=', which RE2 does not know"),
        (flat("- {name: a, pattern: '(a)\\1'}"), "the pattern uses '\\1', which RE2 does not know"),
        (
            flat("- {name: a, type: struct, properties: [{name: b}, {name: B}]}"),
            "schema[0].properties[1].name: the column 'B'",
        ),
        (flat("- {name: a, items: 5, type: [x]}"), "schema[0].type: expected text, got a list"),
        (
            flat("- name: a", "data_quality: {monitoring: {enabled: true}}"),
            "'oncall_rotation' is required when monitoring",
        ),
        (flat("- name: a", "data_quality: {monitoring: {}}"), "data_quality.monitoring.enabled: 'enabled' is required"),
        (
            flat("- name: a", "target: {mode: loose}"),
            "target.mode: expected one of 'strict', 'merge', 'relaxed', 'warn'",
        ),
        (
            flat("- name: a", "compliance: {retention_days: -1}"),
            "compliance.retention_days: expected a whole number >= 0",
        ),
    ],
)
def test_mistakes_in_a_contract(text: str, wanted: str) -> None:
    assert wanted in told(text)


@pytest.mark.parametrize("pattern", [r"^\d{3}$", r"(?i)abc", r"(?P<y>\d+)", r"\\1", r"a\(?=b"])
def test_patterns_that_re2_knows_are_left_alone(pattern: str) -> None:
    assert good(flat(f"- {{name: a, pattern: '{pattern}'}}")).fields[0].pattern == pattern


def test_a_type_nobody_knows_is_loaded_as_text_with_a_warning() -> None:
    asset, problems = read(flat("- {name: a, type: geography}"))
    assert asset is not None and asset.fields[0].kind == "string"
    assert [(p.code, p.field, str(p.mark)) for p in problems] == [("unknown_type", "schema[0].type", "a.yaml:6:19")]


def test_two_columns_from_one_source_column_are_told() -> None:
    asset, problems = read(flat("- {name: a, source_name: X}\n- {name: b, physicalName: X}"))
    assert asset is not None
    assert "'b' and 'a' are both fed by the source column 'X'" in problems[0].message


def test_an_unknown_version_of_the_standard_is_told_and_read() -> None:
    asset, problems = read(flat("- name: a", "apiVersion: v9"))
    assert asset is not None and "apiVersion 'v9' is not known" in problems[0].message


def test_a_mistake_is_told_again_for_another_tenant() -> None:
    problems = Problems()
    node = parse(flat("- {name: a, type: 'decimal(40,2)'}"), "a.yaml")
    assert [read_asset(node, problems, tenant=t) for t in ("one", "two")] == [None, None]


WRAPPED = """
tags: [outer]
asset:
  name: people
  version: 1
  schema: [{name: a}]
  governance: {owner: g, tags: [t], classification: [PII], retention_days: 7, review: yearly}
  %s
"""


def test_governance_fills_what_the_blocks_leave_open() -> None:
    asset, problems = read(WRAPPED % "compliance: {regulations: [GDPR]}")
    assert asset is not None
    assert (asset.owner, asset.classification, asset.regulations, asset.retention_days) == ("g", ("PII",), ("GDPR",), 7)
    assert asset.tags == ("outer",)
    assert [p.field for p in problems] == ["governance"]


def test_governance_gives_way_to_the_blocks() -> None:
    asset, _ = read(
        WRAPPED % "compliance: {classification: [PUBLIC], retention_days: 0}\n  team: {owner: t}\n  tags: [in]"
    )
    assert asset is not None
    assert (asset.owner, asset.classification, asset.retention_days, asset.tags) == ("t", ("PUBLIC",), 0, ("in",))


NATIVE = """
version: 1.0.0
apiVersion: v3.0.2
kind: DataContract
id: i
status: active
name: shop
team: [{username: amy}]
schema:
  - name: orders
    physicalName: tbl_orders
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - {name: b, logicalType: string, partitioned: true, partitionKeyPosition: 2}
      - {name: c, logicalType: string, partitioned: true, partitionKeyPosition: 1}
      - {name: n, logicalType: number, logicalTypeOptions: {minimum: 1, exclusiveMinimum: true}}
"""
SECOND = "  - {name: vendors, properties: [{name: v}]}\n"


def test_a_native_contract_of_one_object_is_called_as_it_calls_itself() -> None:
    asset = good(NATIVE)
    assert (asset.name, asset.object, asset.owner, asset.version) == ("shop", "orders", "amy", "1.0.0")
    assert asset.partitioning == ("c", "b")
    assert (asset.fields[3].minimum, asset.fields[3].minimum_exclusive) == (1, True)


@pytest.mark.parametrize(("object_", "name"), [("orders", "orders"), ("tbl_orders", "orders"), ("vendors", "vendors")])
def test_of_several_objects_the_jobs_is_taken_and_gives_its_name(object_: str, name: str) -> None:
    assert good(NATIVE + SECOND, object_).name == name


@pytest.mark.parametrize("object_", [None, "others"])
def test_several_objects_and_none_that_fits_is_a_mistake_that_names_them(object_: str | None) -> None:
    assert "set the job's object to one of: orders, vendors" in told(NATIVE + SECOND, object_)


@pytest.mark.parametrize("key", ["apiVersion", "kind", "id", "status", "version"])
def test_a_native_contract_needs_what_the_standard_requires(key: str) -> None:
    text = "\n".join(line for line in NATIVE.splitlines() if not line.startswith(f"{key}:"))
    _, problems = read(text)
    assert any(f"'{key}' is required" in p.message and p.severity == "error" for p in problems)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("name: orders", "title: orders", "every object of 'schema' needs a name and a list of properties"),
        ("- {name: id, logicalType: integer, primaryKey: true}", "- 5", "schema[0]: expected a map with name, got '5'"),
        ("logicalType: integer", "logicalType: [integer]", "schema[0].type: expected text, got a list"),
        ("logicalType: integer", "properties: 3, logicalType: object", "expected a list of maps, got '3'"),
    ],
)
def test_mistakes_in_a_native_contract(old: str, new: str, wanted: str) -> None:
    assert wanted in told(NATIVE.replace(old, new, 1))


def test_a_flat_column_with_properties_is_no_native_contract() -> None:
    asset = good(flat("- {name: who, type: object, properties: [{name: id, type: integer}]}"))
    assert asset.fields[0].type_text() == "struct<id: long>"


def test_custom_properties_and_extra_blocks_of_a_native_contract_are_read() -> None:
    asset = good(
        NATIVE.replace("team: [{username: amy}]\n", "")
        + "customProperties: [{property: owner, value: zoe}, {property: source_type, value: csv}]\n"
        + "compliance: {retention_days: 9}\n"
    )
    assert (asset.owner, asset.source_type, asset.retention_days) == ("zoe", "csv", 9)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("{name: a, type: integer, minimum: abc}", "schema[0].minimum: 'abc' is no long"),
        ("{name: a, type: integer, maximum: 1.5}", "'1.5' is no long"),
        ("{name: a, type: integer, maximum: 99999999999999999999}", "schema[0].maximum"),
        ("{name: a, type: date, minimum: 01.02.2020}", "'01.02.2020' is no date"),
        ("{name: a, type: boolean, default: maybe}", "'maybe' is no boolean"),
        ("{name: a, type: integer, enum: [1, two]}", "schema[0].enum: 'two' is no long"),
        ("{name: a, type: 'decimal(4,2)', default: 1.234}", "'1.234' is no decimal(4,2)"),
        ("{name: a, type: 'decimal(4,2)', maximum: 100}", "'100' is no decimal(4,2)"),
        ("{name: a, type: decimal, minimum: NaN}", "'NaN' is no decimal(38,9)"),
        ("{name: a, type: integer, pattern: x}", "'pattern' is no rule for a column of type long"),
        ("{name: a, type: boolean, minimum: 1}", "'minimum' is no rule for a column of type boolean"),
        ("{name: a, type: date, max_length: 3}", "'max_length' is no rule for a column of type date"),
        ("{name: a, type: array, enum: [x]}", "'enum' is no rule for a column of type list<string>"),
        (
            "{name: a, type: struct, properties: [{name: b, type: integer, default: x}]}",
            "schema[0].properties[0].default",
        ),
    ],
)
def test_rules_that_do_not_fit_their_column_are_mistakes(column: str, wanted: str) -> None:
    assert wanted in told(flat(f"- {column}"))


@pytest.mark.parametrize(
    "column",
    [
        "{name: a, type: 'decimal(4,2)', default: 99.9900, minimum: -1e1}",
        "{name: a, type: timestamp, minimum: 2020-01-01T00:00:00}",
        "{name: a, type: time, maximum: '23:59'}",
        "{name: a, type: boolean, enum: ['yes', 1, false]}",
        "{name: a, type: array, min_length: 1}",
        "{name: a, type: string, minimum: A, maximum: M}",
        "{name: a, type: long, default: 12.0}",
    ],
)
def test_rules_that_fit_their_column_are_read(column: str) -> None:
    good(flat(f"- {column}"))
