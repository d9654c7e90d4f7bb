"""A plan, staged on the table as it is now. Nothing of it is visible before it is handed to the catalog."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from dativo.errors import CommitConflict
from dativo.targets.iceberg.contents import Contents, contents, deleted_rows
from dativo.targets.iceberg.manifests import tiered_append
from dativo.targets.iceberg.overwrite import DELETED, Edit, Overwrite
from dativo.targets.iceberg.plan import Plan, field_ids, tokens
from dativo.targets.iceberg.staged import Staged, stage_schema

KEPT_TOKENS = 8


def stage(catalog: Catalog, table: Table | None, plan: Plan, *, snapshot: bool) -> Staged:
    """All of the plan, staged on the table as it is now; with `snapshot` it makes one even if no file comes or goes.

    Raises CommitConflict when the table's columns or partitioning are no longer those that the data files have.
    """
    try:
        staged = stage_schema(catalog, table, plan)
    except ValueError as error:
        raise _moved(plan, str(error)) from error
    _check_shape(staged.metadata, plan)
    _check_empty(table, plan)
    found = _contents(table, plan)
    edit = _edit(staged, table, plan, found)
    properties = staged.metadata.properties
    kept = tokens(properties, plan.token_key)[: KEPT_TOKENS - 1]
    wanted = {**plan.properties, plan.token_key: ",".join([plan.token, *kept])}
    staged.transaction.set_properties({k: v for k, v in wanted.items() if properties.get(k) != v})
    if not (edit.gone or edit.deletes or edit.added or snapshot):
        return staged
    try:
        if found is None or edit.appends_only:
            producer = tiered_append(staged.transaction, {**plan.summary, **edit.summary})
            for file in edit.added:
                producer.append_data_file(file)
        else:
            producer = Overwrite(staged.transaction, found, edit, plan.summary, keeps_rows=bool(plan.rewrites))
        producer.commit()
    except Exception:
        staged.clean()
        raise
    return staged


def _contents(table: Table | None, plan: Plan) -> Contents | None:
    """What the table holds, where the plan concerns it."""
    if table is None or not (plan.replace or plan.merge or plan.rewrites):
        return None
    return contents(table.current_snapshot(), table.io)


def _edit(staged: Staged, table: Table | None, plan: Plan, found: Contents | None) -> Edit:
    edit = Edit(added=plan.files)
    if plan.rewrites:
        _check_rewrites(plan, found)
        edit.gone = set(plan.rewrites)
    if found is None or table is None:
        return edit
    if plan.replace is not None:
        gone = [live for live in found.files if plan.replace(live.file)]
        edit.gone = {live.file.file_path for live in gone}
        edit.summary = {DELETED: str(sum(live.file.record_count - deleted_rows(live) for live in gone))}
    if plan.merge is not None and found.manifests:
        whole = Table(table.name(), staged.metadata, table.metadata_location, table.io, table.catalog)
        merged = plan.merge.edit(whole, found)
        edit = Edit(set(merged.gone), [*plan.files, *merged.added], merged.deletes, merged.summary)
    edit.gone |= found.idle_deletes(edit.gone)
    return edit


def _check_shape(metadata: TableMetadata, plan: Plan) -> None:
    have = field_ids(metadata.schema())
    moved = [name for name, number in plan.ids.items() if have.get(name) != number]
    if moved:
        raise _moved(plan, ", ".join(moved))
    if plan.written_spec is not None and metadata.spec() != plan.written_spec:
        raise _moved(plan, "its partitioning")


def _check_empty(table: Table | None, plan: Plan) -> None:
    """Raises CommitConflict when a table that the run found without rows has some: its keys were not compared with them."""
    snapshot = table.current_snapshot() if table is not None and plan.fills else None
    if snapshot is not None and snapshot.summary is not None and int(snapshot.summary.get("total-records") or 0):
        raise CommitConflict(
            f"somebody else loaded rows into {plan.name}, which was empty, while this run was reading; this run changed "
            "nothing",
            hint="run again: its keys are compared with what is there then",
        )


def _moved(plan: Plan, what: str) -> CommitConflict:
    return CommitConflict(
        f"the shape of {plan.name} changed while this run was reading ({what}); this run changed nothing",
        hint="run again",
    )


def _check_rewrites(plan: Plan, found: Contents | None) -> None:
    """Raises CommitConflict when a rewritten file left the table, or rows of it were deleted, since it was read."""
    files = {} if found is None else {live.file.file_path: live for live in found.files}
    for path, applied in plan.rewrites.items():
        live = files.get(path)
        known = live is not None and {f.file_path for f in live.deletes} == applied
        if not known or found is None or found.equality_deletes:
            raise CommitConflict(
                f"another run replaced rows of {plan.name} while its files were being rewritten; nothing was changed",
                hint="run it again when no other run is loading the table",
            )
