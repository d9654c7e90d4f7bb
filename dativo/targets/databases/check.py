"""What stands between a job and its database: the address, the password, the right to make tables and load them."""

from __future__ import annotations

from typing import Any

from dativo.config.logins import address
from dativo.config.refusals import hinted
from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError
from dativo.targets.databases.commit import session
from dativo.targets.databases.dialects import dialect_of
from dativo.targets.databases.place import place
from dativo.targets.reach import finding


def check(job: ResolvedJob) -> list[dict[str, Any]]:
    """Findings, the first that is not ok being the one to mend first. Nothing is made but what is taken back."""
    dialect, connection = dialect_of(job), job.connections["target"]
    found: list[dict[str, Any]] = []
    try:
        with session(dialect, connection) as opened:
            where = f"{connection.get('database')} at {address(connection)}"
            found.append(finding("database", True, f"{where} lets {connection.get('user') or 'the user'} in"))
            places = [place(job, stream, dialect) for stream in job.streams]
            for schema in dict.fromkeys(p.schema for p in places):
                inside = next(p for p in places if p.schema == schema)
                found.append(finding("rights", True, dialect.try_rights(opened, inside)))
    except DativoError as error:
        problem = error.problems()[0]
        name = "rights" if found else "database"
        retryable = not getattr(error, "lasting", False)
        found.append(finding(name, False, problem.message, hinted(error), code=error.code, retryable=retryable))
    return found
