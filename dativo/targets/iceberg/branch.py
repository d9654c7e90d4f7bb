"""Branches of runs on Nessie: tables are written and checked there, then published by one merge.

A run's branch is called `dativo-run.TENANT.JOB.TOKEN.N`: the token tells when the run began, N counts the branches that a
run needed because a rival changed one of its tables.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import CommitUnknown, DativoError, TargetError
from dativo.targets.iceberg.catalog import CatalogSettings, open_catalog, settings
from dativo.targets.iceberg.failure import first_line, translated
from dativo.targets.iceberg.turns import after_doubt

if TYPE_CHECKING:
    from dativo.targets.iceberg.nessie import NessieCatalog, Reference
    from dativo.targets.iceberg.target import IcebergTarget

T = TypeVar("T")

PREFIX = "dativo-run."
ROUNDS = 8
LONGEST_WAIT = 5.0
# Seconds after which no further try begins.
PATIENCE = 90.0
LONGEST_NAME = 60
_NAME = re.compile(r"dativo-run\.([\w-]+)\.([\w-]+)\.([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21})\.\d+", re.ASCII)


class RunBranch(NamedTuple):
    """The branch of a run: who made it, when the run began, and the commit that it is at."""

    name: str
    tenant: str
    job: str
    token: str
    started: datetime
    head: str


def run_branches(catalog: NessieCatalog) -> list[RunBranch]:
    """The branches of runs that are there, oldest first; of runs that go on, too."""
    found = []
    for reference in catalog.references(PREFIX):
        match = _NAME.fullmatch(reference.name)
        if match is not None:
            milliseconds = int(match[3].replace("-", "")[:12], 16)
            started = datetime.fromtimestamp(milliseconds / 1000, UTC)
            found.append(RunBranch(reference.name, match[1], match[2], match[3], started, reference.hash))
    return sorted(found, key=lambda b: b.token)


def branch_label(tenant: str, job: str) -> str:
    """The part of a branch's name that tells whose it is; what Nessie does not take in names becomes `_`."""
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "_", part)[:LONGEST_NAME] for part in (tenant, job))


def publisher(job: ResolvedJob) -> BranchPublisher | None:
    """What publishes the job's tables at once; None where its catalog has no branches."""
    chosen = settings(job, make=False)
    return BranchPublisher(chosen, chosen.nessie.api, chosen.nessie.branch) if chosen.nessie is not None else None


class BranchPublisher:
    """A run's branch on Nessie, and its merge into the branch that readers see."""

    def __init__(self, chosen: CatalogSettings, api: str, branch: str) -> None:
        self.settings = chosen
        self.place = f"{api} {branch}"
        self.branch = ""
        self.prefix = ""
        self.number = 0
        self.targets: list[IcebergTarget] = []
        self.run: Reference | None = None
        self.left: list[str] = []

    @cached_property
    def visible(self) -> NessieCatalog:
        """The catalog at the branch that readers see."""
        from dativo.targets.iceberg.nessie import NessieCatalog

        catalog = open_catalog(self.settings)
        assert isinstance(catalog, NessieCatalog)
        return catalog

    @property
    def catalog(self) -> NessieCatalog:
        """The catalog at the run's branch."""
        return self.visible.at(self.branch)

    @property
    def sealed(self) -> NessieCatalog:
        """The catalog at the commit that is audited and published."""
        assert self.run is not None
        return self.visible.at(self.run.name, self.run.hash)

    def begin(self, tenant: str, name: str, token: str, namespaces: Iterable[str]) -> None:
        from dativo.targets.iceberg.lookup import ensure_namespace

        self.prefix = f"{PREFIX}{branch_label(tenant, name)}.{token}"
        # Made where readers look: two branches that make the same namespace could not both be merged.
        for namespace in dict.fromkeys(namespaces):
            _tried(f"making the namespace {namespace}", partial(ensure_namespace, self.visible, namespace))
        self._make_branch()

    def _make_branch(self) -> None:
        self.number += 1
        name = f"{self.prefix}.{self.number}"
        self.left.append(name)
        made = _tried(f"making the branch {name}", lambda: self.visible.make_branch(name, self.visible.ensure_branch()))
        self.branch = made.name

    def target(self, job: ResolvedJob, stream: StreamConfig, token: str, started: datetime) -> IcebergTarget:
        from dativo.targets.iceberg.target import IcebergTarget

        made = IcebergTarget(job, stream, token, started, branch=self)
        self.targets.append(made)
        return made

    def seal(self) -> None:
        self.run = _tried(f"looking at the branch {self.branch}", lambda: self.visible.reference(self.branch))
        if self.run is None:
            raise TargetError(f"the run's branch {self.branch} was removed; nothing was published", hint="run again")

    def renew(self) -> None:
        for target in self.targets:
            target.committed = False
        self._make_branch()

    def publish(self) -> bool:
        if not any(t.committed for t in self.targets):
            return True
        return _Merge(self).run()

    def discard(self, *, keep: bool) -> bool:
        if keep:
            self.left = [name for name in self.left if name != self.branch]
        try:
            for name in list(self.left):
                _tried(f"removing the branch {name}", partial(self.visible.delete_branch, name))
                self.left.remove(name)
        except DativoError:
            return False
        return not keep


