"""Jobs that are tried again: how often, after which waits, on what, and what comes of the streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dativo import ConfigError, Receipt, sync
from dativo.config.job import Retry
from dativo.errors import TargetError, UnsupportedError
from dativo.observe.listener import Silence
from dativo.pipeline.retry import Policy, policy, with_retries
from tests.project import Project

FIELDS = [{"name": "id", "type": "integer", "required": True}]


class Heard(Silence):
    """Keeps the events of retries."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, event_type: str, **fields: Any) -> None:
        if event_type.startswith("retry"):
            self.events.append((event_type, fields))

    @property
    def delays(self) -> list[float]:
        return [f["delay_seconds"] for name, f in self.events if name == "retry_delay"]


def block(**settings: Any) -> Retry:
    return msgspec.convert(settings, Retry)


def rule(**settings: Any) -> Policy:
    found = policy(block(**settings))
    assert found is not None
    return found


# -- the rule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "delays"),
    [
        ({}, [5, 10, 20]),
        ({"max_retries": 0}, []),
        ({"max_attempts": 3}, [5, 10]),
        ({"max_attempts": 9, "max_retries": 1}, [5]),
        ({"initial_delay_seconds": 0.5, "backoff_multiplier": 3}, [0.5, 1.5, 4.5]),
        ({"retry_delay_seconds": 7}, [7, 14, 28]),
        ({"retry_delay_seconds": 7, "initial_delay_seconds": 1}, [1, 2, 4]),
        ({"max_delay_seconds": 12}, [5, 10, 12]),
        ({"max_retries": 10, "max_delay_seconds": 300}, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]),
        ({"initial_delay_seconds": 0}, [0, 0, 0]),
    ],
)
def test_the_waits_grow_up_to_the_longest(settings: dict[str, Any], delays: list[float]) -> None:
    assert list(rule(**settings).delays()) == delays


def test_a_growth_beyond_all_numbers_is_the_longest_wait() -> None:
    assert rule(max_retries=5000, backoff_multiplier=1e300).delay(4000) == 300


@pytest.mark.parametrize(
    ("settings", "code", "errors", "wanted"),
    [
        ({}, 2, ["anything"], True),
        ({}, 1, [], True),
        ({}, 3, [], False),
        ({"retryable_exit_codes": [1]}, 2, ["x"], False),
        ({"retryable_error_patterns": ["TIME.?OUT"]}, 2, ["read timeout"], True),
        ({"retryable_error_patterns": ["timeout"]}, 2, ["refused"], False),
        ({"retryable_errors": ["refused"]}, 2, ["a", "connection REFUSED"], True),
        ({"retryable_errors": ["refused"], "retryable_error_patterns": ["x"]}, 2, ["refused"], False),
        ({"retryable_error_patterns": ["(", "refused"]}, 2, ["refused"], True),
    ],
)
def test_exit_codes_and_patterns_decide(settings: dict[str, Any], code: int, errors: list[str], wanted: bool) -> None:
    assert rule(**settings).wants(code, errors) is wanted


def test_without_a_block_there_is_no_rule() -> None:
    assert policy(None) is None


# -- runs --------------------------------------------------------------------------------------------------------------


def late(project: Project, retry: dict[str, Any] | None = None, **more: Any) -> None:
    """A job whose second stream's file is not there yet."""
    for name in ("early", "late"):
        project.asset(FIELDS, name, object=name)
    project.write("data/early.csv", "id\n1\n")
    files = [{"path": f"data/{n}.csv", "object": n} for n in ("early", "late")]
    document = {"asset_path": None, "assets": ["assets/early.yaml", "assets/late.yaml"], "source": {"files": files}}
    project.job(**{**document, "retry_config": retry, **more})


def run(project: Project, wait: Callable[[float], None], default: Retry | None = None) -> tuple[Receipt, Heard]:
    job, heard = project.load(), Heard()

    def attempt(names: Any) -> Receipt:
        return sync(job, streams=names, listener=heard)

    return with_retries(job, attempt, heard, default=default, wait=wait), heard


