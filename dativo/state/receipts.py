"""Receipts of a job's last runs, kept beside the state: what is known of runs that committed nothing, too."""

from __future__ import annotations

from pathlib import Path

from dativo.config.resolve import ResolvedJob
from dativo.errors import StateError
from dativo.receipt import Receipt, as_builtins, receipt_from_json
from dativo.state.store import state_root, write_json

KEPT = 50


def receipts_folder(job: ResolvedJob) -> Path:
    return state_root(job) / job.tenant_id / "runs" / job.name


def keep_receipt(job: ResolvedJob, receipt: Receipt) -> None:
    """Keeps a receipt, and no more than the last 50 of the job. Raises StateError."""
    folder = receipts_folder(job)
    write_json(folder / f"{receipt.run_id}.json", as_builtins(receipt))
    try:
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"old receipts cannot be removed: {error.strerror}") from None


def receipts(job: ResolvedJob, *, of: str | None = None) -> list[Receipt]:
    """The receipts that are kept, the newest first; what cannot be read is left out.

    `of` names another job of the same tenant and state folder.
    """
    folder = receipts_folder(job) if of is None else receipts_folder(job).parent / of
    found = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            found.append(receipt_from_json(path.read_text(encoding="utf-8")))
        except (OSError, StateError, UnicodeDecodeError):
            continue
    return found


def jobs_with_receipts(job: ResolvedJob) -> list[str]:
    """The jobs of the job's tenant that have kept receipts, by name."""
    return sorted(p.name for p in receipts_folder(job).parent.glob("*") if p.is_dir())
