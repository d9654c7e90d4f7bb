"""What the documentation shows is what happens, and what it names exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import typer
import yaml

from dativo.cli.app import COMMANDS, app
from dativo.config.asset_file import AssetFile
from dativo.config.job import JobFile
from dativo.config.paths import find_below
from dativo.config.resolve import Resolver
from dativo.pipeline.refuse import unbuilt
from dativo.sources.options import CsvOptions, JsonlOptions, ParquetOptions
from tests.pages import EXEMPT, ROOT, SHIPPED, Block, Page, Reader, pages
from tests.services.fixtures import Lakehouse
from tests.services.mariadb import MariaDb
from tests.services.minio import Minio
from tests.services.postgres import Postgres

PAGES = {p.name: p for p in pages()}
GENERATED = (
    "docs/configuration.md",
    "docs/benchmarks.md",
    "docs/benchmarks-lake.md",
    "docs/benchmarks-databases.md",
)
WRITTEN = [n for n in PAGES if n not in GENERATED]
LAKEHOUSE = "docs/lakehouse.md"
OBJECT_STORES = "docs/connectors/object-stores.md"
ELSEWHERE = ("README.md", LAKEHOUSE, OBJECT_STORES)  # pages whose commands have a test of their own
WITH_COMMANDS = [n for n in WRITTEN if PAGES[n].blocks("sh", "python") and n not in ELSEWHERE]
FRAGMENTS = [(n, b) for n in WRITTEN for b in PAGES[n].blocks("yaml") if b.file is None]
FOLDERS = (*SHIPPED, "dativo", "dativo_ingest", "tests", "docs", "benchmarks", "schemas", "configs", "secrets", ".ci")


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_commands_and_snippets_of_a_page_work_and_print_what_it_shows(name: str, tmp_path: Path) -> None:
    Reader(tmp_path).follow(PAGES[name])


@pytest.mark.slow
@pytest.mark.server
def test_the_page_about_a_lakehouse_works_on_servers_of_the_tests(tmp_path: Path, lakehouse: Lakehouse) -> None:
    reader = Reader(tmp_path)
    secrets = reader.folder / "secrets/example/acme/iceberg.env"
    text = secrets.read_text().replace("127.0.0.1:9000", lakehouse.store.endpoint.removeprefix("http://"))
    secrets.write_text(text.replace("http://127.0.0.1:19120", lakehouse.nessie.uri))
    reader.follow(PAGES[LAKEHOUSE])
    assert '"loaded": 1' in (reader.folder / "receipt.json").read_text()
    assert "acme" in lakehouse.nessie.branches()


@pytest.mark.slow
@pytest.mark.server
def test_commands_and_snippets_of_the_object_stores_page_work(tmp_path: Path, minio_server: Minio) -> None:
    variables = {
        "MINIO_ENDPOINT": minio_server.endpoint, "MINIO_BUCKET": minio_server.make_bucket("docs-of-object-stores"),
        "MINIO_ACCESS_KEY": minio_server.access_key, "MINIO_SECRET_KEY": minio_server.secret_key,
    }  # fmt: skip
    Reader(tmp_path, variables).follow(PAGES[OBJECT_STORES])


@pytest.mark.slow
@pytest.mark.server
def test_the_jobs_of_the_shop_load_what_its_script_makes(
    tmp_path: Path, postgres_server: Postgres, mariadb_server: MariaDb
) -> None:
    name = f"shop_{token_hex(6)}"
    postgres_server.make_database(name)
    mariadb_server.make_database(name)
    named = {"PGDATABASE": name, "MYSQL_DATABASE": name}
    reader = Reader(tmp_path, {**postgres_server.environment, **mariadb_server.environment, **named})
    reader.follow(Page(ROOT / "jobs/shop/README.md"))
    shown = reader.type(
        "dativo sync jobs/shop 2>/dev/null; dativo export mysql_customers_to_iceberg --format csv", "again"
    )
    # Nothing is new; three customers have a version more.
    assert re.findall(r"✓\s+(\d+)\s+(\d+)\s+(\d+)", shown) == [("3", "0", "0"), ("15", "0", "0")]
    assert shown.count(",false\n") == 3 and shown.count(",true\n") == 1000
    assert "are there already" in reader.type("python data/generate_shop.py", "once more")


def test_every_exempted_command_stands_on_a_page() -> None:
    lines = {line for n in WRITTEN for b in PAGES[n].blocks("sh") for line in b.text.splitlines()}
    assert [e for e in EXEMPT if not any(line == e or line.startswith(f"{e} ") for line in lines)] == []


# -- YAML ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "block"), FRAGMENTS, ids=[f"{n}:{b.line}" for n, b in FRAGMENTS])
def test_a_part_of_a_job_or_contract_is_valid_and_can_be_run(name: str, block: Block, tmp_path: Path) -> None:
    part = yaml.safe_load(block.text)
    kind = JobFile if part.keys() <= _keys(JobFile) else AssetFile
    assert part.keys() <= _keys(kind), f"{name}:{block.line} is no part of a job or a contract"
    reader = Reader(tmp_path)
    job = yaml.safe_load((ROOT / "jobs/demo/employees_to_iceberg.yaml").read_text())
    if kind is AssetFile:
        job["asset_path"] = "assets/part.yaml"
        (reader.folder / "assets/part.yaml").write_text(block.text)
    else:
        job = _laid_over(part, job)
        chosen = [c for table in part.get("source", {}).get("tables", ()) for c in table.get("columns", ())]
        if chosen and "asset_path" not in part:  # the job's own contract is of another table
            contract = {
                "name": "part",
                "version": "1.0",
                "team": {"owner": "a"},
                "schema": [{"name": c} for c in chosen],
            }
            (reader.folder / "assets/part.yaml").write_text(yaml.safe_dump(contract))
            job["asset_path"] = "assets/part.yaml"
    place = reader.folder / "jobs/demo/part.yaml"
    place.write_text(yaml.safe_dump(job))
    resolver = Resolver()
    resolved = resolver.job(place)
    assert [p.render() for p in resolver.problems.found if p.code != "env_missing"] == []
    assert resolved is not None and [e.message for e in unbuilt(resolved)] == [] and resolved.unbuilt == ()


def _keys(struct: Any) -> set[str]:
    return set(struct.__struct_encode_fields__)


def _laid_over(part: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    both = {k for k in part if isinstance(part[k], dict) and isinstance(job.get(k), dict)}
    return {**job, **part, **{k: _laid_over(part[k], job[k]) for k in both}}


def test_docker_compose_names_services_that_exist_and_pinned_images() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = composed["services"]
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"]), "an image without a version"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service.get("depends_on", {}).keys() <= services.keys()
    named = {v.split(":")[0] for s in services.values() for v in s.get("volumes", ())}
    assert named == composed["volumes"].keys()


# -- Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_image_leads_somewhere(name: str) -> None:
    page = PAGES[name]
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.prose()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.path.parent / path).resolve() if path else page.path
        if not goal.exists() or (anchor and anchor not in _anchors(Page(goal))):
            dead.append(target)
    assert dead == []


def _anchors(page: Page) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    heads = re.findall(r"^#+ (.*)$", page.prose(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_command_and_option_exists(name: str) -> None:
    page = PAGES[name]
    lines = [line for b in page.blocks("sh") for line in b.text.splitlines()] + page.code()
    wrong = [line for line in lines for fault in _faults(line) if fault]
    assert wrong == []


def _faults(line: str) -> list[str]:
    """What of a command line or an inline code is no command or option of dativo."""
    match = re.match(r"(?:\./dev )?dativo(?: (.*))?$", line.split(" # ")[0].split(" | ")[0].rstrip())
    if match is None:
        return [] if not re.fullmatch(r"--[a-z-]+( .*)?", line) or line.split()[0] in _all_options() else [line]
    words = [w for w in (match[1] or "").split() if w != "…"]
    if not words:
        return []
    if words[0].startswith("-"):
        return [w for w in words if w not in ("--help", "--version", "--debug")]
    if words[0] not in COMMANDS:
        return [words[0]]
    command, rest = _commands()[words[0]], words[1:]
    inner = getattr(command, "commands", None)
    if inner is not None and rest:
        if rest[0] not in inner:
            return [rest[0]]
        command, rest = inner[rest[0]], rest[1:]
    options = {o for p in command.params for o in p.opts} | {"--help"}
    return [w for w in rest if w.startswith("--") and w.split("=")[0] not in options]


@cache
def _commands() -> dict[str, Any]:
    group = typer.main.get_command(app)
    context = typer.Context(group)
    return {name: group.get_command(context, name) for name in COMMANDS}  # type: ignore[attr-defined]


@cache
def _all_options() -> set[str]:
    leaves = [c for command in _commands().values() for c in (command, *getattr(command, "commands", {}).values())]
    return {o for c in leaves for p in c.params for o in p.opts} | {"--help", "--version", "--debug"}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_file_it_names_exists(name: str) -> None:
    page = PAGES[name]
    made = {b.file for b in page.blocks("yaml") if b.file is not None}
    # What commands of a page make is below data/; placeholders are in capitals.
    named = {
        c.rstrip("/") for c in page.code() if re.fullmatch(r"\.?\w+(/[\w.-]+)*/?", c) and c.split("/")[0] in FOLDERS
    }
    missing = [n for n in named - made if not re.search(r"[A-Z]{3}", n) and not (ROOT / n).exists()]
    assert [n for n in missing if find_below(n, ROOT, ship=True).path is None] == []


@pytest.mark.parametrize(
    ("name", "struct"), [("csv", CsvOptions), ("jsonl", JsonlOptions), ("parquet", ParquetOptions)]
)
def test_a_source_s_page_lists_all_of_its_options_and_no_other(name: str, struct: Any) -> None:
    table = PAGES[f"docs/connectors/{name}.md"].text.partition("## Options")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    listed = [option for cell in cells for option in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(set(struct.__struct_fields__) - {"extra"})
