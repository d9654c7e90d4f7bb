"""What may happen to a run: each mishap lets a series' delivery be loaded and does something to the run meanwhile.

A mishap gives the run's exit code (None where it was killed) and what it said. It takes away what it put in the way.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.lakehouse import COMMIT, MERGE, Lakehouse
from tests.faults.program import Pool, Program
from tests.faults.series import Series
from tests.faults.wire import SLOW_DOWN, Fate, Wire

ARGUMENTS = ("sync", "jobs/acme/job.yaml", "--json")
STATE = "/acme/.job.json."
# Calls of the system at which a run on this machine is at a point of interest, and how often it makes them.
CALLS = {
    "open:/staging/": 1, "open:.parquet": 1, "write:.parquet": 2, "write:.avro": 2, "open:.metadata.json": 1,
    "write:.metadata.json": 1, "open:catalog.db-journal": 2, "write:catalog.db-journal": 6, "write:catalog.db": 8,
    "sync:catalog.db": 4, f"open:{STATE}": 1, f"write:{STATE}": 1, f"sync:{STATE}": 1, "rename:/acme/job.json": 1,
    "open:/runs/job/": 1, "rename:/runs/job/": 1,
}  # fmt: skip
ON_NESSIE = ("/staging/", "job.json", "/runs/job/")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
ANSWERS = (0, 500, 502, 503, 504, 409)


@dataclass
class Round:
    """A mishap's surroundings, and what it tells about itself."""

    series: Series
    lake: Lakehouse | None
    pool: Pool
    chance: random.Random
    what: str = ""
    met: bool = True
    rivals: list[tuple[int | None, str]] = field(default_factory=list)
    typical: float = 0.8

    def program(self, *, begin: bool = True, **environment: str) -> Program:
        program = self.pool.take()
        if begin:
            program.go(self.series.root, *ARGUMENTS, **environment)
        return program

    def here(self) -> tuple[int, str]:
        """A run in this process: its exit code and what it said."""
        return self.series.run()

    def rival(self) -> None:
        """A whole run of the same job, in the middle of the other one."""
        self.rivals.append(self.series.run())

    def other(self) -> None:
        """A whole run of another job that appends to the same table."""
        self.series.deliver_other()
        self.rivals.append(self.series.run("other"))

    def wire(self) -> tuple[str, Wire, int]:
        """The way to the catalog or to the store, and the number of a request that the run makes of it, about."""
        assert self.lake is not None
        first = not self.series.before
        if self.chance.random() < 0.5:
            more = 9 if self.series.publish == "branch" else 0
            return "catalog", self.lake.catalog, self.chance.randint(1, (12 if first else 5) + more)
        compares = self.series.mode == "append" and not self.series.folder and not first
        return "store", self.lake.store, self.chance.randint(1, 28 if compares else 10)

    def fate(self, **what: object) -> Fate:
        """A fate for some request of the run."""
        name, wire, nth = self.wire()
        self.what += f"request {nth} to the {name}"
        return wire.meet("", nth=nth, **what)


Outcome = tuple[int | None, str]


def ending(program: Program) -> Outcome:
    ended = program.ended()
    return (None, "") if ended.killed else (ended.code, ended.out + ended.err)


# -- processes that die, are stopped or are asked to end -----------------------------------------------------------------


def killed_at_any_time(round: Round) -> Outcome:
    program = round.program()
    after = round.chance.uniform(0, round.typical * 1.2)
    round.what = f"after {after:.2f} s"
    time.sleep(after)
    program.signal(signal.SIGKILL)
    return ending(program)


def _call(round: Round) -> tuple[str, int]:
    calls = {c: n for c, n in CALLS.items() if round.lake is None or any(c.endswith(p) or p in c for p in ON_NESSIE)}
    call = round.chance.choice(list(calls))
    return call, round.chance.randint(1, calls[call])


def killed_at_a_call(round: Round) -> Outcome:
    call, nth = _call(round)
    how = round.chance.choice(("kill", "after"))
    round.what = f"{'before' if how == 'kill' else 'after'} {call} number {nth}"
    outcome = ending(round.program(FAULT=f"{call}:{nth}:{how}"))
    round.met = outcome[0] is None
    return outcome


def failed_call(round: Round) -> Outcome:
    call, nth = _call(round)
    error = round.chance.choice(ERRORS)
    on = round.chance.choice(("", "+"))
    round.what = f"{call} number {nth}{' and on' if on else ''} fails with {errno.errorcode[error]}"
    return ending(round.program(FAULT=f"{call}:{nth}{on}:{error}"))