def arrives(project: Project, after: int) -> Callable[[float], None]:
    """A wait in which the late file comes, the so-manieth time."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == after:
            project.write("data/late.csv", "id\n1\n2\n")

    return wait


def test_a_failed_stream_is_tried_again_and_the_others_are_left_alone(project: Project) -> None:
    late(project, {"max_retries": 3, "initial_delay_seconds": 1})
    receipt, heard = run(project, arrives(project, 2))
    assert (receipt.exit_code, receipt.status) == (0, "loaded")
    assert {s.stream: (s.status, s.loaded) for s in receipt.streams} == {"early": ("loaded", 1), "late": ("loaded", 2)}
    assert [name for name, _ in heard.events] == ["retry_delay", "retry_attempt"] * 2
    assert heard.delays == [1, 2]
    assert "data/late.csv" in heard.events[0][1]["reason"]
    assert project.snapshots("default.early") == 1 and project.snapshots("default.late") == 1


def test_after_the_last_try_the_failure_stands(project: Project) -> None:
    late(project, {"max_retries": 2})
    receipt, heard = run(project, arrives(project, 99))
    assert receipt.exit_code == 2 and heard.delays == [5, 10]
    assert {s.stream: s.status for s in receipt.streams} == {"early": "loaded", "late": "failed"}


def test_without_retry_config_there_is_one_try_but_a_default_counts(project: Project) -> None:
    late(project)
    receipt, heard = run(project, arrives(project, 1))
    assert receipt.exit_code == 2 and heard.events == []
    receipt, heard = run(project, arrives(project, 1), block(max_retries=1))
    assert receipt.exit_code == 0 and heard.delays == [5]


def test_the_job_s_own_block_goes_before_the_default(project: Project) -> None:
    late(project, {"max_retries": 0})
    receipt, heard = run(project, arrives(project, 1), block(max_retries=5))
    assert receipt.exit_code == 2 and heard.events == []


def test_errors_that_no_pattern_names_are_not_tried_again(project: Project) -> None:
    late(project, {"retryable_error_patterns": ["timed? ?out"]})
    receipt, heard = run(project, arrives(project, 1))
    assert receipt.exit_code == 2 and heard.events == []


def test_data_that_breaks_its_contract_is_not_tried_again(project: Project) -> None:
    late(project, {"max_retries": 3})
    project.write("data/late.csv", "id\nx\n")
    receipt, heard = run(project, arrives(project, 1))
    assert receipt.exit_code == 2 and heard.events == []
    assert {s.stream: s.error_code for s in receipt.streams} == {"early": "", "late": "contract"}


def test_a_load_that_set_rows_aside_is_no_failure(project: Project) -> None:
    late(project, {"max_retries": 3}, schema_validation_mode="quarantine")
    project.write("data/late.csv", "id\nx\n1\n")
    receipt, heard = run(project, arrives(project, 1))
    assert receipt.exit_code == 1 and heard.events == []


@pytest.mark.parametrize("error", [ConfigError([]), UnsupportedError("no")])
def test_mistakes_of_the_configuration_are_raised_at_once(project: Project, error: Exception) -> None:
    late(project, {"max_retries": 3})
    tries = []

    def attempt(names: Any) -> Receipt:
        tries.append(names)
        raise error

    with pytest.raises(type(error)):
        with_retries(project.load(), attempt, Heard(), wait=lambda _: None)
    assert tries == [None]


def test_a_catalog_that_does_not_answer_before_the_run_is_tried_again(project: Project) -> None:
    late(project, {"max_retries": 2})
    tries = []

    def attempt(names: Any) -> Receipt:
        tries.append(names)
        raise TargetError("connection refused")

    with pytest.raises(TargetError):
        with_retries(project.load(), attempt, Heard(), wait=lambda _: None)
    assert tries == [None] * 3


def test_an_interruption_while_waiting_ends_it_with_what_there_is(project: Project) -> None:
    late(project, {"max_retries": 3})

    def wait(seconds: float) -> None:
        raise KeyboardInterrupt

    receipt, _ = run(project, wait)
    assert {s.stream: s.status for s in receipt.streams} == {"early": "loaded", "late": "failed"}


def test_time_and_beginning_of_all_tries_are_those_of_the_run(project: Project) -> None:
    late(project, {"max_retries": 1, "initial_delay_seconds": 0.2})
    import time

    receipt, _ = run(project, lambda s: (arrives(project, 1)(s), time.sleep(s))[1])  # type: ignore[func-returns-value]
    assert receipt.seconds >= 0.2 and receipt.exit_code == 0
