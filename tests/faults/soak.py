"""`python -m tests.faults.soak N [--seed S]`: N runs, each with a random mishap, each verdict by an independent reader.

After the mishap the table must hold what it held before or what was delivered, nothing in between; after one plain run it
must hold exactly what was delivered. A line tells each round, a table of mishaps and verdicts ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.lakehouse import Lakehouse, lakehouse, told
from tests.faults.mishaps import MISHAPS, Mishap, Round
from tests.faults.program import Pool
from tests.faults.series import Series

LONGEST_SERIES = 7


@dataclass
class Tally:
    """What a soak has seen."""

    rounds: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    landed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    unreadable: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unreadable or self.wrong)

    def summary(self) -> str:
        lines = [f"{'mishap':34} {'rounds':>6} {'met':>5} {'landed':>6} {'exit 2':>6}"]
        lines += [
            f"{name:34} {self.rounds[name]:6} {self.met[name]:5} {self.landed[name]:6} {self.failed[name]:6}"
            for name in sorted(self.rounds)
        ]
        lines.append(
            f"{sum(self.rounds.values())} rounds: {self.lost} rows lost, {self.doubled} rows doubled, "
            f"{self.unreadable} tables unreadable, {len(self.wrong)} other verdicts broken"
        )
        return "\n".join([*lines, *self.wrong])


class Soak:
    """The rounds. `catalogs` are those to choose from."""

    def __init__(self, root: Path, lake: Lakehouse | None, seed: int, catalogs: tuple[str, ...]) -> None:
        self.root = root
        self.lake = lake
        self.catalogs = catalogs
        self.chance = random.Random(seed)
        self.tally = Tally()
        self.pool = Pool()
        self.series: dict[str, Series] = {}
        self.made = 0

    def round(self, number: int) -> None:
        """One delivery, one mishap, one plain run, and what is to be said of it."""
        begun = time.perf_counter()
        catalog = self.chance.choice(self.catalogs)
        series = self.next_series(catalog)
        choice = [m for m in MISHAPS if (m.embedded if catalog == "embedded" else m.nessie)]
        mishap = self.chance.choices(choice, [m.weight for m in choice])[0]
        series.deliver()
        lake = self.lake if catalog == "nessie" else None
        round = Round(series, lake, self.pool, self.chance)
        first = "first" if not series.before else "     "
        try:
            verdict = self.verdict(mishap, round)
        except Exception as error:  # noqa: BLE001 - the round is told, and the soak goes on
            self.tally.unreadable += 1
            verdict = f"UNREADABLE: {type(error).__name__}: {error}".replace("\n", " ")[:600]
        finally:
            self.pool.settle()
            if self.lake is not None:
                self.lake.calm()
        if any(word in verdict for word in ("LOST", "DOUBLED", "UNREADABLE", "WRONG")):
            del self.series[catalog]
        self.tally.rounds[mishap.name] += 1
        self.tally.met[mishap.name] += round.met
        seconds = time.perf_counter() - begun
        met = "" if round.met else " (not met)"
        print(
            f"{number:5} {series.label} {first} {mishap.name}: {round.what}{met} -> {verdict} [{seconds:.1f} s]",
            flush=True,
        )

    def next_series(self, catalog: str) -> Series:
        """The table of the round: often one that does not exist yet."""
        known = self.series.get(catalog)
        if known is None or self.chance.randrange(LONGEST_SERIES) == 0:
            self.made += 1
            lake = self.lake if catalog == "nessie" else None
            root = self.root / f"series_{self.made}"
            root.mkdir(parents=True)
            known = self.series[catalog] = Series(root, lake, self.chance)
        os.chdir(known.root)
        return known

    def verdict(self, mishap: Mishap, round: Round) -> str:
        series = round.series
        code, text = mishap.work(round)
        if self.lake is not None:
            self.lake.calm()
        found = series.found_rows()
        landed = found == series.after
        self.tally.landed[mishap.name] += landed
        self.tally.failed[mishap.name] += code == 2
        said = "killed" if code is None else f"exit {code}"
        wrong = list(self.wrongs(round, found, code, text))
        again = told(series.sync())
        if again[1] != 0:
            wrong.append(f"the plain run after it ended with {again[1]}: {again[2]}")
        if landed and again[0] != "unchanged":
            wrong.append(f"the cursor does not match: the run after a commit that landed was '{again[0]}'")
        end = series.found_rows()
        lost, doubled = (series.after - end).total(), (end - series.after).total()
        self.tally.lost += lost
        self.tally.doubled += doubled
        if lost or doubled:
            wrong.append(f"LOST {lost}, DOUBLED {doubled}")
        self.tally.wrong += [f"WRONG {mishap.name}: {round.what}: {w}" for w in wrong]
        verdict = f"{said}, {'landed' if landed else 'not landed'}, then {again[0]}"
        return f"{verdict} WRONG: {'; '.join(wrong)} | {text.strip()[-900:]}" if wrong else verdict

    def wrongs(self, round: Round, found: Counter[tuple[int, str]], code: int | None, text: str) -> Iterator[str]:
        """What is not as it should be after the mishap."""
        series = round.series
        if found not in (series.before, series.after):
            lost, doubled = (series.after - found).total(), (found - series.after).total()
            yield f"neither before nor after: {lost} rows short, {doubled} too many"
        if code == 0 and found != series.after:
            yield "exit code 0, and the rows are not there"
        if code not in (None, 0, 2):
            yield f"exit code {code}"
        if code == 2 and not round.rivals and "nothing was committed" in text and found != series.before:
            yield "it says that nothing was committed, and the table changed"
        for other, said in ((code, text), *round.rivals):
            if other == 2 and ("error" not in said and len(said) < 5):
                yield "exit code 2 without a word"
            if "Traceback" in said or "dativo does not know" in said:
                yield f"a traceback: {said[-1500:]}"


def soak(rounds: int, seed: int, catalogs: tuple[str, ...] = ("embedded", "nessie")) -> Tally:
    """Runs so many rounds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dativo-soak-")))
        before = Path.cwd()
        stack.callback(os.chdir, before)
        lake = stack.enter_context(lakehouse(folder / "servers")) if "nessie" in catalogs else None
        going = Soak(folder / "projects", lake, seed, catalogs)
        stack.callback(going.pool.close)
        begun = time.perf_counter()
        for number in range(1, rounds + 1):
            going.round(number)
        print(f"seed {seed}, {time.perf_counter() - begun:.0f} s\n{going.tally.summary()}", flush=True)
        return going.tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rounds", type=int)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--catalogs", default="embedded,nessie")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    sys.exit(0 if soak(options.rounds, seed, tuple(options.catalogs.split(","))).good else 1)


if __name__ == "__main__":
    main()
