"""Globs over keys: they stand for what the same glob over the same paths of a disk stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dativo.sources.key_pattern import expression, fixed_part
from tests.project import Project

KEYS = (
    "a.csv", "b.csv", "ab.csv", "c.txt", "A.CSV", ".hidden.csv", "raw/a.csv", "raw/2024/a.csv", "raw/2024/01/b.csv",
    "raw/.part/a.csv", "raw/day=1/x.csv", "raw/day=2/x.csv", "we^rd.csv", "we!rd.csv", "x]y.csv", "raw/ä ö.csv", "-.csv",
)  # fmt: skip
PATTERNS = (
    "*.csv", "?.csv", "??.csv", "[ab].csv", "[!ab].csv", "[a-c].*", "*", "raw/*.csv", "raw/*/*.csv", "**/*.csv", "raw/**",
    "raw/**/*.csv", "**", "raw/**/01/*.csv", "raw/day=*/x.csv", ".hidden*", "raw/.part/*", "we[!^]rd.csv", "we[^]rd.csv",
    "x[]]y.csv", "x[!]]y.csv", "*ä*", "raw/**/a.csv", "[", "a[.csv", "[!-]*.csv", "[a-]*.csv",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_stands_for_what_the_glob_of_a_disk_does(project: Project, pattern: str) -> None:
    from dativo.sources.files import _globbed

    base = project.root / "globbed"
    for key in KEYS:
        project.write(f"globbed/{key}", "")
    wanted = {p.relative_to(base).as_posix() for p in _globbed(base, Path(pattern))}
    matching = expression(pattern)
    assert {k for k in KEYS if matching.match(k)} == wanted


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [("raw/2024*.csv", "raw/2024"), ("*.csv", ""), ("a/[b]", "a/"), ("a/b.csv", "a/b.csv"), ("a?", "a")],
)
def test_every_key_that_matches_begins_with_the_fixed_part(pattern: str, fixed: str) -> None:
    assert fixed_part(pattern) == fixed


def test_a_name_with_a_line_break_matches_to_its_end() -> None:
    assert expression("a*.csv").match("a\nb.csv")
    assert not expression("a.csv").match("a.csv\n")
