"""Where a graph can be cut into a chain of segments.

Definitions: a node is on the *side* when it depends on no layer's weight (masks, position ids,
shape computations, everything before the first layer); side nodes form segment 0, run once per
batch, whose tensors any segment may read. The other nodes, in execution order, are split where as
few tensors as possible are *live* (produced before and read after the cut).

Rules: 1. a segment has at least `min_nodes` nodes; 2. the first place with exactly one live tensor
is taken, unless the next node is one that ONNX Runtime fuses with what comes before it; 3. where
`max_nodes` nodes offer none, the place with the fewest live tensors is taken.
"""
from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

MIN_NODES, MAX_NODES = 12, 48  # each cut costs about 1 % of a run (layout changes, a call); a larger segment, time to make it
FUSED = frozenset({"BatchNormalization", "Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Add", "Mul"})


@dataclass(frozen=True)
class Segment:
    """A run of nodes. `reads` are tensors made before it, `live` those it or an earlier one hands on past its end."""

    index: int
    nodes: tuple[str, ...]
    produces: tuple[str, ...]
    reads: tuple[str, ...]
    live: tuple[str, ...]
    initializers: tuple[str, ...]


def cut(graph: ir.Graph, weights: frozenset[str], min_nodes: int = MIN_NODES, max_nodes: int = MAX_NODES) -> tuple[Segment, ...]:
    """The graph as segments in execution order; segment 0 is the side and may have no nodes.

    Args:
        weights: the initializers that are weights of layers.
    """
    side, main = _split(graph, weights)
    last_reader = {str(v.name): i for i, node in enumerate(main) for v in node.inputs if v is not None}
    segments = [segment_of(0, side, set())]
    start, live = 0, set[str]()
    for stop in _stops(main, last_reader, min_nodes, max_nodes):
        nodes = main[start:stop]
        live |= {str(v.name) for node in nodes for v in node.outputs}
        live = {name for name in live if last_reader.get(name, -1) >= stop}
        segments.append(segment_of(len(segments), nodes, live))
        start = stop
    return tuple(segments)


def _split(graph: ir.Graph, weights: frozenset[str]) -> tuple[list[ir.Node], list[ir.Node]]:
    dependent: set[int] = set()
    side, main = [], []
    for node in graph:
        if any(v is not None and (v.name in weights or id(v) in dependent) for v in node.inputs):
            dependent.update(id(v) for v in node.outputs)
            main.append(node)
        else:
            side.append(node)
    return side, main


def _stops(main: list[ir.Node], last_reader: dict[str, int], min_nodes: int, max_nodes: int) -> list[int]:
    """Indices at which segments end, by the rules of the module."""
    live: set[str] = set()
    counts = []
    for i, node in enumerate(main):
        live |= {str(v.name) for v in node.outputs}
        live = {name for name in live if last_reader.get(name, -1) > i}
        fused = i + 1 < len(main) and main[i + 1].op_type in FUSED
        counts.append(len(live) + fused)  # a cut inside a fusion costs as much as a second live tensor
    stops, start = [], 0
    while start < len(main):
        stop = _stop(counts, start, min_nodes, max_nodes)
        stops.append(stop)
        start = stop
    return stops


def _stop(counts: list[int], start: int, min_nodes: int, max_nodes: int) -> int:
    total = len(counts)
    places = range(start + min_nodes, min(start + max_nodes, total - min_nodes) + 1)
    for stop in places:  # rule 2
        if counts[stop - 1] == 1:
            return stop
    if total - start <= max_nodes or not places:
        return total
    return min(places, key=lambda stop: counts[stop - 1])  # rule 3


def segment_of(index: int, nodes: list[ir.Node], live: set[str]) -> Segment:
    """A run of nodes with what it reads, makes and hands on."""
    produced = [str(v.name) for node in nodes for v in node.outputs if v.name]
    own = set(produced)
    reads, constants = dict[str, None](), dict[str, None]()
    for node in nodes:
        for value in node.inputs:
            if value is None or value.name in own:
                continue
            (constants if value.const_value is not None else reads)[str(value.name)] = None
    return Segment(index, tuple(str(n.name) for n in nodes), tuple(produced), tuple(reads), tuple(sorted(live)), tuple(constants))
