"""Nodes that read quantized constants, and the gradient of their weight for each sample where it is cheap.

The effect of rounding a weight can be had in two ways, which are equal: `<g, layer(x, q(W) - W)>`, one forward of
the layer for each encoding, or `<G, q(W) - W>` with `G = dL/dW` of each sample, one product for all encodings. The
second is taken where it pays: products over many positions (pointwise Conv, MatMul, Gemm) and several encodings.

A coarse weight moves a layer's output so far that the activation after it bends or cuts the change off. There the change
is followed through the activation, and the gradient is taken behind it: exact in the layer and its activation, linear after.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import onnx_ir as ir
import torch

from engine.graph import Model

Tensor = torch.Tensor
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # in input 0 or 1, without the bias, which is input 2
LARGEST = 24_000_000  # numbers in the weight gradients of one batch
POSITIONS = 4  # a sample: with fewer, a forward pass for each encoding is cheaper
COARSE = 3  # bits of a weight up to which its change is followed through the activation
# Each value for itself, with nothing but constants beside it.
ELEMENTWISE = frozenset(("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSwish", "HardSigmoid",
                         "Sigmoid", "Tanh", "Softplus", "Gelu", "Mish", "BatchNormalization", "Add"))


class Reader:
    """A node and the quantized constants among its inputs.

    Attributes:
        inputs: the tensors that it reads and that are no constants.
        linear: constants in which the node is linear once `zeros` (its bias) are fed.
        after: the tensor behind the activation that alone reads the output; empty where there is none.
    """

    def __init__(self, node: ir.Node, constants: tuple[str, ...], parameters: Mapping[str, Tensor]) -> None:
        names = tuple("" if v is None else str(v.name) for v in node.inputs)
        self.constants, self.op_type, self.output = constants, node.op_type, str(node.outputs[0].name)
        self.after = _behind(node.outputs[0], parameters)
        self.inputs = tuple(dict.fromkeys(n for n in names if n and n not in parameters))
        affine = node.op_type in LINEAR and (len(names) < 3 or not names[2] or names[2] in parameters)
        self.zeros = {n: torch.zeros_like(parameters[n]) for n in names[2:3] if n} if affine else {}
        self.linear = frozenset(c for c in constants if affine and names.index(c) < 2 and names.count(c) == 1)
        self._weight = names[1] if len(names) > 1 and names[1] in self.linear and names[0] in self.inputs else ""
        self._plain = not any(_odd(a) for a in node.attributes.values())
        self._transposed = "transB" in node.attributes and node.attributes["transB"].as_int() == 1

    def weight_gradient(self, constant: str, weight: Tensor, values: Mapping[str, Tensor], gradient: Tensor, count: int) -> Tensor | None:
        """dL/dW of each of `count` samples, [count, numbers in W]; None where it is not cheap or not that simple."""
        if constant != self._weight or not self._plain or count * weight.numel() > LARGEST:
            return None
        x = values[self.inputs[0]]
        if self.op_type == "Conv":
            if weight[0, 0].numel() != 1 or weight.shape[1] != x.shape[1] or x.shape[2:] != gradient.shape[2:] or len(x) != count:
                return None
            a, b = gradient.flatten(2), x.flatten(2).transpose(1, 2)  # [n, O, P] @ [n, P, I]
        elif self.op_type in ("MatMul", "Gemm") and weight.ndim == 2 and x.ndim >= 2:
            rows, columns = (gradient, x) if self._transposed else (x, gradient)
            a, b = rows.reshape(count, -1, rows.shape[-1]).transpose(1, 2), columns.reshape(count, -1, columns.shape[-1])
        else:
            return None
        return torch.bmm(a, b).reshape(count, -1) if b.shape[1] >= POSITIONS else None


def readers(model: Model, constants: Iterable[str], parameters: Mapping[str, Tensor]) -> dict[str, list[Reader]]:
    """Output → the reader of constants that makes it."""
    known = frozenset(constants)
    found: dict[str, list[Reader]] = defaultdict(list)
    for node in model.graph:
        read = tuple(dict.fromkeys(str(v.name) for v in node.inputs if v is not None and v.name in known and v.name in parameters))
        if read:
            reader = Reader(node, read, parameters)
            found[reader.output].append(reader)
    return dict(found)


def _behind(value: ir.Value, parameters: Mapping[str, Tensor]) -> str:
    """Follows a value through elementwise ops as long as each is its only reader."""
    found = ""
    while not value.is_graph_output() and len(uses := tuple(value.uses())) == 1:
        node = uses[0].node
        others = [str(v.name) for v in node.inputs if v is not None and v is not value]
        if node.op_type not in ELEMENTWISE or node.domain not in ("", "ai.onnx") or any(n not in parameters for n in others):
            break
        value = node.outputs[0]
        found = str(value.name)
    return found


def _odd(attribute: ir.Attr) -> bool:
    """Whether an attribute makes a Conv or Gemm more than the plain product of its inputs."""
    if attribute.name == "alpha":
        return bool(attribute.as_float() != 1)
    if attribute.name == "transA":
        return bool(attribute.as_int() != 0)
    if attribute.name == "pads":
        return any(attribute.as_ints())
    if attribute.name == "strides":
        return any(s != 1 for s in attribute.as_ints())
    return False
