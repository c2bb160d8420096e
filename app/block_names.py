"""Which blocks a network has and what they are called: one answer for the rack and for the graph.

A block is a module that holds several layers. A module that holds more than half of the network is the network, not a block;
one that holds nearly all of the block around it says nothing new. Blocks nest, at most `DEPTH` deep.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import Any

DEPTH = 2
NEARLY = 0.6
Chain = tuple[str, ...]


def block_chains(layers: Sequence[Mapping[str, Any]]) -> list[Chain]:
    """For each layer the blocks around it, the outermost first; empty where it stands alone."""
    paths = [prefixes(module_of(layer)) for layer in layers]
    count = Counter(p for path in paths for p in path)
    return [_chain(path, count, len(layers)) for path in paths]


def module_of(layer: Mapping[str, Any]) -> str:
    """Where a layer is at home: its module, or its own name."""
    return str(layer.get("module") or layer["name"])


def prefixes(module: str) -> list[str]:
    """A module's path and those of all around it, the outermost first."""
    separator = "/" if "/" in module else "."
    parts = module.split(separator) if module else []
    return [separator.join(parts[: i + 1]) for i in range(len(parts))]


def within(module: str, blocks: Container[str]) -> Chain:
    """The blocks that a module without a layer of its own lies in."""
    return tuple(p for p in prefixes(module) if p in blocks)[:DEPTH]


def _chain(path: Sequence[str], count: Mapping[str, int], total: int) -> Chain:
    kept: list[str] = []
    for prefix in path:
        if count[prefix] < 2 or len(kept) == DEPTH:
            break
        if 2 * count[prefix] <= total and not (kept and count[prefix] > NEARLY * count[kept[-1]]):
            kept.append(prefix)
    return tuple(kept)
