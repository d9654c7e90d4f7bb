"""Documents that may stand below a key of their own, as `runner:`, or bare."""

from __future__ import annotations

from dativo.config.nodes import Node
from dativo.config.problems import Problems


def below(node: Node, key: str, problems: Problems) -> tuple[Node, str]:
    """The document itself and the path that leads to it; what stands beside the key is noted."""
    inner = node.get(key)
    if inner is None:
        return node, ""
    for other in node.value:
        if other not in (key, "$schema"):
            problems.warn(
                f"'{other}' stands beside '{key}' and is not read",
                node.keys[other],
                other,
                f"put it below '{key}'",
                code="config_unknown_key",
            )
    return inner, key
