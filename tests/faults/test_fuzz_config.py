"""Configuration that nobody would write: a clear mistake or a resolved job, never another exception, never a hang."""

from __future__ import annotations

import copy
import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dativo.config.documents import DocumentError, parse
from dativo.config.environment import Environment
from dativo.config.resolve import ResolvedJob, Resolver, load_job
from dativo.errors import ConfigError

COMPAT = Path(__file__).resolve().parents[1] / "compat" / "project"
JOBS = sorted(p.relative_to(COMPAT) for p in (COMPAT / "jobs").rglob("*") if p.is_file())
TEXTS = [p.read_bytes() for p in sorted(COMPAT.rglob("*.y*ml"))]
MANY = settings(max_examples=settings().max_examples * 10, deadline=10_000)

# Values of every wrong kind, and of kinds that are only sometimes right.
STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "x", "no", "²", "🦆", "%",
    "1e400", "x" * 300,
    "$", "${X}", "${S3_BUCKET}", ["${A}"], {"uri": "${X}"}, "{doc_id", "decimal(99,99)", "bucket(0,x)",
    "../..", "a/b", "\0", "~root/x", "~nobody/x", "file:///etc", "s3://",
    [], [1], [None], [[]], [{}], {}, {"": ""}, {"a": None}, {"a": [1]}, {"type": [1]}, {"path": 1}, {"properties": 5},
    [{"properties": [1]}], [{"name": "a", "properties": "x"}], [{"name": {"a": 1}}],
]  # fmt: skip
KEYS = [
    "name",
    "type",
    "schema",
    "properties",
    "items",
    "incremental",
    "connection",
    "engine",
    "asset",
    "governance",
    "x",
    "files",
]


@functools.cache
def document(text: bytes) -> Any:
    """What a file of the project says; not to be changed."""
    return yaml.load(text, yaml.CSafeLoader)


def written(tree: Any) -> str:
    """A document as YAML, by the dumper that is in C: there are thousands of them."""
    return str(yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True))


def environment() -> Environment:
    return Environment([{"S3_BUCKET": "b$x", "A": "${A}"}], ["the test's variables"])


def outcome(job: Path, mode: Any = None) -> ResolvedJob | None:
    """The job, or None when its mistakes could be told; anything else is an error of ours."""
    try:
        return load_job(job, mode=mode, environment=environment())
    except ConfigError as error:
        assert error.problems(), "a refusal without a reason"
        assert all(p.message and p.render() for p in error.problems())
        return None


@given(st.binary(max_size=400))
@MANY
def test_any_bytes_are_a_document_or_a_mistake(data: bytes) -> None:
    try:
        parse(data, "f.yaml").plain_value()
    except DocumentError as error:
        assert error.problem.message


@given(st.text(alphabet="{}[]:,-?&*!|>'\"#%@` \n\tab1~<", max_size=120))
@MANY
def test_any_text_of_yamls_own_signs_is_a_document_or_a_mistake(text: str) -> None:
    try:
        for path, node in parse(text, "f.yaml").walk():
            assert path is not None and node.mark.line >= 1
    except DocumentError as error:
        assert error.problem.message


edits = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["cut", "double", "swap", "put"]), st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from(TEXTS), edits)
@MANY
def test_damaged_yaml_is_a_document_or_a_mistake(data: bytes, changes: list[tuple[int, str, bytes]]) -> None:
    try:
        parse(damaged(data, changes), "f.yaml").plain_value()
    except DocumentError as error:
        assert error.problem.mark is not None


def damaged(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for place, how, extra in changes:
        at = place % (len(data) + 1)
        if how == "cut":
            data = data[:at] + data[at + 1 + len(extra) :]
        elif how == "double":
            data = data[:at] + data[at : at + 40] + data[at:]
        elif how == "swap":
            data = data[:at] + data[at + 1 : at + 2] + data[at : at + 1] + data[at + 2 :]
        else:
            data = data[:at] + extra + data[at:]
    return data


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(COMPAT, tmp_path_factory.mktemp("fuzz") / "project"))


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a document."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in entries:
        yield (*path, key)
        yield from places(child, (*path, key))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


