"""What stands between a job and its object store: the endpoint, the bucket, the right to write there."""

from __future__ import annotations

from typing import Any

from dativo.config.resolve import ResolvedJob
from dativo.errors import DativoError
from dativo.targets.objects.located import store_of
from dativo.targets.reach import finding


def check(job: ResolvedJob) -> list[dict[str, Any]]:
    """Findings, the first that is not ok being the one to mend first. Nothing is made but objects that are removed."""
    try:
        store = store_of(job)
        store.check(conditions=True)
    except DativoError as error:
        problem = error.problems()[0]
        retryable = not getattr(error, "refused", True)
        return [finding("store", False, problem.message, problem.hint, code=error.code, retryable=retryable)]
    return [finding("store", True, f"{store.uri(store.prefix)} can be written")]
