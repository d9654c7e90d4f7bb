"""How a job tells what is new: its strategy after all defaults, and what the strategy needs."""

from __future__ import annotations

import msgspec

from dativo.config.job import Incremental, Source, Strategy
from dativo.config.problems import Problems
from dativo.config.relations import DATABASES
from dativo.config.sides import Side

FILE_STRATEGIES = ("file_modified_time",)
SHEET_STRATEGIES = ("spreadsheet_modified_time",)
CURSOR_STRATEGIES = ("updated_at", "created", "updated_after")


def resolve_incremental(source: Side[Source], problems: Problems) -> Incremental | None:
    """The job's incremental loading with its strategy, or None for a full load; mistakes go to `problems`."""
    block = source.spec.incremental
    if block is None:
        return None
    strategy = _strategy(block, source, problems)
    if strategy is None or strategy == "full_refresh":
        return None
    if source.connector is not None and not source.connector.supports_incremental:
        problems.add(
            f"connector '{source.type}' cannot load incrementally",
            source.node.mark_of("incremental"),
            "source.incremental",
            "remove the incremental block",
        )
        return None
    if not _has_what_it_needs(strategy, block, source, problems):
        return None
    return msgspec.structs.replace(block, strategy=strategy, lookback_days=block.lookback_days or 0)


def _strategy(block: Incremental, source: Side[Source], problems: Problems) -> Strategy | None:
    where = "source.incremental.strategy"
    default = source.connector.incremental_strategy_default if source.connector else None
    strategy: Strategy | None = block.strategy
    if strategy is None or strategy == "incremental":
        strategy = default
    if strategy is None:
        problems.add(
            "no incremental strategy: neither the job, the recipe nor the registry gives one",
            source.node.mark_of("incremental"),
            where,
            "add `strategy: updated_at`, or remove the incremental block",
        )
    if strategy == "cdc":
        problems.add(
            "strategy 'cdc' is not supported",
            source.node.mark_of("incremental", "strategy"),
            where,
            "use updated_at with lookback_days, or full_refresh",
        )
        return None
    of_other = strategy in FILE_STRATEGIES and default is not None and default not in FILE_STRATEGIES
    of_other = of_other or (strategy in SHEET_STRATEGIES and source.type in DATABASES)
    if of_other:
        problems.add(
            f"connector '{source.type}' has no strategy '{strategy}'",
            source.node.mark_of("incremental", "strategy"),
            where,
            f"it has {', '.join(CURSOR_STRATEGIES)} and full_refresh"
            if source.type in DATABASES
            else f"its own is '{default}'",
        )
        return None
    return strategy


def _has_what_it_needs(strategy: Strategy, block: Incremental, source: Side[Source], problems: Problems) -> bool:
    spec = source.spec
    mark = source.node.mark_of("incremental")
    if strategy in CURSOR_STRATEGIES and not _names_cursor(block, source):
        problems.add(
            f"strategy '{strategy}' needs a cursor_field",
            mark,
            "source.incremental.cursor_field",
            "name the column that grows, as `cursor_field: updated_at`, or null for a full load",
        )
        return False
    if strategy in FILE_STRATEGIES and not (spec.files or spec.folder_id or spec.query or spec.prefix or spec.pattern):
        problems.add(f"strategy '{strategy}' needs files", mark, "source.files", "add `files: [{path: data/*.csv}]`")
        return False
    if strategy in SHEET_STRATEGIES and not (spec.sheets or spec.spreadsheet_id):
        problems.add(f"strategy '{strategy}' needs sheets", mark, "source.sheets", "add `sheets: [{id: …}]`")
        return False
    return True


def _names_cursor(block: Incremental, source: Side[Source]) -> bool:
    """Whether a cursor is named anywhere; a null in the job says "load fully" on purpose."""
    own = source.node.at("incremental", "cursor_field") or source.node.at("incremental", "cursor_field_default")
    tables, queries = source.spec.tables or [], source.spec.queries or []
    of_entries = any(t.cursor_field for t in tables) or any(q.cursor_field for q in queries)
    return block.cursor_field is not None or own is not None or of_entries
