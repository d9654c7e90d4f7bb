"""YAML as trees with places: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dativo.config import documents
from dativo.config.documents import DocumentError, load, merge, parse
from dativo.config.scalars import resolve_scalar


def value(text: str | bytes) -> Any:
    return parse(text, "f.yaml").plain_value()


def refused(text: str | bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        parse(text, "f.yaml")
    return caught.value.problem.render()


def test_every_value_knows_its_line_and_column() -> None:
    root = parse("a: 1\nb:\n  - x\n  - {c: 'two words'}\n", "f.yaml")
    assert str(root.mark_of("a")) == "f.yaml:1:4"
    assert str(root.mark_of("b", 0)) == "f.yaml:3:5"
    assert str(root.mark_of("b", 1, "c")) == "f.yaml:4:9"
    assert str(root.mark_of("b", 1, "absent", "below")) == "f.yaml:4:5"
    assert str(root.keys["b"]) == "f.yaml:2:1"
    assert [path for path, _ in root.walk()] == ["", "a", "b", "b[0]", "b[1]", "b[1].c"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("yes", True), ("No", False), ("ON", True), ("off", False), ("true", True), ("FALSE", False),
        ("yEs", "yEs"), ("y", "y"), ("n", "n"),
        ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"),
        ("0", 0), ("12", 12), ("-7", -7), ("+7", 7), ("1_000", 1000), ("0x1F", 31),
        ("08", "08"), ("007", "007"), ("0o17", "0o17"), ("0x", "0x"), ("_1", "_1"), ("²", "²"),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e3", "1e3"), ("1.5e3", "1.5e3"), ("1.5e-3", 0.0015),
        ("1_0.5", 10.5), (".inf", float("inf")),
        ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2024-01-01", "2024-01-01"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("1.2.3", "1.2.3"), ("v1", "v1"), ("1 000", "1 000"), ("-", "-"), ("=", "="),
    ],
)  # fmt: skip
def test_unquoted_scalars_mean_what_a_person_expects(text: str, wanted: Any) -> None:
    found = resolve_scalar(text)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize("text", ["'yes'", '"12"', "!!str 1.10", "! yes", "|\n  1"])
def test_quotes_blocks_and_the_tag_of_text_keep_text(text: str) -> None:
    assert isinstance(value(f"a: {text}")["a"], str)


def test_a_scalar_remembers_how_it_was_written() -> None:
    node = parse("version: 1.10\n", "f").at("version")
    assert node is not None
    assert (node.value, node.text, node.plain) == (1.1, "1.10", True)


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [*b, {z: 4}], a: *b}\n"
    found = value(text)
    assert found["one"] == {"y": 3, "x": 1}
    assert found["two"] == {"a": {"x": 1, "y": 2}, "x": 1, "y": 2, "z": 4}


def test_a_key_that_stands_twice_is_refused_with_both_places() -> None:
    assert refused("a: 1\nb: 2\na: 3\n") == (
        "error: the key 'a' stands twice in one map\n  f.yaml:3:1\n  it stands first in line 1; keep one"
    )
    assert "stands twice" in refused("1: a\n'1': b\n")


def test_keys_that_are_no_text_become_text() -> None:
    assert value("1: a\nyes: b\n~: c\n1.50: d\n") == {"1": "a", "yes": "b", "null": "c", "1.50": "d"}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "f.yaml", "the file is empty"),
        ("# only a comment\n", "f.yaml", "the file is empty"),
        ("null\n", "f.yaml", "the file is empty"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1", "a second document starts here"),
        ("a:\n\t- x\n", "f.yaml:2:1", "indent with spaces, not tabs"),
        ("a: b: c\n", "f.yaml:1:5", "check the indentation, and put quotes around text that holds ': '"),
        ("a: 'open\n", "f.yaml", "not YAML"),
        ("a: [1, 2\nb: 3\n", "f.yaml", "not YAML"),
        ("a: *nothing\n", "f.yaml:1:4", "the alias *nothing has no anchor before it"),
        ("a: !!python/object:os.system {}\n", "f.yaml:1:4", "is not allowed"),
        ("a: !env X\n", "f.yaml:1:4", "the tag '!env' is not allowed"),
        ("? {a: 1}\n: b\n", "f.yaml:1:3", "a map or list cannot be a key"),
        ("a: {<<: 3}\n", "f.yaml:1:9", "'<<' takes a map or a list of maps"),
        ("a: @b\n", "f.yaml:1:4", "put quotes around text that starts with %, @ or `"),
        ("a: 1\nb: \x00\n", "f.yaml:2:4", "not YAML"),
        ("a: x\x7f\n", "f.yaml:1:5", "control characters are not allowed"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place_and_a_remedy(text: str, place: str, words: str) -> None:
    message = refused(text)
    assert f"\n  {place}" in message
    assert words in message


def test_an_alias_that_holds_itself_is_refused() -> None:
    assert "has no anchor before it" in refused("a: &a [*a]\n")


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    message = refused("\n".join(lines) + "\n")
    assert "values, aliases counted" in message or "aliases" in message


def test_many_small_aliases_are_refused() -> None:
    assert "more than 100 aliases" in refused("a: &a x\nb: [" + ", ".join(["*a"] * 101) + "]\n")


def test_deep_nesting_is_refused_and_sixty_levels_are_not() -> None:
    assert "nested deeper than 60 levels" in refused("[" * 70 + "]" * 70)
    assert "nested deeper than 60 levels" in refused("[" * 3000 + "]" * 3000)
    assert value("[" * 59 + "]" * 59) is not None


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_NODES", 50)
    assert "the document has more than 50 values" in refused("[" + "1, " * 60 + "1]")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: " + b"x" * (documents.MAX_BYTES + 1))
    with pytest.raises(DocumentError, match="more than 4 MiB"):
        load(path)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="file not found"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(DocumentError, match="this is a directory, not a file"):
        load(tmp_path)
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    with pytest.raises(DocumentError, match="cannot be read"):
        load(loop)


def test_text_of_other_encodings_is_refused_with_its_line_and_marks_are_understood() -> None:
    assert refused(b"a: 1\nb: \xff\xfe\n") == "error: the file is not UTF-8\n  f.yaml:2:1\n  save it as UTF-8"
    assert value(b"\xef\xbb\xbfa: \xc3\xa4") == {"a": "ä"}
    assert value("a: ä".encode("utf-16")) == {"a": "ä"}
    assert "not UTF-8" in refused(b"\xff\xfea")


def test_windows_line_ends_and_trailing_space_change_nothing() -> None:
    assert value("a: 1   \r\nb:\r\n  - x\r\n") == {"a": 1, "b": ["x"]}


def test_merging_lays_maps_over_each_other_and_null_unsets() -> None:
    under, over = parse("{a: {x: 1, y: 2}, l: [1, 2], s: t}", "r"), parse("{a: {y: 3, z: null}, l: [9], s: null}", "j")
    merged = merge(under, over)
    assert merged is not None
    assert merged.plain_value() == {"a": {"x": 1, "y": 3, "z": None}, "l": [9], "s": None}
    assert str(merged.mark_of("a", "x")).startswith("r:") and str(merged.mark_of("a", "y")).startswith("j:")
    assert merge(None, over) is over and merge(under, None) is under


# YAML folds these into line ends, in PyYAML's hands too.
words = st.text(st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words.filter(bool), inner, max_size=3),
    max_leaves=12,
)


@given(plain.filter(lambda v: v not in (None, [], {}, "")))
def test_what_yaml_writes_is_read_back(tree: Any) -> None:
    """Against PyYAML itself: it quotes whatever it would not read back as text."""
    text = yaml.safe_dump(tree, allow_unicode=True)
    assert value(text) == yaml.safe_load(text) == tree


@given(st.text(alphabet="yYeEsSnNoOfFtTrRuUaAlL01_.x", max_size=5))
def test_flags_and_nothing_are_what_pyyaml_reads_as_such(text: str) -> None:
    found, theirs = resolve_scalar(text), yaml.safe_load(text)
    assert isinstance(found, bool) == isinstance(theirs, bool)
    assert (found is None) == (theirs is None)
    assert not isinstance(theirs, bool) or found is theirs
