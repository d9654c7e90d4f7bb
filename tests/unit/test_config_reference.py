"""The configuration reference is what the structs say, and its links lead somewhere."""

from __future__ import annotations

import pkgutil
import re

import pytest
import yaml

from dativo.config import reference
from dativo.config.documents import parse
from dativo.config.environment import Environment
from dativo.config.shapes import shape


def test_the_page_is_fresh() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `python -m dativo.config.reference`"


def test_every_link_leads_to_a_heading_and_no_heading_stands_twice() -> None:
    page = reference.page()
    found = list(reference.links(page))
    assert len(found) > 40
    assert [target for target, there in found if not there] == []
    headings = re.findall(r"^#+ .*$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("part", reference.PARTS, ids=lambda p: p.title)
def test_every_setting_of_a_part_is_on_the_page_with_its_meaning(part: reference.Part) -> None:
    page = reference.page()
    chapter = page[page.index(f"\n## {part.title}\n") :].split("\n## ")[1]
    for key, setting in shape(pkgutil.resolve_name(part.struct)).settings.items():
        row = next(line for line in chapter.splitlines() if line.startswith(f"| `{key}` | "))
        assert setting.description.replace("|", "\\|") in row
        assert ("required" in row) or not setting.required


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for line in reference.page().splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 5), line


def test_what_the_page_says_of_variables_is_so() -> None:
    environment = Environment([{"NAME": "value", "EMPTY": ""}], ["t"])
    said = {"$NAME": "value", "${NAME}": "value"}
    said |= {"${EMPTY:-text}": "text", "${NONE-text}": "text", "${EMPTY-text}": "", "$$": "$"}
    assert {text: environment.text(text)[0] for text in said} == said


def test_what_the_page_says_of_yaml_is_so() -> None:
    page = reference.page()
    for number in ("4 MiB", "100 aliases", "60 levels"):
        assert number in page
    example = next(re.finditer(r"```yaml\n(.*?)```", page, re.DOTALL))[1]
    assert parse(example, "page").plain_value() == yaml.safe_load(example)
