"""Groups of nodes that are one operation to a person and to a device, fused or written out.

`find_patterns` names LayerNorm, RMSNorm, Gelu, L2Norm, HardSwish, SiLU, MatMulAdd (a bias behind a
MatMul), MaskedSoftmax, ConvBnAct and Residual. A node belongs to at most one pattern of the first
eight kinds; the last two only describe.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from engine.graph.layers import constant_shape, weight_index
from engine.graph.masks import masked_scores
from engine.graph.matching import Leaf, Match, OneOf, Op, Scalar, Term, find_match

Kind = Literal[
    "LayerNorm",
    "RMSNorm",
    "Gelu",
    "L2Norm",
    "HardSwish",
    "SiLU",
    "MatMulAdd",
    "MaskedSoftmax",
    "ConvBnAct",
    "Residual",
]
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


X = Leaf("x", constant=False)
WEIGHT, BIAS = Leaf("weight", constant=True), Leaf("bias", constant=True)


def _with(core: Term) -> tuple[Term, ...]:
    """A normalization with scale and shift, with scale, and bare."""
    return Op("Add", Op("Mul", core, WEIGHT), BIAS), Op("Mul", core, WEIGHT), core


def _square(x: Term) -> Term:
    return OneOf(Op("Pow", x, Scalar(2)), Op("Mul", x, x))


_CENTRED = Op("Sub", X, Op("ReduceMean", X))
_DEVIATION = Op(
    "Sqrt",
    OneOf(Op("Add", Op("ReduceMean", _square(_CENTRED)), Scalar()), Op("ReduceMean", _square(_CENTRED))),
)
_LAYER_NORM = OneOf(Op("Div", _CENTRED, _DEVIATION), Op("Mul", _CENTRED, Op("Reciprocal", _DEVIATION)))
_MEAN_SQUARE = Op("Add", Op("ReduceMean", _square(X)), Scalar())
_RMS = Op("Sqrt", _MEAN_SQUARE)
_RMS_NORM = OneOf(
    Op("Div", X, _RMS),
    Op(
        "Mul",
        X,
        OneOf(Op("Reciprocal", _RMS), Op("Div", Scalar(1), _RMS), Op("Pow", _MEAN_SQUARE, Scalar(-0.5))),
    ),
)
_L2 = OneOf(Op("ReduceL2", X), Op("Sqrt", Op("ReduceSum", _square(X))), Op("Sqrt", Op("ReduceSumSquare", X)))
_L2_SAFE = OneOf(Op("Clip", _L2), Op("Max", _L2, Scalar()), Op("Add", _L2, Scalar()), _L2)
_L2_NORM = Op("Div", X, OneOf(Op("Expand", _L2_SAFE), _L2_SAFE))

_ERF = Op(
    "Add",
    Op("Erf", OneOf(Op("Div", X, Scalar(math.sqrt(2))), Op("Mul", X, Scalar(math.sqrt(0.5))))),
    Scalar(1),
)
_CUBE = OneOf(Op("Pow", X, Scalar(3)), Op("Mul", Op("Mul", X, X), X))
_INNER = Op("Mul", Op("Add", X, Op("Mul", _CUBE, Scalar(0.044715))), Scalar(math.sqrt(2 / math.pi)))
_TANH = Op("Add", Op("Tanh", _INNER), Scalar(1))
_GATE = OneOf(_ERF, _TANH)
_GELU = OneOf(
    Op("Mul", Op("Mul", X, _GATE), Scalar(0.5)),
    Op("Mul", Op("Mul", X, Scalar(0.5)), _GATE),
    Op("Mul", X, Op("Mul", _GATE, Scalar(0.5))),
)
_RELU6 = Op("Clip", Op("Add", X, Scalar(3)), Scalar(0), Scalar(6))
_SIXTH = OneOf(Op("Div", _RELU6, Scalar(6)), Op("Mul", _RELU6, Scalar(1 / 6)))
_HARD_SWISH = OneOf(
    Op("Mul", X, Op("HardSigmoid", X)),
    Op("Mul", X, _SIXTH),
    Op("Div", Op("Mul", X, _RELU6), Scalar(6)),
    Op("Mul", Op("Mul", X, _RELU6), Scalar(1 / 6)),
)
_SILU = Op("Mul", X, OneOf(Op("Sigmoid", X), Op("Sigmoid", Op("Mul", X, Scalar(1.702)))))

# Largest first: the walk goes from the last node to the first, so a scale or shift is met before its core.
FORMULAS: tuple[tuple[Kind, Term], ...] = (
    *(("LayerNorm", term) for term in _with(_LAYER_NORM)),
    *(("RMSNorm", term) for term in _with(_RMS_NORM)[1:]),
    ("L2Norm", _L2_NORM),
    ("Gelu", _GELU),
    ("HardSwish", _HARD_SWISH),
    ("SiLU", _SILU),
)
FUSED: dict[str, Kind] = {
    "LayerNormalization": "LayerNorm",
    "RMSNormalization": "RMSNorm",
    "SimplifiedLayerNormalization": "RMSNorm",
    "Gelu": "Gelu",
    "HardSwish": "HardSwish",
    "Swish": "SiLU",
    "LpNormalization": "L2Norm",
}


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


def _pattern_at(
    node: ir.Node, order: dict[int, int], taken: set[int]
) -> tuple[Pattern, list[ir.Node]] | None:
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
    constants = [
        str(v.name) if v is not None and v.const_value is not None else None for v in node.inputs[1:3]
    ] + [None, None]
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
    return Pattern(
        "Residual", (str(node.name),), tuple(str(v.name) for v in values), str(node.outputs[0].name)
    )
