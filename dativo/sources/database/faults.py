"""What is said of a relation that is not as the job has it, with the place in the job that names it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dativo.config.resolved import Relation, ResolvedJob
from dativo.errors import SourceError, listed, nearest
from dativo.sources.database.names import shown


def absent(job: ResolvedJob, relation: Relation, place: str, known: Sequence[str]) -> SourceError:
    """That a table or view is not there; `known` are those that are, as the job would name them."""
    guess = nearest(shown(relation), known)
    there = f"it has: {listed(sorted(known))}" if known else "it has no tables"
    own = f"{relation.field}.name"
    field = own if own in job.marks else relation.field
    return SourceError(
        f"{place} has no table or view '{shown(relation)}'",
        hint=f"did you mean '{guess}'?" if guess else there,
        mark=job.mark(field),
        field=field,
    )


@contextmanager
def marked(job: ResolvedJob, field: str) -> Iterator[None]:
    """Gives errors of the source, which know no place in the job, that of a field."""
    try:
        yield
    except SourceError as error:
        if error.mark is None:
            error.mark, error.field = job.mark(field), field
        raise
