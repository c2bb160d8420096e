"""The blocks of the drawing: those of `block_names`, so that the rack and the graph call them alike, made fit to be boxes.

A block may not be left and entered again: what lies on the way between two of its nodes joins it, or, where two blocks run
through each other, both are dissolved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.block_names import DEPTH, Chain, block_chains, within
from app.graph.digraph import components


def chains(nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[int, int]]) -> list[Chain]:
    """For each node the blocks around it, the outermost first; nodes without a layer are where their module is."""
    layers = [i for i, node in enumerate(nodes) if node["kind"] == "layer"]
    of_layers = dict(zip(layers, block_chains([nodes[i] for i in layers]), strict=True))
    known = {block for chain in of_layers.values() for block in chain}
    found = [of_layers[i] if i in of_layers else within(str(node.get("module") or ""), known) for i, node in enumerate(nodes)]
    for level in range(DEPTH):
        _make_convex(found, edges, level)
    sizes = Counter(block for chain in found for block in chain)
    return [tuple(b for b in chain if sizes[b] > 1) for chain in found]


def _make_convex(found: list[Chain], edges: Sequence[tuple[int, int]], level: int) -> None:
    """Changes the chains until no block at this level lies on a circle of items."""
    for _ in range(len(found)):
        items = [chain[: level + 1] if len(chain) > level else (*chain, f"#{i}") for i, chain in enumerate(found)]
        arcs = {(items[a], items[b]) for a, b in edges if items[a] != items[b] and items[a][:level] == items[b][:level]}
        circles = [c for c in components(sorted(set(items)), arcs) if len(c) > 1]
        if not circles:
            return
        for circle in circles:
            _repair(found, items, circle, level)


def _repair(found: list[Chain], items: Sequence[Chain], circle: Sequence[Chain], level: int) -> None:
    blocks = [item for item in circle if not item[-1].startswith("#")]
    for i, item in enumerate(items):
        if item not in circle:
            continue
        if len(blocks) == 1:
            found[i] = blocks[0] if len(found[i]) <= level else found[i]
        elif len(found[i]) > level:
            found[i] = found[i][:level]
