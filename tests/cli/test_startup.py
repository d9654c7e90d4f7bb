"""What comes before the jobs of a folder run: its steps in their order, what stops everything, what only warns."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import BIN, Answer, Dativo, environment
from tests.project import Project
from tests.services.fixtures import Lakehouse
from tests.services.process import free_port

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-of-the-start-93c0"
STEPS = [
    "startup_begin", "jobs_loaded", "tenant_inferred", "secrets_loaded", "env_validated", "infra_validated",
    "state_initialized", "startup_complete",
]  # fmt: skip


def records(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.err.splitlines()]


def events(answer: Answer) -> list[str]:
    return [r["event_type"] for r in records(answer)]


def numbers(project: Project, name: str = "first", rows: int = 2, **more: Any) -> Path:
    """A job into a table of its own."""
    project.asset([{"name": "id", "type": "integer", "required": True}], name)
    project.write(f"data/{name}.csv", "id\n" + "".join(f"{n}\n" for n in range(rows)))
    return project.job(name, asset_path=f"assets/{name}.yaml", source={"files": [{"path": f"data/{name}.csv"}]}, **more)


def secrets(project: Project, tenant: str = "acme", **files: str) -> None:
    for name, text in files.items():
        project.write(f"secrets/{tenant}/{name.replace('__', '.')}", text).chmod(0o600)


def run(dativo: Dativo, *options: str, code: int = 0, logs: str = "json") -> Answer:
    return dativo("run", "--job-dir", "jobs", "--log-format", logs, *options, code=code)


# -- the steps ---------------------------------------------------------------------------------------------------------


def test_the_steps_of_the_start_come_in_their_order_and_before_the_jobs(project: Project, dativo: Dativo) -> None:
    numbers(project)
    numbers(project, "second")
    secrets(project, token="x" * 9, iceberg__env="S3_REGION=eu-central-1\n")
    answer = run(dativo, "--secrets-dir", "secrets", "--mode", "self_hosted")
    found = records(answer)
    assert events(answer)[: len(STEPS)] == STEPS and events(answer)[len(STEPS)] == "job_started"
    assert {r["tenant_id"] for r in found} == {"acme"}
    by_type = {r["event_type"]: r for r in found[: len(STEPS)]}
    assert by_type["startup_begin"]["secret_manager"] == "filesystem"
    assert by_type["jobs_loaded"]["jobs"] == ["first", "second"]
    assert by_type["secrets_loaded"]["secrets"] == ["iceberg", "token"]
    assert by_type["startup_complete"]["jobs"] == 2 and by_type["startup_complete"]["invalid"] == 0
    assert all(r["module"].startswith("dativo.pipeline") for r in found)
    assert (project.root / ".local/state/acme").stat().st_mode & 0o777 == 0o700


def test_for_a_person_the_steps_are_a_line_each(project: Project, dativo: Dativo) -> None:
    numbers(project)
    lines = run(dativo, logs="none").err.splitlines()
    assert lines[0] == "1 job: first"
    assert [line.split()[0] for line in lines[1:6]] == ["tenant", "secrets", "environment", "infrastructure", "state"]


@pytest.mark.parametrize("command", [("run", "--config", "jobs/acme/first.yaml"), ("sync", "first")])
def test_one_job_starts_quietly(project: Project, dativo: Dativo, command: tuple[str, ...]) -> None:
    numbers(project)
    answer = dativo(*command, "--log-format", "json")
    assert events(answer)[0] == "job_started" and not set(STEPS) & set(events(answer))


def test_one_job_that_starts_quietly_tells_warnings_all_the_same(project: Project, dativo: Dativo) -> None:
    numbers(project)
    answer = dativo("run", "--config", "jobs/acme/first.yaml", "--secrets-dir", "lost", "--log-format", "json")
    assert events(answer)[:2] == ["secrets_warning", "job_started"]


# -- tenants -----------------------------------------------------------------------------------------------------------


def test_a_tenant_that_is_asked_for_is_told(project: Project, dativo: Dativo) -> None:
    numbers(project)
    assert events(run(dativo, "--tenant-id", "acme"))[2] == "tenant_override"


@pytest.mark.parametrize(
    ("options", "text"),
    [((), "jobs of several tenants"), (("--tenant-id", "acme"), "is of tenant 'globex', not 'acme'")],
)
def test_jobs_of_another_tenant_stop_everything_before_a_secret_is_told(
    project: Project, dativo: Dativo, options: tuple[str, ...], text: str
) -> None:
    numbers(project)
    numbers(project, "second", tenant_id="globex")
    answer = run(dativo, *options, code=2)
    assert events(answer) == ["startup_begin", "jobs_loaded", "jobs_load_error"]
    assert text in records(answer)[-1]["message"]
    assert not (project.root / ".local").exists()


# -- jobs that are not valid -------------------------------------------------------------------------------------------


def broken(project: Project) -> None:
    """A file that is no YAML, and a job with a mistake."""
    project.write("jobs/acme/broken.yaml", "tenant_id: [acme\n")
    text = numbers(project, "mistake").read_text()
    project.write("jobs/acme/mistake.yaml", text.replace("source:", "soruce:"))


def test_invalid_jobs_are_told_in_their_place_and_the_others_run(project: Project, dativo: Dativo) -> None:
    numbers(project)
    broken(project)
    answer = run(dativo, "--json", code=1)
    found = events(answer)
    assert found.index("jobs_load_error") == 1 and "jobs/acme/broken.yaml" in records(answer)[1]["place"]
    assert found.index("state_initialized") < found.index("job_validation_error") < found.index("startup_complete")
    assert [j["job"] for j in answer.json()["jobs"]] == ["first"]
    text = run(dativo, logs="none", code=1).out
    assert "broken" in text and "mistake" in text and text.count("not valid") == 2


def test_fail_fast_lets_none_run_beside_an_invalid_one(project: Project, dativo: Dativo) -> None:
    numbers(project)
    broken(project)
    answer = run(dativo, "--fail-fast", code=2)
    assert "job_started" not in events(answer) and "--fail-fast lets none run" in records(answer)[-1]["message"]


def test_no_valid_job_stops_everything(project: Project, dativo: Dativo) -> None:
    broken(project)
    answer = run(dativo, code=2)
    assert events(answer)[-1] == "jobs_load_error" and "no valid job" in records(answer)[-1]["message"]
    assert not (project.root / ".local").exists()


def test_jobs_that_the_registry_does_not_allow_are_told(project: Project, dativo: Dativo) -> None:
    numbers(project)
    project.write("connectors/sources/postgres.yaml", "name: postgres\ntype: postgres\ndefault_engine: native\n")
    project.job(
        "database", source_connector_path="connectors/sources/postgres.yaml", source={"tables": [{"name": "x"}]}
    )
    project.job("role", source_connector_path="connectors/targets/iceberg.yaml")
    answer = run(dativo, "--mode", "cloud", code=1)
    told = [r["message"] for r in records(answer) if r["event_type"] == "job_validation_error"]
    assert any("'postgres' is not allowed in cloud mode" in t for t in told)
    assert any("cannot be a source" in t for t in told)


# -- secrets, variables, infrastructure --------------------------------------------------------------------------------


def test_every_missing_variable_is_told_once_with_all_places_and_only_their_jobs_fail(
    project: Project, dativo: Dativo
) -> None:
    numbers(project)
    for name in ("second", "third"):
        numbers(project, name)
        files = [{"path": f"${{FOLDER}}/{name}.csv"}]
        engine = {"options": {"delimiter": "${SEPARATOR}"}}
        project.job(name, asset_path=f"assets/{name}.yaml", source={"files": files, "engine": engine})
    answer = run(dativo, "--json", code=1)
    told = [r for r in records(answer) if r["event_type"] == "env_validation_warning"]
    told.sort(key=lambda r: str(r["message"]))
    assert [r["message"].split(": ")[-1] for r in told] == ["FOLDER", "SEPARATOR"]
    for name in ("second", "third"):
        assert f"used by jobs/acme/{name}.yaml:" in told[0]["hint"] and "source.files[0].path" in told[0]["hint"]
    assert [j["job"] for j in answer.json()["jobs"]] == ["first"]
    assert "env_validated" not in events(answer)
    text = run(dativo, logs="none", code=1).err
    assert "error: second cannot run: Missing required environment variable: " in text and "(see above)" in text
    secrets(project, files__env="FOLDER=data\nSEPARATOR=,\n")
    assert "env_validated" in events(run(dativo, "--secrets-dir", "secrets"))


def test_what_does_not_answer_is_told_once_for_all_jobs_and_they_run(project: Project, dativo: Dativo) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    numbers(project)
    for name in ("second", "third"):
        numbers(project, name, target={"catalog": {"type": "rest", "uri": uri}})
    answer = run(dativo, "--json", code=1)
    (told,) = [r for r in records(answer) if r["event_type"] == "infrastructure_warning"]
    assert "nobody listens" in told["message"] and told["jobs"] == ["second", "third"]
    assert "infra_validated" not in events(answer) and "startup_complete" in events(answer)
    assert {j["job"]: j["exit_code"] for j in answer.json()["jobs"]} == {"first": 0, "second": 2, "third": 2}


def test_a_server_that_never_answers_does_not_keep_the_start_waiting(project: Project, dativo: Dativo) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        numbers(project, target={"catalog": {"type": "rest", "uri": f"http://127.0.0.1:{silent.getsockname()[1]}"}})
        begun = time.monotonic()
        answer = dativo("check", "first", code=2)
    assert "no answer within 5 s" in answer.out and time.monotonic() - begun < 20


def test_a_state_folder_that_cannot_be_made_warns(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("taken", "no folder")
    monkeypatch.setenv("STATE_DIR", str(project.root / "taken"))
    numbers(project)
    assert "state_warning" in events(run(dativo, code=2))


def test_secrets_of_files_reach_settings_and_are_written_nowhere(project: Project, dativo: Dativo) -> None:
    secrets(project, iceberg__env=f"CATALOG_TOKEN={CANARY}\nFOLDER=data\n", note=f"{CANARY}-too")
    numbers(project, target={"catalog": {"type": "rest", "uri": "http://127.0.0.1:9", "token": "${CATALOG_TOKEN}"}})
    numbers(project, "second")
    project.job(
        "second", asset_path="assets/second.yaml", source={"files": [{"path": "${FOLDER}/second.csv"}]},
        logging={"level": "DEBUG"},
    )  # fmt: skip
    answers = [
        run(dativo, "--secrets-dir", "secrets", "--progress", "json", code=1),
        run(dativo, "--secrets-dir", "secrets", "--debug", "--jobs", "2", logs="none", code=1),
        dativo("check", "first", "--secrets-dir", "secrets", "--verbose", code=2),
        dativo("check", "first", "--secrets-dir", "secrets", "--json", code=2),
    ]
    for answer in answers:
        assert CANARY not in answer.out + answer.err
    for path in (project.root / ".local").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


# -- several jobs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", ["1", "3", "99"])
def test_one_failed_job_does_not_stop_the_others_and_one_table_shows_all(
    project: Project, dativo: Dativo, at_once: str
) -> None:
    for name in ("a", "b", "c", "d"):
        numbers(project, name)
    project.write("data/b.csv", "id\nx\n")
    answer = run(dativo, "--jobs", at_once, logs="none", code=1)
    rows = [line.split()[:4] for line in answer.lines if line[:1] in "abcd" and " " in line]
    assert [row[:2] for row in rows[:4]] == [["a", "✓"], ["b", "✗"], ["c", "✓"], ["d", "✓"]]
    assert answer.out.count("extracted") == 1
    for name in ("a", "c", "d"):
        assert project.rows(f"default.{name}").height == 2


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_several_jobs_fits_the_terminal(project: Project, dativo: Dativo, width: int) -> None:
    for name in ("employees_of_the_company", "orders"):
        numbers(project, name)
    dativo.width = width
    answer = run(dativo, logs="none")
    assert max(map(len, answer.lines)) <= width
    assert any(line.startswith("employees_of_the_company   ✓") for line in answer.lines)


def test_fail_fast_begins_no_job_after_one_that_failed(project: Project, dativo: Dativo) -> None:
    for name in ("a", "b", "c"):
        numbers(project, name)
    project.write("data/b.csv", "id\nx\n")
    answer = run(dativo, "--fail-fast", logs="none", code=1)
    assert "not begun" in next(line for line in answer.lines if line.startswith("c "))
    assert not (project.root / ".local/state/acme/c.json").exists()


def test_all_failed_is_2_and_the_log_says_which_job_each_line_is_of(project: Project, dativo: Dativo) -> None:
    for name in ("a", "b"):
        numbers(project, name)
        project.write(f"data/{name}.csv", "id\nx\n")
    answer = run(dativo, "--jobs", "2", code=2)
    told = {r["job_name"] for r in records(answer) if r["event_type"] == "job_error"}
    assert told == {"a", "b"}


def test_retries_are_told_and_the_runner_has_them_for_jobs_without(project: Project, dativo: Dativo) -> None:
    numbers(project)
    (project.root / "data/first.csv").unlink()
    project.write("configs/runner.yaml", "retry_config: {max_retries: 1, initial_delay_seconds: 0.05}\n")
    answer = run(dativo, code=2)
    assert [e for e in events(answer) if e.startswith("retry")] == ["retry_delay", "retry_attempt"]
    delay = next(r for r in records(answer) if r["event_type"] == "retry_delay")
    assert (
        delay["delay_seconds"] == 0.05 and delay["retry"] == delay["max_retries"] == 1 and delay["job_name"] == "first"
    )
    assert "first: retry 1 of 1 in 0.05 s" in run(dativo, logs="none", code=2).err
    assert "retry" not in dativo("sync", "first", code=2).err
    numbers(project, retry_config={"max_retries": 0})
    (project.root / "data/first.csv").unlink()
    assert not [e for e in events(run(dativo, code=2)) if e.startswith("retry")]


def test_a_runner_s_configuration_that_is_wrong_warns(project: Project, dativo: Dativo) -> None:
    numbers(project)
    project.write("configs/runner.yaml", "retry_config: {max_retries: often}\n")
    answer = run(dativo)
    assert any("runner.yaml" in r.get("place", "") for r in records(answer) if r["event_type"] == "config_warning")


def test_jobs_that_share_a_budget_get_a_part_each(project: Project) -> None:
    from dativo.pipeline.fleet import LEAST_MEMORY, shared_budget, size_in_bytes

    numbers(project, engine={"memory_limit": "1GiB", "threads": 3})
    job = project.load("first")
    part = shared_budget(job, 2).budget
    assert size_in_bytes(part.memory_limit or "") == 512 << 20 and part.threads == 1
    assert size_in_bytes(shared_budget(job, 100).budget.memory_limit or "") == LEAST_MEMORY
    assert shared_budget(job, 1) is job


@pytest.mark.slow
def test_ctrl_c_ends_all_jobs_that_run_cleanly(project: Project) -> None:
    for name in ("a", "b", "c"):
        numbers(project, name, rows=3_000_000)
    command = [str(BIN / "dativo"), "run", "--job-dir", "jobs", "--jobs", "2", "--log-format", "json"]
    process = subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    begun = 0
    while begun < 2:
        begun += '"extraction_started"' in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err
    assert '"interrupted"' in err and '"c"' not in err
    catalog = project.catalog()
    tables = list(catalog.list_tables("default")) if catalog.namespace_exists("default") else []
    assert not [t for t in tables if catalog.load_table(t).current_snapshot() is not None]
    # A thread that still wrote may have kept a folder from going; the next run sweeps it.
    assert subprocess.run([str(BIN / "dativo"), "sync", "c"], cwd=project.root, env=environment()).returncode == 0
    assert not list((project.root / ".local/staging").glob("*"))


# -- the lakehouse -----------------------------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize("options", [(), ("--jobs", "2", "--atomic")])
def test_the_jobs_of_acme_load_their_tables_through_nessie(
    project: Project, dativo: Dativo, lakehouse: Lakehouse, options: tuple[str, ...]
) -> None:
    for folder in ("jobs/acme", "assets/acme", "data/acme", "connectors", "registry"):
        shutil.copytree(ROOT / folder, project.root / folder, dirs_exist_ok=True)
    branch = f"acme-{'-'.join(o.strip('-') for o in options) or 'plain'}"
    for path in (project.root / "jobs/acme").glob("*.yaml"):
        path.write_text(path.read_text().replace("catalog: nessie", f"catalog: nessie\n  branch: {branch}"))
    values = {**lakehouse.environment, "S3_BUCKET": lakehouse.bucket}
    secrets(project, iceberg__env="".join(f"{k}={v}\n" for k, v in values.items()))
    command = ("run", "--job-dir", "jobs/acme", "--secrets-dir", "secrets", "--mode", "self_hosted", *options)
    answer = dativo(*command, "--log-format", "json", "--json")
    assert events(answer)[: len(STEPS)] == STEPS
    loaded = {s["table"]: s["loaded"] for j in answer.json()["jobs"] for s in j["streams"]}
    assert loaded == {
        "retail.products": 24, "retail.stores": 6, "retail.customers": 59, "retail.orders": 120, "retail.events": 120,
    }  # fmt: skip
    assert branch in lakehouse.nessie.branches()
    again = dativo(*command, "--log-format", "json", "--json").json()
    assert {s["status"] for j in again["jobs"] for s in j["streams"]} == {"unchanged"}


def test_the_jobs_of_acme_are_harmless_where_no_server_runs(project: Project, dativo: Dativo) -> None:
    for folder in ("jobs/acme", "assets/acme", "data/acme", "connectors", "registry", "secrets/example"):
        shutil.copytree(ROOT / folder, project.root / folder, dirs_exist_ok=True)
    dativo("validate", "--strict", "jobs", "assets")
    answer = dativo("run", "--job-dir", "jobs/acme", "--log-format", "none", code=2)
    assert "NESSIE_URI" in answer.err and "retry" not in answer.err
    assert "Missing required secrets for connector 'iceberg'" in answer.err
    text = (project.root / "secrets/example/acme/iceberg.env").read_text()
    secrets(project, iceberg__env=text.replace("19120", str(free_port())))
    answer = dativo("check", "csv_orders_to_iceberg", "--secrets-dir", "secrets", code=2)
    assert "Nessie connectivity failed" in answer.out and "secrets/acme/iceberg.env" in answer.out


@pytest.mark.slow
def test_the_smoke_tests_pass() -> None:
    done = subprocess.run(
        [str(ROOT / "tests/run_all_smoke_tests.sh")],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as they should be" in done.stdout
