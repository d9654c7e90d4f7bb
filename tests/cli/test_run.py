"""`dativo run`, the scripted form, and the names under which the program is there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import BIN, PYTHON, Dativo, environment, people, process
from tests.project import Project


def quiet(project: Project, name: str = "people", tenant: str = "acme") -> Path:
    """A job whose rows are all good, of a tenant."""
    project.asset([{"name": "id", "type": "integer"}], "numbers")
    project.write("data/numbers.csv", "id\n1\n2\n")
    source = {"files": [{"path": "data/numbers.csv"}]}
    target = {"write_mode": "append"}
    path = project.job(name, asset_path="assets/numbers.yaml", source=source, target=target, tenant_id=tenant)
    return path.rename(project.write(f"jobs/{tenant}/{name}.yaml", "")) if tenant != "acme" else path


def test_config_runs_one_job(project: Project, dativo: Dativo) -> None:
    quiet(project)
    found = dativo("run", "--config", "jobs/acme/people.yaml", "--json").json()
    assert found["version"] == 1 and found["jobs"][0]["streams"][0]["loaded"] == 2


def test_job_dir_runs_every_job_below_it_with_both_endings(project: Project, dativo: Dativo) -> None:
    path = quiet(project, "first")
    project.write("jobs/acme/below/second.yml", path.read_text())
    project.write("jobs/acme/notes.txt", "no job")
    found = dativo("run", "--job-dir", "jobs", "--json").json()
    assert {j["job"] for j in found["jobs"]} == {"first", "second"}


def test_a_bad_file_of_a_folder_is_told_and_left_out(project: Project, dativo: Dativo) -> None:
    quiet(project)
    project.write("jobs/acme/bad.yaml", "tenant_id: acme\nsource_connector_path: connectors/sources/nowhere.yaml\n")
    answer = dativo("run", "--job-dir", "jobs", "--log-format", "none", "--json", code=1)
    assert [j["job"] for j in answer.json()["jobs"]] == ["people"]
    assert "jobs/acme/bad.yaml" in answer.err


def test_a_folder_without_one_good_job_fails(project: Project, dativo: Dativo) -> None:
    project.write("jobs/acme/bad.yaml", "tenant_id: acme\n")
    dativo("run", "--job-dir", "jobs", code=2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "give exactly one of --config and --job-dir"),
        (("--config", "jobs/acme/people.yaml", "--job-dir", "jobs"), "give exactly one of --config and --job-dir"),
        (("--config", "jobs/acme/lost.yaml"), "there is no such file"),
        (("--config", "jobs"), "there is no such file"),
        (("--job-dir", "lost"), "there is no such folder"),
        (("--job-dir", "jobs/acme/people.yaml"), "there is no such folder"),
        (("--job-dir", "data"), "the folder holds no YAML file"),
        (("--config", "jobs/acme/people.yaml", "--mode", "hosted"), "hosted"),
        (("--config", "jobs/acme/people.yaml", "--secret-manager", "vault"), "'vault' is not built yet"),
        (("--config", "jobs/acme/people.yaml", "--tenant-id", "other"), "is of tenant 'acme', not 'other'"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    project: Project, dativo: Dativo, options: tuple[str, ...], text: str
) -> None:
    quiet(project)
    answer = dativo("run", *options, code=2)
    assert text in answer.err and answer.out == ""
    assert not (project.root / ".local/warehouse").exists()


def test_a_folder_with_jobs_of_two_tenants_is_refused(project: Project, dativo: Dativo) -> None:
    quiet(project)
    quiet(project, "others", tenant="other")
    answer = dativo("run", "--job-dir", "jobs", code=2)
    assert "'acme'" in answer.err and "'other'" in answer.err
    assert not (project.root / ".local/warehouse").exists()
    dativo("run", "--job-dir", "jobs/other", "--tenant-id", "other")


def test_cloud_mode_refuses_paths_that_leave_the_project(project: Project, dativo: Dativo) -> None:
    quiet(project)
    project.job("people", source={"files": [{"path": "/etc/passwd"}]})
    answer = dativo("run", "--config", "jobs/acme/people.yaml", "--mode", "cloud", code=2)
    assert "/etc/passwd" in answer.err
    assert dativo("run", "--config", "jobs/acme/people.yaml", code=2).err != answer.err


def test_without_a_terminal_the_log_is_json_lines(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("run", "--config", "jobs/acme/people.yaml", code=1)
    events = [json.loads(line)["event_type"] for line in answer.err.splitlines()]
    assert events[0] == "job_started" and events[-1] == "job_finished"


def test_on_a_terminal_the_run_is_told_in_sentences(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("run", "--config", "jobs/acme/people.yaml", code=1, terminal=True)
    assert "people · tenant acme" in answer.err and "event_type" not in answer.err


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "dativo")],
        [str(BIN / "dativo-ingest")],
        [str(BIN / "dativo_ingest")],
        [PYTHON, "-m", "dativo"],
        [PYTHON, "-m", "dativo_ingest"],
        [PYTHON, "-m", "dativo_ingest.cli"],
    ],
    ids=" ".join,
)
def test_every_name_of_the_program_is_the_same_program(tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run([*command, "--version"], cwd=tmp_path, env=environment(), capture_output=True, check=True)
    assert done.stdout == b"dativo 0.1.0\n" and done.stderr == b""


def test_a_run_as_a_process_gives_data_log_and_exit_code(project: Project) -> None:
    quiet(project)
    done = process("run", "--config", "jobs/acme/people.yaml", "--json", cwd=project.root)
    assert done.returncode == 0
    assert json.loads(done.stdout)["jobs"][0]["status"] == "loaded"
    assert all(json.loads(line)["job_name"] == "people" for line in done.stderr.splitlines())
