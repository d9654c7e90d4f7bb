"""One commit, exactly once: files, columns, state and run token together, or nothing.

The manifest is read anew, changed, and written on the condition that it is still the one that was read. Another writer,
or no answer at all, leads to another round, and every round begins by looking whether our own token already stands there.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Sequence

from dativo.errors import CommitConflict, CommitUnknown, DativoError, StoreError
from dativo.stores.store import Changed
from dativo.targets.objects.following import following
from dativo.targets.objects.layout import Place
from dativo.targets.objects.manifest import Manifest, encoded, load
from dativo.targets.objects.plan import Plan

# Rounds that failed for reasons unknown, and rounds in which another writer was known to be faster.
ROUNDS = 4
CONFLICTS = 200
LONGEST_WAIT = 5.0
LONGEST_CONFLICT_WAIT = 1.0
# Seconds after which no further round begins.
PATIENCE = 300.0


def commit(plan: Plan) -> Manifest:
    """Carries the plan out, once; gives the manifest that it is in.

    Raises CommitConflict when another run of the job committed first or changed the table's shape, CommitUnknown when
    it cannot be told whether the commit landed, StoreError when it cannot be done.
    """
    return _Commit(plan).run()


class _Unsure(Exception):
    """A request failed of which nobody knows whether it was done."""

    def __init__(self, reason: DativoError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Commit:
    """The rounds of one commit.

    `doubt` is why nobody knows what became of a manifest that was sent, `segments` are the keys of all that were written
    for one.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.place = plan.place
        self.doubt: DativoError | None = None
        self.doubts = 0
        self.conflicts = 0
        self.segments: set[str] = set()

    def run(self) -> Manifest:
        begun = time.monotonic()
        while True:
            try:
                landed = self._round()
                self._drop({self.place.key(s.path) for s in landed.segments})
            except Changed:
                self.conflicts += 1
            except _Unsure as unsure:
                self.doubt = unsure.reason
                self.doubts += 1
            except CommitConflict:
                self._drop(set())
                raise
            else:
                return landed
            self._wait(time.monotonic() - begun)

    def _wait(self, passed: float) -> None:
        """Waits for the next round, or raises when there is to be none."""
        late = passed > PATIENCE
        if self.doubt is not None and (self.doubts >= ROUNDS or late):
            raise _unknown(self.plan, self.doubt) from self.doubt
        if self.conflicts >= CONFLICTS or late:
            raise CommitConflict(
                f"{self.conflicts} times another writer of {self.place.name} was faster; this run changed nothing",
                hint="run again when fewer jobs load this table",
            )
        longest = LONGEST_WAIT if self.doubt is not None else LONGEST_CONFLICT_WAIT
        step = 0.05 * 2 ** min(self.doubts + self.conflicts, 10)
        time.sleep(random.uniform(0.2, 1) * min(longest, step))  # noqa: S311 - no secret hangs on it

    def _round(self) -> Manifest:
        plan, place = self.plan, self.place
        try:
            found = load(place)
        except DativoError as error:
            if self.doubt is not None:
                raise _Unsure(error) from error
            raise
        now, etag = found if found is not None else (None, None)
        if now is not None and plan.token in now.runs.get(plan.key, ()):
            _clean(place, now.removed)
            return now
        newest = now.newest(plan.key) if now is not None else None
        if plan.check_expected and newest != plan.expected:
            raise CommitConflict(
                f"another run of this job committed to {place.name} while this one was reading; this one changed nothing",
                hint="run again: it goes on from what the other run committed",
            )
        after, segments = following(plan, now, f"{plan.token}-{self.doubts + self.conflicts}")
        self.segments |= {place.key(s.path) for s in segments}
        self._send(encoded(after), etag)
        _clean(place, [*after.removed, *(now.removed if now is not None else ())])
        return after

    def _send(self, manifest: bytes, etag: str | None) -> None:
        """Puts the manifest in place of the one that was read; Changed when that is not there any more."""
        try:
            self.place.store.write(
                self.place.manifest,
                manifest,
                only_if=etag,
                only_if_absent=etag is None,
                content_type="application/json",
            )
        except StoreError as error:
            if error.refused:
                raise
            raise _Unsure(error) from error

    def _drop(self, used: set[str]) -> None:
        """Removes segments of manifests that are known not to have become the table's."""
        with contextlib.suppress(DativoError):
            self.place.store.delete(sorted(self.segments - used))


def _unknown(plan: Plan, reason: DativoError) -> CommitUnknown:
    return CommitUnknown(
        f"the store does not answer whether the commit to {plan.place.name} landed: {reason.message}",
        hint=f"{reason.hint}\nrun again when it is back: a run that landed is recognised and not repeated",
    )


def _clean(place: Place, paths: Sequence[str]) -> None:
    """Removes what commits took out: who reads it now reads again. What stays is named until the next commit."""
    with contextlib.suppress(DativoError):
        place.store.delete([place.key(path) for path in paths])
