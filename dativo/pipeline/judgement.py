"""Whether a run may commit what it has loaded: what its mode says of the rows that broke the contract."""

from __future__ import annotations

from dativo.config.resolve import ResolvedJob, StreamConfig
from dativo.errors import ContractError
from dativo.receipt import StreamReceipt


def refused(job: ResolvedJob, stream: StreamConfig, receipt: StreamReceipt) -> ContractError | None:
    """Why the mode does not let the run of a stream commit, or None."""
    mode = job.validation_mode
    show = f"dativo rejects show {job.name}"
    if mode == "strict" and receipt.violations:
        return ContractError(
            f"{receipt.violations} of {receipt.extracted} rows break {receipt.contract}; nothing was committed "
            "(schema_validation_mode is strict)",
            hint=f"see them with `{show}`, or set the mode to quarantine to load the good rows",
        )
    if mode == "quarantine" and receipt.rejected:
        limit = stream.max_rejects
        if limit is not None and not limit.allows(receipt.rejected, receipt.extracted):
            return ContractError(
                f"{receipt.rejected} of {receipt.extracted} rows were rejected, more than max_rejects {limit} allows; "
                "nothing was committed",
                hint=f"see them with `{show}`, then mend the data or raise max_rejects",
            )
        if receipt.rejected == receipt.extracted:
            return ContractError(
                f"none of {receipt.extracted} rows was good; nothing was committed", hint=f"see why with `{show}`"
            )
    return None
