"""What the README shows is what happens: its commands, output, job, contract and table of connectors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dativo import list_connectors
from tests.pages import ROOT, Page, Reader

README = Page(ROOT / "README.md")


@pytest.mark.slow
def test_its_commands_work_and_print_what_it_shows(tmp_path: Path) -> None:
    Reader(tmp_path).follow(README)


def test_the_job_it_shows_is_the_one_that_ships() -> None:
    shown = {b.file: yaml.safe_load(b.text) for b in README.blocks("yaml") if b.file is not None}
    assert shown == {path: yaml.safe_load((ROOT / path).read_text()) for path in shown} != {}


def test_the_contract_it_shows_is_part_of_the_one_that_ships() -> None:
    (shown,) = (yaml.safe_load(b.text) for b in README.blocks("yaml") if b.file is None)
    ships = yaml.safe_load((ROOT / "assets/csv/v1.0/employees.yaml").read_text())
    columns = {c["name"]: {k: v for k, v in c.items() if k != "description"} for c in ships["schema"]}
    assert all(columns[c["name"]] == c for c in shown.pop("schema"))
    assert shown.items() <= ships.items()


def test_the_connectors_it_lists_are_those_that_are_ready() -> None:
    rows = re.findall(
        r"^\| \[([\w, ]+)\]\(docs/connectors/[\w-]+\.md\) \| (source|target) \|", README.text, re.MULTILINE
    )
    listed = {(name, role) for names, role in rows for name in names.split(", ")}
    offers = list_connectors(ROOT)
    ready = {(o.name, role) for o in offers for role in ("source", "target") if getattr(o, role) == "ready"}
    assert listed == ready
