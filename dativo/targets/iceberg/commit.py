"""One commit, exactly once: files, schema change, state and run token together, or nothing.

The table is loaded fresh, the change staged on it and handed to the catalog once. What comes back may be a conflict or
nothing at all, so every round begins by looking whether our own token already stands in the table.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    TableAlreadyExistsError,
    UnauthorizedError,
    ValidationException,
)
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import ValidatableTableRequirement

from dativo.errors import CommitConflict, CommitUnknown, DativoError, TargetError
from dativo.targets.iceberg.catalog import sqlite_file
from dativo.targets.iceberg.failure import first_line, lasting
from dativo.targets.iceberg.lookup import Versioned, load, snapshot_of
from dativo.targets.iceberg.plan import Plan, newest_token, tokens
from dativo.targets.iceberg.stage import stage
from dativo.targets.iceberg.staged import Staged
from dativo.targets.iceberg.turns import after_conflict, after_doubt, queued

# Rounds that failed for reasons unknown, and rounds in which another writer was known to be faster.
ROUNDS = 8
CONFLICTS = 200
LONGEST_WAIT = 5.0
# Seconds after which no further round begins.
PATIENCE = 90.0
CONFLICT_PATIENCE = 300.0
_DENIED = (BadRequestError, ForbiddenError, UnauthorizedError)
_REFUSED = (CommitFailedException, TableAlreadyExistsError, ValidationException)


@dataclass(slots=True)
class Landed:
    """A commit that is in the table."""

    table: Table
    snapshot_id: int | None
    rounds: int


class AssertToken(ValidatableTableRequirement):
    """The newest run token must be the one that was read: what makes a property change a conflict in a SQL catalog.

    Checked by pyiceberg against the metadata that its update then replaces; never sent to a server.
    """

    type: str = "assert-dativo-token"
    token_key: str
    expected: str | None

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        found = newest_token(base_metadata.properties if base_metadata is not None else {}, self.token_key)
        if found != self.expected:
            raise CommitFailedException(f"Requirement failed: the newest run is {found}, not {self.expected}")


def commit(catalog: Catalog, plan: Plan) -> Landed:
    """Carries the plan out, once.

    Raises CommitConflict when another run of the job committed first, CommitUnknown when it cannot be told whether the
    commit landed or still will, TargetError when it cannot be done.
    """
    return _Commit(catalog, plan).run()


class _Commit:
    """The rounds of one commit.

    `unsure` tells that a request went out whose fate nobody told, `blind` that the catalog did not show the table when it
    was asked last, `refused` is a change that the catalog says it refused, as long as that was not seen.
    """

    def __init__(self, catalog: Catalog, plan: Plan) -> None:
        self.catalog = catalog
        self.plan = plan
        self.local = catalog.properties.get("type") == "sql"
        self.doubt: BaseException | None = None
        self.unsure = False
        self.blind = False
        self.doubts = 0
        self.conflicts = 0
        self.refused: Staged | None = None
        self.place = f"{catalog.properties.get('uri')} {catalog.properties.get('prefix')} {plan.name}"

    @property
    def tries(self) -> int:
        return self.doubts + self.conflicts

    def is_over(self, passed: float) -> bool:
        """Whether no other round is to begin, so many seconds after the first did."""
        doubted = self.doubts >= ROUNDS or (self.doubts > 0 and passed > PATIENCE)
        return doubted or self.conflicts >= CONFLICTS or passed > CONFLICT_PATIENCE

    def run(self) -> Landed:
        begun = time.monotonic()
        try:
            while True:
                with queued(self.place, self.conflicts > 0):
                    at = time.monotonic()
                    landed = self.round(self.tries + 1)
                if landed is not None:
                    return landed
                now = time.monotonic()
                if self.is_over(now - begun):
                    return self.last_look()
                lost = self.refused is not None
                time.sleep(after_conflict(self.conflicts, now - at) if lost else after_doubt(self.doubts, LONGEST_WAIT))
        except CommitUnknown:
            raise
        except DativoError as error:
            if self.unsure or self.refused is not None:
                raise self.unknown(error) from error
            raise

    def round(self, number: int) -> Landed | None:
        """One try; None when it failed in a way that another one may not."""
        try:
            self.blind = True
            catalog, table = self.fresh()
            self.blind = False
            if table is not None and self.plan.token in tokens(table.properties, self.plan.token_key):
                return Landed(table, snapshot_of(table, self.plan.token), number)
            self.clean()
            self.check_rival(table)
            # A server that compares nothing but snapshots needs one in every commit.
            compared = self.local or catalog is not self.catalog
            staged = stage(catalog, table, self.plan, snapshot=not compared)
        except DativoError:
            raise
        except Exception as error:  # noqa: BLE001 - a lasting failure is raised, another one is tried again
            return self.failed(error)
        return self.handed_over(catalog, staged, number)

    def handed_over(self, catalog: Catalog, staged: Staged, number: int) -> Landed | None:
        plan = self.plan
        further: tuple[AssertToken, ...] = ()
        if plan.check_expected and self.local:
            further = (AssertToken(token_key=plan.token_key, expected=plan.expected),)
        try:
            return Landed(staged.hand_over(catalog, *further), staged.snapshot_id, number)
        except _DENIED as error:
            staged.clean()
            raise self.denied(error) from error
        except _REFUSED as error:
            # Whether that is true, the next look tells.
            self.doubt, self.refused = error, staged
            self.conflicts += 1
        except Exception as error:  # noqa: BLE001 - the next round looks whether it landed
            # A SQLite database has decided when it answers; a server may still be at it.
            landed = None if self.unsure or _database(self.catalog) is None else self.landed()
            if landed is False:
                staged.clean()
                return self.failed(error)
            self.unsure = self.unsure or landed is None
            self.doubt = error
            self.doubts += 1
        return None

    def clean(self) -> None:
        """Removes the manifests of a change that was refused, now that it is seen not to have landed."""
        if self.refused is not None:
            self.refused.clean()
            self.refused = None

    def failed(self, error: BaseException) -> Landed | None:
        """Nothing landed, and another try may; raises an error that it cannot help."""
        self.doubt = error
        self.doubts += 1
        if isinstance(error, _DENIED):
            raise self.denied(error) from error
        told = lasting(error)
        if told is not None:
            raise told from error
        return None

    def denied(self, error: Exception) -> TargetError:
        return TargetError(
            f"the catalog refuses the commit to {self.plan.name}: {first_line(error)}",
            hint="the catalog does not take what was sent: report it with the catalog's version"
            if isinstance(error, BadRequestError)
            else "check the catalog's credentials",
        )

    def fresh(self) -> tuple[Catalog, Table | None]:
        """The table as it is now, and the catalog to change it by.

        Over a new connection where the catalog is a file: an open one would still see a database that was deleted.
        """
        database = _database(self.catalog)
        if database is not None:
            engine = getattr(self.catalog, "engine", None)
            if engine is not None:
                engine.dispose()
            if not database.exists():
                raise TargetError(
                    f"the catalog '{database}' was removed while this run was reading; nothing was committed",
                    hint="restore it, or run again to start anew",
                )
        catalog = self.catalog.pinned() if isinstance(self.catalog, Versioned) else self.catalog
        return catalog, load(catalog, self.plan.identifier)

    def check_rival(self, table: Table | None) -> None:
        plan = self.plan
        found = newest_token(table.properties, plan.token_key) if table is not None else None
        if plan.check_expected and found != plan.expected:
            raise CommitConflict(
                f"another run of this job committed to {plan.name} while this one was reading; this one changed nothing",
                hint="run again: it goes on from what the other run committed",
            )

    def landed(self) -> bool | None:
        """Whether our token stands in the table; None when the catalog cannot be asked."""
        try:
            table = load(self.catalog, self.plan.identifier)
        except Exception:  # noqa: BLE001 - whatever it is, the answer is "unknown"
            self.blind = True
            return None
        self.blind = False
        return table is not None and self.plan.token in tokens(table.properties, self.plan.token_key)

    def last_look(self) -> Landed:
        """What is to be said after the last round; a catalog that has just been silent is not asked again."""
        landed = None if self.blind else self.landed()
        if landed is False:
            self.clean()
        if landed:
            table = self.catalog.load_table(self.plan.identifier)
            return Landed(table, snapshot_of(table, self.plan.token), self.tries)
        if self.unsure or self.refused is not None:
            raise self.unknown(self.doubt)
        reason = first_line(self.doubt) if self.doubt is not None else "no reason given"
        if self.blind:
            raise TargetError(
                f"the catalog does not answer; nothing was committed to {self.plan.name}: {reason}",
                hint="run again when the catalog is back",
            )
        raise TargetError(
            f"the commit to {self.plan.name} was refused {self.tries} times; nothing was committed: {reason}",
            hint="other writers keep the table or its catalog busy; run again",
        )

    def unknown(self, doubt: BaseException | None) -> CommitUnknown:
        return CommitUnknown(
            f"the catalog does not answer whether the commit to {self.plan.name} landed: "
            f"{first_line(doubt) if doubt is not None else 'no reason given'}",
            hint="run again when the catalog is back: a run that landed is recognised and not repeated",
        )


def _database(catalog: Catalog) -> Path | None:
    """The file of a catalog on SQLite, else None."""
    return sqlite_file(catalog.properties["uri"]) if catalog.properties.get("type") == "sql" else None
