"""Groups of nodes that a target runs as one op: one-op patterns first, then supergroups over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph import Model
from engine.graph.layers import RECURRENT, constant_shape, weight_index
from engine.graph.patterns import Pattern, find_patterns
from engine.targets.facts import Target

# What a pattern is to the rules that go by op type. A MatMul stays one with its bias.
OP_OF_PATTERN = {
    "LayerNorm": "LayerNormalization",
    "RMSNorm": "RMSNormalization",
    "Gelu": "Gelu",
    "L2Norm": "LpNormalization",
    "HardSwish": "HardSwish",
    "SiLU": "Swish",
    "MatMulAdd": "MatMul",
    "MaskedSoftmax": "Softmax",
}
WORDS = {
    "LayerNorm": "a layer normalization",
    "RMSNorm": "an RMS normalization",
    "Gelu": "a GELU",
    "L2Norm": "an L2 normalization",
    "HardSwish": "a hard swish",
    "SiLU": "a SiLU",
    "MatMulAdd": "a MatMul with its bias",
    "MaskedSoftmax": "a masked softmax",
}


@dataclass(frozen=True)
class Unit:
    """Nodes that run as one op, in graph order.

    Attributes:
        nodes: the nodes.
        output: what leaves the unit.
        op_type: the op that rules see: of the pattern, or of the last node.
        first_type: that of its first part, which starts a supergroup.
        pattern: the one-op pattern that it is (not of a supergroup that holds one).
        excluded: why it may not start a supergroup although one would match.
    """

    nodes: tuple[ir.Node, ...]
    output: ir.Value
    op_type: str
    first_type: str
    pattern: Pattern | None = None
    excluded: str = ""

    @property
    def name(self) -> str:
        return str(self.nodes[-1].name)


def find_units(model: Model, target: Target) -> tuple[list[Unit], tuple[Pattern, ...]]:
    """All nodes of the graph as units, in the order of their outputs, and the patterns among them."""
    order = {str(node.name): i for i, node in enumerate(model.graph)}
    patterns = tuple(p for p in find_patterns(model.graph) if p.kind in target.one_op_patterns)
    units: dict[str, Unit] = {}
    for pattern in patterns:
        unit = _unit_of(model, pattern)
        units.update((str(node.name), unit) for node in unit.nodes)
    for node in model.graph:
        if str(node.name) not in units and node.outputs:
            units[str(node.name)] = Unit((node,), node.outputs[0], node.op_type, node.op_type)
    for node in model.graph:
        start = units.get(str(node.name))
        if start is not None and start.nodes[0] is node:
            merged = _supergroup(start, units, target)
            units.update((str(n.name), merged) for n in merged.nodes)
    found = {id(unit): unit for unit in units.values()}
    return sorted(found.values(), key=lambda u: order[u.name]), patterns


def _unit_of(model: Model, pattern: Pattern) -> Unit:
    nodes = tuple(model.nodes[name] for name in pattern.nodes)
    kind = OP_OF_PATTERN[pattern.kind]
    return Unit(nodes, model.values[pattern.output], kind, kind, pattern)


def _supergroup(start: Unit, units: dict[str, Unit], target: Target) -> Unit:
    """The longest supergroup that starts at a unit; the unit itself where none does."""
    best: list[Unit] = []
    for chain in target.supergroups:
        parts = _follow(start, chain, units)
        if len(parts) > len(best):
            best = parts
    if not best:
        return start
    why = _exclusion(start, target)
    if why:
        return Unit(
            start.nodes,
            start.output,
            start.op_type,
            start.first_type,
            start.pattern,
            f"{why} {best[1].op_type}",
        )
    nodes = tuple(node for unit in best for node in unit.nodes)
    return Unit(nodes, best[-1].output, best[-1].op_type, start.first_type)


def _follow(start: Unit, chain: Iterable[frozenset[str]], units: dict[str, Unit]) -> list[Unit]:
    """The units along a chain of op types, each the only reader of the one before; empty when it breaks."""
    parts: list[Unit] = []
    for kinds in chain:
        unit = start if not parts else _only_reader(parts[-1], units)
        if (
            unit is None
            or unit.op_type not in kinds
            or (parts and len(unit.nodes) > 1 and unit.pattern is None)
        ):
            return []
        parts.append(unit)
    return parts


def _only_reader(unit: Unit, units: dict[str, Unit]) -> Unit | None:
    value = unit.output
    readers = {
        id(found): found for user, _ in value.uses() if (found := units.get(str(user.name))) is not None
    }
    if value.is_graph_output() or len(readers) != 1:
        return None
    reader = next(iter(readers.values()))
    # The chain runs through data: a slope or bound that is computed is no part of it.
    first = {id(v) for node in reader.nodes[:1] for v in node.inputs[:1]}
    return reader if id(value) in first else None


def _exclusion(unit: Unit, target: Target) -> str:
    """Why a target keeps this unit out of supergroups, up to the name of the op behind it."""
    node = unit.nodes[0]
    if node.op_type != "Conv" or weight_index(node) is None:
        return ""
    shape = constant_shape(node.inputs[1])
    group = node.attributes.get("group")
    if (
        "depthwise" in target.supergroup_exclusions
        and group is not None
        and group.as_int() > 1
        and shape[1] == 1
    ):
        return "a depthwise Conv keeps its own quantizer before the"
    if "conv3d" in target.supergroup_exclusions and len(shape) == 5:
        return "a Conv3D keeps its own quantizer before the"
    return ""


def describe(unit: Unit) -> str:
    """`output of Conv features.0, fused with Clip relu: …`, the reason at the tensor that leaves a unit."""
    first, rest = unit.nodes[0], unit.nodes[1:]
    if unit.pattern is not None and rest:
        return f"output of {WORDS[unit.pattern.kind]} ({first.name} to {unit.name}), which runs as one op"
    text = f"output of {first.op_type} {first.name}"
    if rest:
        names = ", ".join(f"{n.op_type} {n.name}" for n in rest[:4])
        return f"{text}, fused with {names}: only the last output of the supergroup is quantized"
    return f"{text}: {unit.excluded}" if unit.excluded else text


def describe_inner(unit: Unit, node: ir.Node) -> str:
    """The reason at a tensor inside a unit."""
    if unit.pattern is not None:
        return f"output of {node.op_type} {node.name} inside {WORDS[unit.pattern.kind]}, which runs as one op up to {unit.name}"
    return (
        f"output of {node.op_type} {node.name}, fused with {unit.nodes[-1].op_type} {unit.name}: only the last output of the "
        "supergroup is quantized"
    )


def is_recurrent(node: ir.Node | None) -> bool:
    """Whether a node is an LSTM, GRU or RNN."""
    return node is not None and node.op_type in RECURRENT
