"""The shapes of the `observability` block that are in use, brought into the one that the structs describe.

The one: `{aws: {…}, gcp: {…}}`. The others: `{provider: aws|gcp, metrics_enabled, logs_enabled, aws: {…}, gcp: {…}}`, and
`{enabled, provider: aws_cloudwatch|gcp_cloud_monitoring, config: {…}, metrics: {…}}`.
"""

from __future__ import annotations

from dativo.config.nodes import Node, map_of, scalar_of

_PROVIDERS = {"aws": "aws", "aws_cloudwatch": "aws", "gcp": "gcp", "gcp_cloud_monitoring": "gcp"}
_RENAMED = {
    "cloudwatch_namespace": "metrics_namespace",
    "namespace": "metrics_namespace",
    "dimensions": "metric_dimensions",
}
LOG_GROUP = "/dativo/jobs"


def one_shape(head: Node) -> Node:
    """A job's document whose `observability` is in the one shape; what is no map is left for decoding to refuse."""
    block = head.get("observability")
    if block is None or block.kind != "map":
        return head
    provider = block.get("provider")
    if provider is None or provider.text not in _PROVIDERS:
        return head
    name = _PROVIDERS[provider.text]
    inner = block.get("config") or block.get(name) or map_of({}, block.mark)
    if inner.kind != "map":
        return head
    entries = {_RENAMED.get(k, k): v for k, v in inner.value.items()}
    enabled = block.get("enabled")
    if enabled is not None:
        entries.setdefault("enabled", enabled)
    metrics = block.get("metrics_enabled")
    if metrics is not None and metrics.value is False:
        entries.pop("metrics_namespace", None)
    if name == "aws":
        entries.setdefault("log_group", scalar_of(LOG_GROUP, inner.mark))
    known = ("provider", "config", "enabled", "metrics", "metrics_enabled", "logs_enabled", "aws", "gcp")
    rest = {k: v for k, v in block.value.items() if k not in known}
    return head.having({**head.value, "observability": block.having({**rest, name: inner.having(entries)})})
