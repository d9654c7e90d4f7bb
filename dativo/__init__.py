"""Local-first dataflow engine for ingestion: YAML in, governed Iceberg tables and LLM-ready Markdown-KV out.

    from dativo import load_job, plan, sync, preview

    job = load_job("jobs/demo/employees.yaml")
    receipt = sync(job)

Names are imported when they are first used: importing `dativo` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dativo.config.resolve import ResolvedJob
    from dativo.config.secrets import SecretManager, Secrets
    from dativo.errors import ConfigError, DativoError, Problem
    from dativo.observe.listener import Listener
    from dativo.pipeline.check import Checked, Finding, check
    from dativo.pipeline.difference import ColumnChange, RunDiff, diff_runs
    from dativo.pipeline.discover import (
        DraftFile,
        discover,
        source_of_connector,
        source_of_job,
        write_drafts,
    )
    from dativo.pipeline.doctor import Check, doctor
    from dativo.pipeline.explain import JobOutline, StreamOutline, explain
    from dativo.pipeline.export import Exported, export
    from dativo.pipeline.fleet import Ended, RunOptions, Watch, run_jobs
    from dativo.pipeline.jobs import find_jobs, load_job, load_jobs
    from dativo.pipeline.maintain import Left, Maintenance, TableUpkeep, maintain
    from dativo.pipeline.offer import ConnectorOffer, list_connectors
    from dativo.pipeline.preview import Preview, plan, preview
    from dativo.pipeline.rejects import RejectRun, list_rejects, show_rejects
    from dativo.pipeline.run import sync
    from dativo.pipeline.run_names import RunDetail, show_run
    from dativo.pipeline.runs import TableRun, list_runs
    from dativo.pipeline.skeleton import init
    from dativo.pipeline.startup import Announcer, Started, StartOptions, startup
    from dativo.pipeline.states import JobState, Reset, plan_reset, rebuild_state, reset_state, show_state
    from dativo.pipeline.tables import Shown, find_table, show_table
    from dativo.pipeline.validate import Validation, validate
    from dativo.receipt import Receipt, StreamReceipt
    from dativo.secret_managers.choice import secret_manager
    from dativo.sources.discovery import FoundColumn, FoundStream

__version__ = "0.1.0"

__all__ = [
    "Announcer",
    "Check",
    "Checked",
    "ColumnChange",
    "ConfigError",
    "ConnectorOffer",
    "DativoError",
    "DraftFile",
    "Ended",
    "Exported",
    "Finding",
    "FoundColumn",
    "FoundStream",
    "JobOutline",
    "JobState",
    "Left",
    "Listener",
    "Maintenance",
    "Preview",
    "Problem",
    "Receipt",
    "RejectRun",
    "Reset",
    "ResolvedJob",
    "RunDetail",
    "RunDiff",
    "RunOptions",
    "SecretManager",
    "Secrets",
    "Shown",
    "StartOptions",
    "Started",
    "StreamOutline",
    "StreamReceipt",
    "TableRun",
    "TableUpkeep",
    "Validation",
    "Watch",
    "__version__",
    "check",
    "diff_runs",
    "discover",
    "doctor",
    "explain",
    "export",
    "find_jobs",
    "find_table",
    "init",
    "list_connectors",
    "list_rejects",
    "list_runs",
    "load_job",
    "load_jobs",
    "maintain",
    "plan",
    "plan_reset",
    "preview",
    "rebuild_state",
    "reset_state",
    "run_jobs",
    "secret_manager",
    "show_rejects",
    "show_run",
    "show_state",
    "show_table",
    "source_of_connector",
    "source_of_job",
    "startup",
    "sync",
    "validate",
    "write_drafts",
]

_WHERE = {
    "Announcer": "dativo.pipeline.startup",
    "Check": "dativo.pipeline.doctor",
    "Checked": "dativo.pipeline.check",
    "ColumnChange": "dativo.pipeline.difference",
    "ConfigError": "dativo.errors",
    "ConnectorOffer": "dativo.pipeline.offer",
    "DativoError": "dativo.errors",
    "DraftFile": "dativo.pipeline.discover",
    "Ended": "dativo.pipeline.fleet",
    "Exported": "dativo.pipeline.export",
    "Finding": "dativo.pipeline.check",
    "FoundColumn": "dativo.sources.discovery",
    "FoundStream": "dativo.sources.discovery",
    "JobOutline": "dativo.pipeline.explain",
    "JobState": "dativo.pipeline.states",
    "Left": "dativo.pipeline.maintain",
    "Listener": "dativo.observe.listener",
    "Maintenance": "dativo.pipeline.maintain",
    "Preview": "dativo.pipeline.preview",
    "Problem": "dativo.errors",
    "Receipt": "dativo.receipt",
    "RejectRun": "dativo.pipeline.rejects",
    "Reset": "dativo.pipeline.states",
    "ResolvedJob": "dativo.config.resolve",
    "RunDetail": "dativo.pipeline.run_names",
    "RunDiff": "dativo.pipeline.difference",
    "RunOptions": "dativo.pipeline.fleet",
    "SecretManager": "dativo.config.secrets",
    "Secrets": "dativo.config.secrets",
    "Shown": "dativo.pipeline.tables",
    "StartOptions": "dativo.pipeline.startup",
    "Started": "dativo.pipeline.startup",
    "StreamOutline": "dativo.pipeline.explain",
    "StreamReceipt": "dativo.receipt",
    "TableRun": "dativo.pipeline.runs",
    "TableUpkeep": "dativo.pipeline.maintain",
    "Validation": "dativo.pipeline.validate",
    "Watch": "dativo.pipeline.fleet",
    "check": "dativo.pipeline.check",
    "diff_runs": "dativo.pipeline.difference",
    "discover": "dativo.pipeline.discover",
    "doctor": "dativo.pipeline.doctor",
    "explain": "dativo.pipeline.explain",
    "export": "dativo.pipeline.export",
    "find_jobs": "dativo.pipeline.jobs",
    "find_table": "dativo.pipeline.tables",
    "init": "dativo.pipeline.skeleton",
    "list_connectors": "dativo.pipeline.offer",
    "list_rejects": "dativo.pipeline.rejects",
    "list_runs": "dativo.pipeline.runs",
    "load_job": "dativo.pipeline.jobs",
    "load_jobs": "dativo.pipeline.jobs",
    "maintain": "dativo.pipeline.maintain",
    "plan": "dativo.pipeline.preview",
    "plan_reset": "dativo.pipeline.states",
    "preview": "dativo.pipeline.preview",
    "rebuild_state": "dativo.pipeline.states",
    "reset_state": "dativo.pipeline.states",
    "run_jobs": "dativo.pipeline.fleet",
    "secret_manager": "dativo.secret_managers.choice",
    "show_rejects": "dativo.pipeline.rejects",
    "show_run": "dativo.pipeline.run_names",
    "show_state": "dativo.pipeline.states",
    "show_table": "dativo.pipeline.tables",
    "source_of_connector": "dativo.pipeline.discover",
    "source_of_job": "dativo.pipeline.discover",
    "startup": "dativo.pipeline.startup",
    "sync": "dativo.pipeline.run",
    "validate": "dativo.pipeline.validate",
    "write_drafts": "dativo.pipeline.discover",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'dativo' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