changes = st.lists(
    st.tuples(
        st.sampled_from(["drop", "replace", "insert", "copy"]), st.integers(0, 10**6), st.integers(0, 10**6),
        st.sampled_from(STRANGE), st.sampled_from(KEYS),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def mutated(tree: Any, wanted: list[tuple[str, int, int, Any, str]]) -> Any:
    """A document with nodes taken out, replaced, put in and copied elsewhere."""
    tree = copy.deepcopy(tree)
    for how, one, two, value, key in wanted:
        found = list(places(tree))
        if not found:
            break
        path = found[one % len(found)]
        parent = at(tree, path[:-1])
        if how == "drop":
            parent.pop(path[-1])
        elif how == "replace":
            parent[path[-1]] = copy.deepcopy(value)
        elif how == "insert" and isinstance(parent, dict):
            parent[key] = copy.deepcopy(value)
        elif how == "insert":
            parent.insert(path[-1], copy.deepcopy(value))
        else:
            parent[path[-1]] = copy.deepcopy(at(tree, found[two % len(found)]))
    return tree


def resolved_with(job: Path, changed: Path, text: str, mode: Any) -> ResolvedJob | None:
    """What becomes of a job when one file of its project is changed."""
    before = changed.read_bytes()
    changed.write_text(text, encoding="utf-8")
    try:
        return outcome(job, mode)
    finally:
        changed.write_bytes(before)


@pytest.mark.parametrize("part", ["job", "asset_path", "source_connector_path", "target_connector_path"])
@given(data=st.data())
@MANY
def test_a_job_resolves_or_tells_its_mistakes_whatever_became_of_its_files(
    part: str, inside: Path, data: st.DataObject
) -> None:
    job = data.draw(st.sampled_from(JOBS), "job")
    named = document(job.read_bytes()).get(part, "") if part != "job" else str(job)
    changed = Path(str(named).removeprefix("/app/"))
    if not changed.is_file():
        return
    text = written(mutated(document(changed.read_bytes()), data.draw(changes, "changes")))
    found = resolved_with(job, changed, text, data.draw(st.sampled_from([None, "cloud"]), "mode"))
    if found is not None:
        assert found.streams and found.tenant_id and repr(found)
        assert all(found.mark(field) is not None for field in ("source.files[0].path", "target.catalog.uri", "nothing"))


@given(change=edits, job=st.sampled_from(JOBS))
@MANY
def test_a_damaged_job_file_resolves_or_tells_its_mistakes(inside: Path, change: Any, job: Path) -> None:
    damaged_file = inside / "jobs" / "acme" / "damaged.yaml"
    damaged_file.write_bytes(damaged(job.read_bytes(), change))
    outcome(damaged_file)


@given(wanted=changes, name=st.sampled_from(["runner.yaml", "policy.yaml"]))
@MANY
def test_runner_and_policy_are_read_or_tell_their_mistakes(inside: Path, wanted: Any, name: str) -> None:
    path = inside / "configs" / "changed.yaml"
    path.write_text(written(mutated(document((inside / "configs" / name).read_bytes()), wanted)), encoding="utf-8")
    resolver = Resolver(environment=environment())
    found = resolver.runner(path) if name == "runner.yaml" else resolver.policy(path)
    assert found is not None or resolver.problems.errors()


@given(wanted=changes, name=st.sampled_from(["connectors.yaml", "version_2.yaml"]))
@MANY
def test_a_registry_is_read_or_tells_its_mistakes(inside: Path, wanted: Any, name: str) -> None:
    path = inside / "changed.yaml"
    path.write_text(written(mutated(document((inside / "registry" / name).read_bytes()), wanted)), encoding="utf-8")
    resolver = Resolver(environment=Environment([{"DATIVO_REGISTRY": str(path)}], ["t"]))
    job = resolver.job(Path("jobs/acme/csv_employee_to_iceberg.yaml"))
    assert job is not None or resolver.problems.errors()


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(["A", "B", "C_1"]), st.text(max_size=20)))
@MANY
def test_any_text_and_any_variables_expand_to_text(text: str, variables: dict[str, str]) -> None:
    found, unset = Environment([variables], ["t"]).text(text)
    assert isinstance(found, str) and all(name not in variables for name in unset)
