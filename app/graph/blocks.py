"""Blocks: modules that hold several drawn nodes. They nest, at most `DEPTH` deep, and each can be folded.

A module that holds more than half of the network is the network, not a block; one that holds nearly all of the block
around it says nothing new. A block may not be left and entered again: what lies on the way between two of its nodes
joins it, or, where two blocks run through each other, both are dissolved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.graph.digraph import components

DEPTH = 2
NEARLY = 0.6
Chain = tuple[str, ...]


def chains(nodes: Sequence[Mapping[str, Any]], edges: Sequence[tuple[int, int]]) -> list[Chain]:
    """For each node the blocks around it, the outermost first."""
    paths = [_prefixes(str(n.get("module") or "")) for n in nodes]
    count = Counter(p for path in paths for p in path)
    inner = sum(n["kind"] in ("layer", "op") for n in nodes)
    found = [_chain(path, count, inner) for path in paths]
    for level in range(DEPTH):
        _make_convex(found, edges, level)
    sizes = Counter(block for chain in found for block in chain)
    return [tuple(b for b in chain if sizes[b] > 1) for chain in found]


def _prefixes(module: str) -> list[str]:
    separator = "/" if "/" in module else "."
    parts = module.split(separator) if module else []
    return [separator.join(parts[: i + 1]) for i in range(len(parts))]


def _chain(path: Sequence[str], count: Mapping[str, int], total: int) -> Chain:
    kept: list[str] = []
    for prefix in path:
        if count[prefix] < 2 or len(kept) == DEPTH:
            break
        if 2 * count[prefix] <= total and not (kept and count[prefix] > NEARLY * count[kept[-1]]):
            kept.append(prefix)
    return tuple(kept)


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
