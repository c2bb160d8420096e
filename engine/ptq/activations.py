"""The activation behind a layer as a torch function: what a layer's error looks like to whoever reads it."""
from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from torch import Tensor

from engine.graph.layers import constant_shape
from engine.ptq.weights import alone, bias_value
from engine.sim.kernels import build_kernel, torch_tensor

POINTWISE = ("Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Elu", "Selu", "Celu", "Softplus", "Gelu", "Mish")


def following_activation(layer: ir.Node) -> Callable[[Tensor], Tensor]:
    """The function of the node that alone reads the layer's output (its bias added), where that works value by value; else identity."""
    output = layer.outputs[0]
    if layer.op_type == "MatMul" and bias_value(layer) is not None:
        output = next(iter(output.uses())).node.outputs[0]
    if not alone(output):
        return _same
    node = next(iter(output.uses())).node
    others = [value for value in node.inputs[1:] if value is not None]
    if node.op_type not in POINTWISE or node.domain not in ("", "ai.onnx") or node.inputs[0] is not output:
        return _same
    if any(value.const_value is None or constant_shape(value) not in ((), (1,)) for value in others):
        return _same
    assert node.graph is not None
    kernel = build_kernel(node, 0, node.graph.opset_imports, torch.device("cpu"))
    constants = [None if v is None or v.const_value is None else torch_tensor(v.const_value, str(v.name)) for v in node.inputs[1:]]

    def run(x: Tensor) -> Tensor:
        found = kernel(x, *constants)
        assert isinstance(found, Tensor)  # these ops have one output
        return found
    return run


def _same(x: Tensor) -> Tensor:
    return x
