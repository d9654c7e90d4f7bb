"""What `target.engine.options` says of a job's tables."""

from __future__ import annotations

from typing import Any, Literal, get_args

from dativo.config.resolve import ResolvedJob
from dativo.errors import ConfigError, Problem

MEGABYTES = 150
MergeMode = Literal["copy-on-write", "merge-on-read"]


def file_megabytes(job: ResolvedJob) -> int:
    """The size that data files are to have."""
    return int(job.target.parquet_target_size_mb or _options(job).get("max_file_size_mb") or MEGABYTES)


def merge_mode(job: ResolvedJob) -> MergeMode:
    """How rows of a table are changed; ConfigError for a way that there is not."""
    given = _options(job).get("merge_mode", "copy-on-write")
    for mode in get_args(MergeMode):
        if given == mode:
            found: MergeMode = mode
            return found
    field = "target.engine.options.merge_mode"
    hint = "use copy-on-write, which is the default, or merge-on-read"
    raise ConfigError([Problem(f"'{given}' is no way to change rows of a table", job.mark(field), field, hint)])


def _options(job: ResolvedJob) -> dict[str, Any]:
    engine = job.target.engine
    return {} if engine is None or isinstance(engine, str) else engine.options