class _Merge:
    """The rounds of one merge. `unsure` tells that a request went out whose fate nobody told."""

    def __init__(self, owner: BranchPublisher) -> None:
        assert owner.run is not None
        self.visible = owner.visible
        self.source = owner.run
        self.witness = next(t for t in owner.targets if t.committed)
        self.unsure = False
        self.doubt: BaseException | None = None

    def run(self) -> bool:
        from dativo.targets.iceberg.nessie import ReferenceConflict

        end = time.monotonic() + PATIENCE
        for turn in range(ROUNDS):
            if turn:
                if time.monotonic() > end:
                    break
                time.sleep(after_doubt(turn, LONGEST_WAIT))
            try:
                self.merge()
            except ReferenceConflict as error:
                self.doubt = error
                landed = self.landed()
                if landed is not None:
                    return landed
                self.unsure = True
            except DativoError:
                raise
            except Exception as error:  # noqa: BLE001 - the next look tells whether it landed
                self.doubt = error
                self.unsure = True
                if self.landed():
                    return True
            else:
                # What the server says is believed where it cannot be read back.
                if self.landed() is not False:
                    return True
        return self.given_up()

    def merge(self) -> None:
        from pyiceberg.exceptions import BadRequestError, ForbiddenError, UnauthorizedError

        from dativo.targets.iceberg.nessie import NoSuchReference

        branch = self.visible.branch
        try:
            into = self.visible.reference(branch)
            if into is None:
                raise TargetError(f"the branch '{branch}' was removed; nothing was published", hint="run again")
            self.visible.merge(self.source, into, f"dativo: {self.source.name}")
        except (BadRequestError, ForbiddenError, UnauthorizedError, NoSuchReference) as error:
            if self.landed():
                return
            raise TargetError(
                f"Nessie refuses to merge {self.source.name} into {branch}: {first_line(error)}",
                hint="check that the credentials may write to that branch, then run again",
            ) from error

    def landed(self) -> bool | None:
        """Whether the run's token stands on the branch that readers see; None when it cannot be asked."""
        from dativo.targets.iceberg.lookup import load
        from dativo.targets.iceberg.plan import tokens

        target = self.witness
        try:
            table = load(self.visible, target.identifier)
        except Exception:  # noqa: BLE001 - whatever it is, the answer is "unknown"
            return None
        return table is not None and target.token in tokens(table.properties, target.run_key)

    def given_up(self) -> bool:
        reason = first_line(self.doubt) if self.doubt is not None else "no reason given"
        if self.unsure:
            raise CommitUnknown(
                f"Nessie does not answer whether {self.source.name} was published: {reason}",
                hint="run again when it is back: a run that was published is recognised and not repeated",
            )
        raise TargetError(
            f"Nessie says that {self.source.name} was merged, but its tables are not on {self.visible.branch}",
            hint="report it with the version of the server",
        )


def _tried(doing: str, work: Callable[[], T]) -> T:
    """What some work gives that may be done twice; tried again while the server does not answer. TargetError at last."""
    from pyiceberg.exceptions import BadRequestError, ForbiddenError, UnauthorizedError

    end = time.monotonic() + PATIENCE
    turn = 0
    while True:
        turn += 1
        try:
            return work()
        except DativoError:
            raise
        except Exception as error:
            lasting = isinstance(error, (BadRequestError, ForbiddenError, UnauthorizedError))
            if lasting or turn >= ROUNDS or time.monotonic() > end:
                raise translated(error, doing) from error
        time.sleep(after_doubt(turn, LONGEST_WAIT))
