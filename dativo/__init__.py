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
    from dativo.config.resolve import ResolvedJob, load_job
    from dativo.errors import ConfigError, DativoError
    from dativo.pipeline.preview import Preview, plan, preview
    from dativo.pipeline.run import sync
    from dativo.receipt import Receipt, StreamReceipt

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DativoError",
    "Preview",
    "Receipt",
    "ResolvedJob",
    "StreamReceipt",
    "__version__",
    "load_job",
    "plan",
    "preview",
    "sync",
]

_WHERE = {
    "ConfigError": "dativo.errors",
    "DativoError": "dativo.errors",
    "Preview": "dativo.pipeline.preview",
    "Receipt": "dativo.receipt",
    "ResolvedJob": "dativo.config.resolve",
    "StreamReceipt": "dativo.receipt",
    "load_job": "dativo.config.resolve",
    "plan": "dativo.pipeline.preview",
    "preview": "dativo.pipeline.preview",
    "sync": "dativo.pipeline.run",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'dativo' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
