"""The trunk of a drawing: the path along which the data run, past gates and shortcuts beside it.

From the output upwards: a node's main input is the one that brings most values; of those that bring about as many, the one
with the longest way behind it, so a sum is reached through its branch and not through its shortcut.
"""
from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from app.graph.digraph import longest_path

ALIKE = 0.25  # of the most values: a gate brings far fewer, a skip connection about as many


def trunk(drawing: Mapping[str, Any]) -> frozenset[int]:
    """The drawn edges on it; from the output that is furthest down."""
    nodes, edges = drawing["nodes"], drawing["edges"]
    depth = longest_path(range(len(nodes)), [(e["from"], e["to"]) for e in edges])
    into: dict[int, list[int]] = {}
    for i, edge in enumerate(edges):
        into.setdefault(edge["to"], []).append(i)
    ends = [i for i, node in enumerate(nodes) if node["kind"] == "output"] or list(range(len(nodes)))
    at, found = max(ends, key=lambda i: depth[i], default=-1), set()
    while (here := into.get(at)) is not None:
        values = {i: _values(nodes[edges[i]["from"]]) for i in here}
        most = max(values.values())
        best = max((i for i in here if values[i] >= ALIKE * most), key=lambda i: (depth[edges[i]["from"]], values[i], -i))
        found.add(best)
        at = edges[best]["from"]
    return frozenset(found)


def _values(node: Mapping[str, Any]) -> int:
    """How many values a node makes for one sample; axes without a size count once."""
    return prod(max(1, int(size)) for size in node["shape"][1:] if isinstance(size, int))
