"""Groups of nodes that are one operation to a person and to a device, fused or written out.

`find_patterns` names LayerNorm, RMSNorm, Gelu, L2Norm, HardSwish, SiLU, MatMulAdd (a bias behind a
MatMul), MaskedSoftmax, ConvBnAct and Residual. A node belongs to at most one pattern of the first
eight kinds; the last two only describe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph.formulas import BIAS, FORMULAS, FUSED, Kind
from engine.graph.layers import constant_shape, weight_index
from engine.graph.masks import masked_scores
from engine.graph.matching import Leaf, Match, Op, find_match

ACTIVATIONS = ("Relu", "Clip", "PRelu", "LeakyRelu", "HardSwish", "Sigmoid", "HardSigmoid", "Tanh", "Elu")


@dataclass(frozen=True)
class Pattern:
    """A recognized group.

    Attributes:
        kind: what it computes.
        nodes: names of its nodes, in graph order.
        inputs: the activation tensors it reads from outside (a mask is not among them).
        output: the tensor it makes.
        weight: its scale (norms) or weight (MatMulAdd), an initializer, if it has one.
        bias: its shift, an initializer, if it has one.
        mask: the additive or Where mask of a MaskedSoftmax.
    """

    kind: Kind
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    weight: str | None = None
    bias: str | None = None
    mask: str | None = None


def find_patterns(graph: ir.Graph) -> tuple[Pattern, ...]:
    """All patterns of a graph, in the order of their outputs."""
    order = {id(node): i for i, node in enumerate(graph)}
    found: list[tuple[int, Pattern]] = []
    taken: set[int] = set()
    for node in reversed(list(graph)):
        if id(node) in taken or not node.outputs:
            continue
        made = _pattern_at(node, order, taken)
        if made is not None:
            pattern, nodes = made
            taken.update(id(n) for n in nodes)
            found.append((order[id(node)], pattern))
    for node in graph:
        described = (_conv_bn_act(node), _residual(node) if id(node) not in taken else None)
        found.extend((order[id(node)], p) for p in described if p is not None)
    return tuple(pattern for _, pattern in sorted(found, key=lambda item: item[0]))


def _pattern_at(node: ir.Node, order: dict[int, int], taken: set[int]) -> tuple[Pattern, list[ir.Node]] | None:
    """The pattern that ends at a node, with its nodes."""
    if node.op_type in FUSED:
        return _fused(node), [node]
    for kind, match in _matches(node):
        if not any(id(n) in taken for n in match.nodes):
            nodes = sorted(match.nodes, key=lambda n: order[id(n)])
            return _record(kind, match, nodes, node.outputs[0]), nodes
    return None


def _matches(node: ir.Node) -> Iterable[tuple[Kind, Match]]:
    masked = masked_scores(node)
    if masked is not None:
        yield "MaskedSoftmax", masked
    bias = _matmul_add(node)
    if bias is not None:
        yield "MatMulAdd", bias
    for kind, term in FORMULAS:
        match = find_match(term, node.outputs[0])
        if match is not None:
            yield kind, match


def _record(kind: Kind, match: Match, nodes: list[ir.Node], output: ir.Value) -> Pattern:
    leaves = {key: str(value.name) for key, value in match.leaves.items()}
    inputs = (leaves["x"],) if "x" in leaves else ()
    return Pattern(
        kind,
        tuple(str(n.name) for n in nodes),
        inputs,
        str(output.name),
        leaves.get("weight"),
        leaves.get("bias"),
        leaves.get("mask"),
    )


def _fused(node: ir.Node) -> Pattern:
    constants = [str(v.name) if v is not None and v.const_value is not None else None for v in node.inputs[1:3]] + [
        None,
        None,
    ]
    return Pattern(
        FUSED[node.op_type],
        (str(node.name),),
        (str(node.inputs[0].name),) if node.inputs[0] else (),
        str(node.outputs[0].name),
        constants[0],
        constants[1],
    )


def _matmul_add(node: ir.Node) -> Match | None:
    """A MatMul with a weight whose only reader adds a constant along the last axis."""
    match = find_match(Op("Add", Op("MatMul", Leaf("a"), Leaf("b")), BIAS), node.outputs[0])
    if match is None:
        return None
    product = next(n for n in match.nodes if n.op_type == "MatMul")
    index = weight_index(product)
    if index is None or any(d != 1 for d in constant_shape(match.leaves["bias"])[:-1]):
        return None
    weight, x = product.inputs[index], product.inputs[1 - index]
    assert weight is not None and x is not None
    return Match({"x": x, "weight": weight, "bias": match.leaves["bias"]}, match.nodes)


def _conv_bn_act(node: ir.Node) -> Pattern | None:
    """A Conv and what follows it alone: a BatchNormalization, an activation, or both."""
    if node.op_type not in ("Conv", "ConvTranspose"):
        return None
    nodes = [node]
    for kinds in (("BatchNormalization",), ACTIVATIONS):
        value = nodes[-1].outputs[0]
        uses = list(value.uses())
        if len(uses) == 1 and not value.is_graph_output() and uses[0][0].op_type in kinds and uses[0][1] == 0:
            nodes.append(uses[0][0])
    if len(nodes) == 1 or node.inputs[0] is None:
        return None
    return Pattern(
        "ConvBnAct",
        tuple(str(n.name) for n in nodes),
        (str(node.inputs[0].name),),
        str(nodes[-1].outputs[0].name),
    )


def _residual(node: ir.Node) -> Pattern | None:
    """An Add of two activations, one of which is read elsewhere too: a shortcut."""
    if node.op_type != "Add" or any(v is None or v.const_value is not None for v in node.inputs):
        return None
    values = [v for v in node.inputs if v is not None]
    if values[0] is values[1] or not any(len({id(user) for user, _ in v.uses()}) > 1 for v in values):
        return None
    return Pattern("Residual", (str(node.name),), tuple(str(v.name) for v in values), str(node.outputs[0].name))
