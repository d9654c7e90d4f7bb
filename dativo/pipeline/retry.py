"""A job tried again, as its `retry_config` says: after growing waits, and only where another try can help."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from dativo.config.job import Retry
from dativo.config.resolve import ResolvedJob
from dativo.errors import (
    ConfigError,
    ContractError,
    DativoError,
    Interrupted,
    SchemaChangeRefused,
    TargetError,
    UnsupportedError,
)
from dativo.observe.listener import Listener
from dativo.pipeline.outcome import exit_code, kind_of, worst
from dativo.receipt import Receipt
from dativo.state.lock import JobIsRunning

RETRIES = 3
FIRST_DELAY = 5.0
# What another try ends with, too: the same configuration meets the same data.
LASTING = tuple(e.code for e in (ConfigError, UnsupportedError, ContractError, SchemaChangeRefused, Interrupted))
_ENDED = ("interrupted", "refused")
# A stream that is published with others failed with them.
_AGAIN = ("failed", "withheld")

Attempt = Callable[[Sequence[str] | None], Receipt]
Wait = Callable[[float], None]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A `retry_config` with its defaults: how often, after which waits in seconds, and on what."""

    retries: int
    first_delay: float
    longest_delay: float
    growth: float
    exit_codes: tuple[int, ...]
    patterns: tuple[str, ...]

    def delays(self) -> Iterator[float]:
        """The wait before each retry."""
        for retry in range(self.retries):
            yield self.delay(retry)

    def delay(self, retry: int) -> float:
        """The wait before a retry, the first of which is 0."""
        try:
            return min(self.first_delay * self.growth**retry, self.longest_delay)
        except OverflowError:
            return self.longest_delay

    def wants(self, exit_code: int, errors: Sequence[str]) -> bool:
        """Whether a try that ended so is to be repeated."""
        if exit_code not in self.exit_codes:
            return False
        return not self.patterns or any(re.search(p, e, re.IGNORECASE) for p in self.patterns for e in errors)


def policy(block: Retry | None) -> Policy | None:
    """What a block says, defaults put in; None without one. Patterns that are no regular expressions are left out."""
    if block is None:
        return None
    retries = block.max_retries
    if retries is None:
        retries = RETRIES if block.max_attempts is None else block.max_attempts - 1
    first = next((d for d in (block.initial_delay_seconds, block.retry_delay_seconds) if d is not None), FIRST_DELAY)
    named = block.retryable_error_patterns
    return Policy(
        retries=retries,
        first_delay=first,
        longest_delay=block.max_delay_seconds,
        growth=block.backoff_multiplier,
        exit_codes=block.retryable_exit_codes,
        patterns=tuple(p for p in (block.retryable_errors if named is None else named) or () if _is_pattern(p)),
    )


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def with_retries(
    job: ResolvedJob,
    attempt: Attempt,
    listener: Listener,
    *,
    default: Retry | None = None,
    names: Sequence[str] | None = None,
    wait: Wait = time.sleep,
) -> Receipt:
    """The receipt of a job's run, failed streams of which were tried again as `retry_config` (else `default`) says.

    `attempt` runs streams of the job; a receipt in which some failed, or an error that may pass, is tried again. Streams
    that were loaded stay loaded. Errors of the configuration are raised at once, others when no try is left.
    """
    rule = policy(job.file.retry_config or default)
    total = rule.retries if rule is not None else 0
    done: Receipt | None = None
    for turn in range(total + 1):
        found, error = _try(attempt, names if done is None else _failed(done), turn < total)
        if found is not None:
            done = found if done is None else merged(done, found, job)
        if rule is None or turn == total or not _may_pass(found, error):
            break
        code, texts = _ending(found, error)
        if not rule.wants(code, texts):
            break
        try:
            _announce(listener, rule, turn, code, texts, wait)
        except KeyboardInterrupt:
            if done is None:
                raise
            listener.event("interrupted")
            return done
    if done is None:
        assert error is not None
        raise error
    return done


def _try(attempt: Attempt, names: Sequence[str] | None, again: bool) -> tuple[Receipt | None, DativoError | None]:
    """What a try gave, or why it did not come to one where there is a next."""
    try:
        return attempt(names), None
    except DativoError as error:
        # What is raised before a stream is read comes from the configuration, but for a catalog that does not answer
        # and for another run of the same job.
        if not again or not isinstance(error, TargetError | JobIsRunning) or kind_of(error) in LASTING:
            raise
        return None, error


def _announce(listener: Listener, rule: Policy, turn: int, code: int, texts: Sequence[str], wait: Wait) -> None:
    delay = rule.delay(turn)
    error = next(iter(texts), "").splitlines()[0] if texts else ""
    listener.event("retry_delay", retry=turn + 1, max_retries=rule.retries, delay_seconds=delay, reason=error)
    wait(delay)
    listener.event("retry_attempt", retry=turn + 1, max_retries=rule.retries, previous_exit_code=code)


def _failed(receipt: Receipt) -> list[str]:
    return [s.stream for s in receipt.streams if s.status in _AGAIN]


def _may_pass(receipt: Receipt | None, error: DativoError | None) -> bool:
    """Whether another try could end better: something failed, and nothing was refused or interrupted."""
    if receipt is None:
        return error is not None
    failed = [s for s in receipt.streams if s.status == "failed"]
    if not failed or any(s.status in _ENDED for s in receipt.streams):
        return False
    return all(s.error_code not in LASTING for s in failed)


def _ending(receipt: Receipt | None, error: DativoError | None) -> tuple[int, list[str]]:
    if receipt is None:
        assert error is not None
        return error.exit_code, [error.render().removeprefix("error: ")]
    return receipt.exit_code, [s.error for s in receipt.streams if s.error]


def merged(before: Receipt, after: Receipt, job: ResolvedJob) -> Receipt:
    """Two tries of one job as one run: each stream as it ended last, the time of both and of the wait between them."""
    streams = tuple({s.stream: s for s in (*before.streams, *after.streams)}.values())
    begun = datetime.fromisoformat(before.started_at)
    ended = datetime.fromisoformat(after.started_at) + timedelta(seconds=after.seconds)
    return msgspec.structs.replace(
        after,
        streams=streams,
        status=worst(streams),
        exit_code=exit_code(streams, job),
        started_at=before.started_at,
        seconds=round((ended - begun).total_seconds(), 3),
    )
