"""Environment variables in configuration, held against a model of their grammar."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dativo.config.documents import parse
from dativo.config.environment import Environment, process_environment, read_dotenv
from dativo.errors import ConfigError

VALUES = {"A": "1", "EMPTY": "", "B_2": "x$A", "_c": "ü"}


def expand(text: str) -> tuple[str, tuple[str, ...]]:
    return Environment([VALUES], ["test"]).text(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$A", "1"), ("${A}", "1"), ("a${A}b$A", "a1b1"), ("$A$A", "11"), ("${_c}", "ü"),
        ("${A:-d}", "1"), ("${EMPTY:-d}", "d"), ("${EMPTY-d}", ""), ("${NONE:-d}", "d"), ("${NONE-d}", "d"),
        ("${NONE:-}", ""), ("${NONE-}", ""), ("${NONE:-a:-b}", "a:-b"), ("${NONE:-$A}", "$A"),
        ("${NONE:-http://h:1}", "http://h:1"),
        ("$$", "$"), ("$$A", "$A"), ("$${A}", "${A}"), ("$$$A", "$1"), ("$", "$"), ("a$", "a$"), ("^a$", "^a$"),
        ("$5", "$5"),
        ("${}", "${}"), ("${1A}", "${1A}"), ("${A", "${A"), ("${A B}", "${A B}"), ("${A?x}", "${A?x}"), ("$(A)", "$(A)"),
        ("{tenant}/${A}", "{tenant}/1"), ("{{terraform_outputs.A}}", "{{terraform_outputs.A}}"),
        ("${B_2}", "x$A"), ("$B_2", "x$A"), ("$Ab", "$Ab"), ("$a", "$a"),
    ],
)  # fmt: skip
def test_the_grammar(text: str, wanted: str) -> None:
    assert expand(text)[0] == wanted


def test_variables_that_are_set_nowhere_stay_and_are_named_once_in_order() -> None:
    assert expand("${NO}-$MORE-${NO}-${HAS:-d}") == ("${NO}-$MORE-${NO}-d", ("NO", "MORE"))


names = st.sampled_from(["A", "EMPTY", "B_2", "_c", "NONE", "a", "LONGER_NAME"])
defaults = st.text(alphabet="ab:-/$ .", max_size=5)
pieces = st.one_of(
    st.tuples(st.just("plain"), st.text(alphabet="ab ./:-{}^5", max_size=4), st.just("")),
    st.tuples(st.just("braced"), names, st.just("")),
    st.tuples(st.just("unset or empty"), names, defaults),
    st.tuples(st.just("unset"), names, defaults),
    st.tuples(st.just("dollar"), st.just(""), st.just("")),
)


@given(st.lists(pieces, max_size=6))
def test_texts_built_by_the_grammar_expand_as_the_model_says(parts: list[tuple[str, str, str]]) -> None:
    text, wanted, unset = "", "", []
    for kind, name, default in parts:
        found = VALUES.get(name)
        if kind == "plain":
            text, wanted = text + name, wanted + name
        elif kind == "dollar":
            text, wanted = text + "$$", wanted + "$"
        elif kind == "braced":
            text += f"${{{name}}}"
            wanted += f"${{{name}}}" if found is None else found
            unset += [name] if found is None else []
        else:
            use_default = found is None or (kind == "unset or empty" and not found)
            text += f"${{{name}:-{default}}}" if kind == "unset or empty" else f"${{{name}-{default}}}"
            wanted += default if use_default else str(found)
    assert expand(text) == (wanted, tuple(dict.fromkeys(unset)))


@given(st.text(max_size=40))
def test_any_text_expands_and_text_without_a_dollar_stays(text: str) -> None:
    found, _ = expand(text)
    assert "$" in text or found == text


def test_the_first_place_that_has_a_name_wins_even_when_it_is_empty() -> None:
    environment = Environment([{"A": ""}, {"A": "below", "B": "b"}], ["one", "two"])
    assert environment.get("A") == "" and environment.get("B") == "b" and environment.get("C") is None
    assert environment.text("${A:-d}${B}")[0] == "db"


def test_values_of_maps_and_lists_are_expanded_and_keys_are_not() -> None:
    node = Environment([VALUES], ["t"]).node(parse("{$A: $A, l: [x, '${NONE}'], n: 3}", "f"))
    assert node.plain_value() == {"$A": "1", "l": ["x", "${NONE}"], "n": 3}
    one, none = node.at("$A"), node.at("l", 1)
    assert one is not None and (one.written, one.plain, one.unset) == ("$A", True, ())
    assert none is not None and none.unset == ("NONE",)


def test_what_holds_no_variable_stays_the_very_same_node() -> None:
    node = parse("{a: {b: [1, x]}}", "f")
    assert Environment([VALUES], ["t"]).node(node) is node


def test_the_working_directorys_env_file_stands_below_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("\ufeffexport A='from file'\n# C=1\nno line\nB = \"b\"\nD=a=b\n")
    monkeypatch.setenv("B", "from process")
    environment = process_environment()
    assert [environment.get(n) for n in "ABCD"] == ["from file", "from process", None, "a=b"]
    assert environment.names == ["the process environment", str(tmp_path / ".env")]


def test_without_an_env_file_there_is_only_the_process(tmp_path: Path) -> None:
    assert process_environment(tmp_path).names == ["the process environment"]


def test_an_env_file_that_cannot_be_read_is_a_mistake_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("A=1\n")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        process_environment(tmp_path)


def test_dotenv_lines() -> None:
    text = "A=1\n B = 2 \n#C=3\nexport D=\"4\"\nE='it''s'\nF=\"\nG=\nH\n"
    assert read_dotenv(text) == {"A": "1", "B": "2", "D": "4", "E": "it''s", "F": '"', "G": ""}