def killed_at_a_request(round: Round) -> Outcome:
    program = round.program(begin=False)
    moment = round.chance.choice(("before", "then"))
    round.what = f"{'before' if moment == 'before' else 'after the server heard'} "
    fate = round.fate(**{moment: lambda: program.signal(signal.SIGKILL)})
    program.go(round.series.root, *ARGUMENTS)
    outcome = ending(program)
    round.met = bool(fate.met)
    return outcome


def interrupted(round: Round) -> Outcome:
    number = round.chance.choice((signal.SIGINT, signal.SIGTERM))
    twice = round.chance.random() < 0.4
    program = round.program(begin=False)

    def send() -> None:
        program.signal(number)
        if twice:
            time.sleep(round.chance.uniform(0.001, 0.1))
            program.signal(number)

    round.what = f"{number.name}{' twice' if twice else ''} "
    if round.lake is not None and round.chance.random() < 0.6:
        round.fate(before=send)
        program.go(round.series.root, *ARGUMENTS)
    else:
        after = round.chance.uniform(0, round.typical * 1.1)
        round.what += f"after {after:.2f} s"
        program.go(round.series.root, *ARGUMENTS)
        time.sleep(after)
        send()
    ended = program.ended()
    round.what += f", which ended with {ended.code}"
    # The second signal kills; so does one that comes when everything is done and the interpreter is on its way out.
    done = '"exit_code"' in ended.out
    return (None, "") if ended.code == -number and (twice or done) else (ended.code, ended.out + ended.err)


def asleep_while_a_rival_wins(round: Round) -> Outcome:
    """The run is stopped, another run of the job comes and goes, and the first one wakes up."""
    program = round.program(begin=False)
    if round.lake is not None:
        round.fate(before=lambda: program.signal(signal.SIGSTOP))
        program.go(round.series.root, *ARGUMENTS)
    else:
        call, nth = _call(round)
        round.what = f"stopped before {call} number {nth}"
        program.go(round.series.root, *ARGUMENTS, FAULT=f"{call}:{nth}:stop")
    round.met = program.wait_stopped()
    if round.met:
        if round.lake is not None:
            round.lake.catalog.fates.clear()
            round.lake.store.fates.clear()
        # It may sleep with the catalog's database locked: the rival gets some time, and what it waits for then.
        rival = threading.Thread(target=round.rival)
        rival.start()
        rival.join(3.0)
        program.signal(signal.SIGCONT)
        rival.join()
    return ending(program)


def raced(round: Round) -> Outcome:
    """Two or three runs of the job at once; what the first of them tells."""
    programs = [round.program() for _ in range(round.chance.choice((2, 3)))]
    round.what = f"{len(programs)} runs of the job at once"
    outcomes = [ending(p) for p in programs]
    round.rivals += outcomes[1:]
    return outcomes[0]


def in_another_time(round: Round) -> Outcome:
    seconds = round.chance.choice((-86_400 * 400, -86_400, -7_200, -30, 30))
    round.what = f"the clock is {seconds} s ahead"
    return ending(round.program(FAULT_CLOCK=str(seconds)))


# -- requests that go wrong ----------------------------------------------------------------------------------------------


def _lake(round: Round) -> Lakehouse:
    assert round.lake is not None
    return round.lake


def false_reply_to_the_commit(round: Round) -> Outcome:
    chance = round.chance
    heard, answer, times = chance.random() < 0.6, chance.choice(ANSWERS), chance.choice((1, 1, 2, 3))
    rivals = {"no rival": None, "a rival": round.rival}
    if round.series.mode == "append":
        rivals["another job"] = round.other
    who = chance.choice(list(rivals))
    when = chance.choice(("before", "then"))
    merge = round.series.publish == "branch" and chance.random() < 0.7
    fate_ = f"{'lands' if heard else 'is lost'} {times} times and is answered {answer or 'with a cut'}"
    round.what = f"{'merge' if merge else 'commit'} {fate_}, {who} {when}"
    fate = _lake(round).catalog.meet(MERGE if merge else COMMIT, heard=heard, answer=answer, times=times)
    rival = rivals[who]
    if rival is not None:
        setattr(fate, when, _once(fate, rival))
    outcome = round.here()
    round.met = bool(fate.met)
    return outcome


def _once(fate: Fate, work: Callable[[], None]) -> Callable[[], None]:
    """Does the work once, with the fate out of its way meanwhile."""

    def called() -> None:
        fate.before = fate.then = None
        pattern, fate.pattern = fate.pattern, "^nothing$"
        try:
            work()
        finally:
            fate.pattern = pattern

    return called


