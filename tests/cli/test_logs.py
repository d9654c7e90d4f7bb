"""What a run tells while it goes on: progress as bar, lines or JSON, and the log for collectors."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from dativo.observe.logs import JsonLog
from dativo.observe.progress import BarProgress, Bars
from dativo.sources.protocol import Meter
from tests.cli.conftest import Answer, Dativo, people
from tests.project import Project

REQUIRED = {
    "timestamp": str, "level": str, "message": str, "module": str, "function": str, "line": int, "tenant_id": str,
    "job_name": str, "event_type": str, "connector_type": str,
}  # fmt: skip


def records(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.err.splitlines()]


def test_each_line_of_the_log_is_an_object_with_the_fields_that_collectors_need(
    project: Project, dativo: Dativo
) -> None:
    people(project)
    found = records(dativo("sync", "people", "--log-format", "json", code=1))
    for record in found:
        assert {k: type(record.get(k)) for k in REQUIRED} == REQUIRED
    assert [r["event_type"] for r in found] == ["job_started", "extraction_started", "commit_success", "job_finished"]
    assert {r["job_name"] for r in found} == {"people"} and {r["tenant_id"] for r in found} == {"acme"}
    finished = found[-1]
    assert finished["total_records"] == 5 and finished["valid_records"] == 3 and finished["exit_code"] == 1
    assert finished["files_written"] == 1 and finished["total_bytes"] > 0
    assert found[0]["module"].startswith("dativo.pipeline")


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", {"job_started", "extraction_started", "phase_started", "job_error", "job_finished"}),
        ("INFO", {"job_started", "extraction_started", "job_error", "job_finished"}),
        ("WARNING", {"job_error"}),
        ("error", {"job_error"}),
        ("critical", set()),
    ],
)
def test_the_level_of_the_job_decides_what_is_logged(
    project: Project, dativo: Dativo, level: str, events: set[str]
) -> None:
    people(project, schema_validation_mode="strict", logging={"level": level})
    answer = dativo("sync", "people", "--log-format", "json", code=2)
    assert {r["event_type"] for r in records(answer)} == events


def test_mistakes_of_the_configuration_are_lines_of_the_log_too(project: Project, dativo: Dativo) -> None:
    people(project, tarqet={"write_mode": "append"})
    project.write("jobs/acme/broken.yaml", "tenant_id: [acme\n")
    found = records(dativo("run", "--job-dir", "jobs", code=2))
    told = {r["place"].split(":")[0]: (r["level"], r["event_type"]) for r in found if r.get("place")}
    assert told["jobs/acme/people.yaml"] == ("ERROR", "job_validation_error")
    assert told["jobs/acme/broken.yaml"] == ("ERROR", "jobs_load_error")
    assert found[-1]["event_type"] == "jobs_load_error" and "no valid job" in found[-1]["message"]


def test_a_job_that_is_refused_is_a_line_of_the_log(project: Project, dativo: Dativo) -> None:
    people(project, target={"file_format": "orc"})
    found = records(dativo("run", "--config", "jobs/acme/people.yaml", "--secrets-dir", "x", code=2))
    assert [r["event_type"] for r in found] == ["secrets_warning", "job_error", "job_finished"]
    assert "'orc' is not built yet" in found[1]["message"] and found[2]["exit_code"] == 2


def test_a_failure_is_told_once_and_only_in_the_log(project: Project, dativo: Dativo) -> None:
    people(project, schema_validation_mode="strict")
    answer = dativo("run", "--config", "jobs/acme/people.yaml", code=2)
    assert [r["event_type"] for r in records(answer)].count("job_error") == 1


@pytest.mark.parametrize(("redaction", "value"), [(True, "[REDACTED]"), (False, "hunter2")])
def test_values_under_names_of_secrets_are_masked_where_the_job_asks_for_it(
    project: Project, redaction: bool, value: str
) -> None:
    people(project, logging={"redaction": redaction})
    out = io.StringIO()
    JsonLog(project.load("people"), out).event("job_started", api_key="hunter2", rows=1)
    record = json.loads(out.getvalue())
    assert record["api_key"] == value and record["rows"] == 1


def test_a_log_that_nobody_reads_any_more_does_not_stop_the_run(project: Project) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    people(project)
    log = JsonLog(project.load("people"), Gone())
    receipt = project.sync("people", listener=log)
    assert receipt.loaded == 3


def test_progress_as_json_has_the_phases_and_the_size_of_the_source(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", "people", "--progress", "json", code=1)
    lines = [json.loads(line) for line in answer.err.splitlines() if line.startswith("{")]
    assert [line["phase"] for line in lines] == ["comparing keys", "loading", "keeping rejects", "committing"]
    assert {line["stream"] for line in lines} == {"people"}
    assert lines[-1]["total_bytes"] == (project.root / "data/people.csv").stat().st_size


def test_progress_as_log_is_a_line_a_phase(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", "people", "--progress", "log", code=1)
    assert "people: loading" in answer.err.splitlines() and "people: committing" in answer.err.splitlines()


def test_without_a_terminal_no_bar_is_drawn(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", "people", code=1)
    assert "\x1b" not in answer.err + answer.out


def test_a_bar_is_gone_when_the_run_ends(project: Project, dativo: Dativo) -> None:
    people(project)
    answer = dativo("sync", "people", "--progress", "bar", code=1, terminal=True)
    assert "\x1b[?25l" in answer.err, "the cursor was never hidden: no bar was drawn"
    assert answer.err.rstrip().endswith("\x1b[?25h\r\x1b[1A\x1b[2K") or answer.err.rindex(
        "\x1b[?25h"
    ) > answer.err.rindex("\x1b[?25l")


@pytest.mark.parametrize("phase", ["loading", "committing"])
def test_a_bar_gives_the_terminal_back_at_once_when_the_run_is_to_stop(phase: str) -> None:
    out = io.StringIO()
    bar = BarProgress(Bars(Console(file=out, force_terminal=True, width=100)))
    bar.phase("people", phase, Meter(total_bytes=100))
    assert out.getvalue().count("\x1b[?25l") == 1
    bar.event("interrupting")
    bar.phase("people", "committing", Meter())
    bar.tick()
    text = out.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert ("the commit is on its way" if phase == "committing" else "nothing of this stream will be committed") in text


def test_a_log_on_a_terminal_moves_nothing_there(project: Project) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    people(project)
    out = Terminal()
    JsonLog(project.load("people"), out).event("job_error", error="red \x1b[31m \x9b2J \u202e")
    assert not any(c in out.getvalue() for c in "\x1b\x9b\u202e")
    assert json.loads(out.getvalue())["message"] == "red \x1b[31m \x9b2J \u202e"


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_colours_are_left_out_where_nobody_wants_them(
    project: Project, dativo: Dativo, monkeypatch: pytest.MonkeyPatch, no_color: str | None, coloured: bool
) -> None:
    people(project)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    answer = dativo("sync", "people", "--progress", "bar", code=1, terminal=True)
    assert (re.search(r"\x1b\[[0-9;]*3[0-9]", answer.err) is not None) == coloured