def request_that_fails(round: Round) -> Outcome:
    answer = round.chance.choice(ANSWERS)
    heard = round.chance.random() < 0.5
    round.what = f"{'heard' if heard else 'not heard'}, answered {answer or 'with a cut'}: "
    name, wire, nth = round.wire()
    times = round.chance.choice((1, 1, 2))
    body = SLOW_DOWN if name == "store" and answer == 503 else b""
    fate = wire.meet("", nth=nth, times=times, heard=heard, answer=answer, body=body, reset=round.chance.random() < 0.5)
    round.what += f"request {nth} to the {name}, {times} times"
    outcome = round.here()
    round.met = bool(fate.met)
    return outcome


def truncated_answer(round: Round) -> Outcome:
    nth, after = round.chance.randint(1, 8), round.chance.choice((0, 1, 40, 300))
    round.what = f"GET {nth} from the store is cut after {after} bytes"
    fate = _lake(round).store.meet("^GET ", nth=nth, after_bytes=after, reset=round.chance.random() < 0.5)
    outcome = round.here()
    round.met = bool(fate.met)
    return outcome


def server_gone_for_a_while(round: Round) -> Outcome:
    seconds = round.chance.uniform(0.05, 1.5)
    name, wire, nth = round.wire()
    round.what = f"the {name} refuses connections for {seconds:.1f} s from request {nth} on"
    back = threading.Timer(seconds, wire.accept)

    def gone() -> None:
        back.start()
        wire.refuse()

    fate = wire.meet("", nth=nth, before=gone)
    try:
        outcome = round.here()
    finally:
        round.met = bool(fate.met)
        if fate.met:
            back.join()
        wire.accept()
    return outcome


def server_asleep_for_a_while(round: Round) -> Outcome:
    seconds = round.chance.uniform(0.05, 1.5)
    name, wire, nth = round.wire()
    lake = _lake(round)
    server = lake.nessie.process if name == "catalog" else lake.minio.process
    assert server is not None
    round.what = f"the {name}'s server sleeps for {seconds:.1f} s at request {nth}"
    awake = threading.Timer(seconds, server.resume)

    def asleep() -> None:
        server.pause()
        awake.start()

    fate = wire.meet("", nth=nth, before=asleep)
    try:
        outcome = round.here()
    finally:
        round.met = bool(fate.met)
        if fate.met:
            awake.join()
    return outcome


# -- state files that are wrong ------------------------------------------------------------------------------------------


def wrong_state_file(round: Round) -> Outcome:
    path = round.series.root / ".local/state/acme/job.json"
    older = round.series.root / ".local/older.json"
    choices: dict[str, Callable[[], object]] = {
        "deleted": lambda: path.unlink(missing_ok=True),
        "cut in the middle": lambda: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "of zeros": lambda: path.write_bytes(bytes(path.stat().st_size)),
        "an older one": lambda: os.replace(older, path) if older.exists() else None,
        "of another job": lambda: path.write_text('{"people.id": {"last_value": 99999999}}'),
    }
    if path.exists():
        round.what = round.chance.choice(list(choices))
        choices[round.what]()
        if path.exists() and round.what != "an older one":
            older.write_bytes(path.read_bytes())
    else:
        round.met = False
    return round.here()


@dataclass(frozen=True)
class Mishap:
    name: str
    work: Callable[[Round], Outcome]
    weight: int
    embedded: bool = True
    nessie: bool = True


MISHAPS = (
    Mishap("killed at any time", killed_at_any_time, 3),
    Mishap("killed at a call of the system", killed_at_a_call, 4),
    Mishap("killed at a request", killed_at_a_request, 5, embedded=False),
    Mishap("a call of the system fails", failed_call, 3),
    Mishap("SIGINT or SIGTERM", interrupted, 2),
    Mishap("asleep while a rival wins", asleep_while_a_rival_wins, 2),
    Mishap("runs of one job at once", raced, 1),
    Mishap("clock wrong", in_another_time, 1),
    Mishap("false reply to the commit", false_reply_to_the_commit, 6, embedded=False),
    Mishap("a request fails", request_that_fails, 3, embedded=False),
    Mishap("a truncated GET", truncated_answer, 2, embedded=False),
    Mishap("a server gone for a while", server_gone_for_a_while, 1, embedded=False),
    Mishap("a server asleep for a while", server_asleep_for_a_while, 1, embedded=False),
    Mishap("wrong state file", wrong_state_file, 1),
)
