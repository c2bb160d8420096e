"""Layers: the nodes with a weight, what they read, and what they cost.

A layer is a Conv, ConvTranspose, Gemm, MatMul with a constant, LSTM/GRU/RNN, or a Gather from a
float table (an embedding). One initializer read by two nodes makes two layers that share a weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

Kind = Literal["conv", "pointwise", "depthwise", "conv_transpose", "gemm", "matmul", "embedding", "recurrent"]
RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Layer:
    """A node with a weight.

    `channel_axis` is the axis of the output channels in the weight, `input_axis` that of the inputs
    (None where per-channel makes no sense: embeddings, recurrent layers). `reads` are the float
    activation tensors, `weights` all initializers quantized with the layer (W and R of an LSTM).
    """

    name: str
    op_type: str
    kind: Kind
    module: str
    weight: str
    weights: tuple[str, ...]
    bias: str | None
    reads: tuple[str, ...]
    output: str
    channel_axis: int | None
    input_axis: int | None
    params: int
    macs: int
    weight_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def find_layers(graph: ir.Graph, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Layer, ...]:
    """All layers in execution order; MACs are those of one sample of the shapes given."""
    layers = []
    for node in graph:
        weight_input = weight_index(node)
        if weight_input is not None:
            layers.append(_layer(node, weight_input, shapes))
    return tuple(layers)


def weight_index(node: ir.Node) -> int | None:
    """Which input of the node is its weight, or None when the node is no layer."""
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Conv", "ConvTranspose", "Gemm", *RECURRENT):
        return 1 if _float_constant(node, 1) else None
    if node.op_type == "MatMul":
        return 1 if _float_constant(node, 1) else 0 if _float_constant(node, 0) else None
    if node.op_type == "Gather":
        return 0 if _float_constant(node, 0) and len(constant_shape(node.inputs[0])) == 2 else None
    return None


def _float_constant(node: ir.Node, index: int) -> bool:
    if index >= len(node.inputs):
        return False
    value = node.inputs[index]
    return (
        value is not None
        and value.const_value is not None
        and value.const_value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    )


def constant_shape(value: ir.Value | None) -> tuple[int, ...]:
    """The shape of a constant, without touching its data."""
    assert value is not None and value.const_value is not None
    return tuple(int(d) for d in value.const_value.shape.numpy())


def _layer(node: ir.Node, index: int, shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    weights = [node.inputs[index]]
    if node.op_type in RECURRENT:
        weights.append(node.inputs[2])
    shape = constant_shape(weights[0])
    bias_index = 3 if node.op_type in RECURRENT else 2
    bias = (
        node.inputs[bias_index] if node.op_type in ("Conv", "ConvTranspose", "Gemm", *RECURRENT) and len(node.inputs) > bias_index else None
    )
    bias = bias if bias is not None and bias.const_value is not None else None
    names = tuple(str(w.name) for w in weights if w is not None)
    output = next((str(v.name) for v in node.outputs if v.name), "")  # an LSTM may leave out its sequence
    output_shape = tuple(shapes.get(output, ()))
    params = sum(math.prod(constant_shape(w)) for w in weights if w is not None) + (math.prod(constant_shape(bias)) if bias else 0)
    channel, inputs = weight_axes(node, index, len(shape))
    return Layer(
        name=str(node.name),
        op_type=node.op_type,
        kind=_kind(node, shape),
        module=module_path(node),
        weight=names[0],
        weights=names,
        bias=None if bias is None else str(bias.name),
        reads=_reads(node, names),
        output=output,
        channel_axis=channel,
        input_axis=inputs,
        params=params,
        macs=_macs(node, index, shape, output_shape, shapes),
        weight_shape=shape,
        output_shape=output_shape,
    )


def _reads(node: ir.Node, weights: tuple[str, ...]) -> tuple[str, ...]:
    """The activation tensors a layer reads: for recurrent layers the sequence alone (states stay float)."""
    if node.op_type == "Gather":
        return ()
    first = node.inputs[:1] if node.op_type in RECURRENT else node.inputs
    return tuple(dict.fromkeys(str(v.name) for v in first if v is not None and v.const_value is None and v.name not in weights))


def weight_axes(node: ir.Node, index: int, rank: int) -> tuple[int | None, int | None]:
    """(output-channel axis, input axis) of a weight: it belongs to the op, the input and the attributes."""
    if node.op_type == "Conv":
        return 0, 1
    if node.op_type == "ConvTranspose":
        return (1, 0) if int_attribute(node, "group", 1) == 1 else (None, None)
    if node.op_type == "Gemm":
        return (0, 1) if int_attribute(node, "transB", 0) else (1, 0)
    if node.op_type == "MatMul" and rank >= 2:
        return (rank - 1, rank - 2) if index == 1 else (rank - 2, rank - 1)
    return None, None


def int_attribute(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute or its default."""
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_int())


def _kind(node: ir.Node, shape: tuple[int, ...]) -> Kind:
    if node.op_type == "Conv":
        if int_attribute(node, "group", 1) > 1 and shape[1] == 1:
            return "depthwise"
        return "pointwise" if math.prod(shape[2:]) == 1 else "conv"
    kinds: dict[str, Kind] = {"ConvTranspose": "conv_transpose", "Gemm": "gemm", "MatMul": "matmul", "Gather": "embedding"}
    return kinds.get(node.op_type, "recurrent")


def _macs(node: ir.Node, index: int, shape: tuple[int, ...], output: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of one sample; 0 where the output's shape is not known."""
    if not output:
        return 0
    if node.op_type == "Conv":
        return math.prod(output) * math.prod(shape[1:])
    if node.op_type == "ConvTranspose":
        source: tuple[int, ...] = shapes.get(str(node.inputs[0].name), ())  # type: ignore[union-attr]
        return math.prod(source) * math.prod(shape[1:])
    if node.op_type in ("Gemm", "MatMul"):
        _, inputs = weight_axes(node, index, len(shape))
        return math.prod(output) * (shape[inputs] if inputs is not None else shape[0])
    if node.op_type in RECURRENT:
        recurrent = constant_shape(node.inputs[2])
        return (output[0] if output else 1) * (math.prod(shape) + math.prod(recurrent))
    return 0


def module_path(node: ir.Node) -> str:
    """The module that the exporter says the node came from; else the node name up to its last separator."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    names = [part.strip().strip("'\"") for part in scopes.strip("[]").split(",")] if scopes else []
    names = [name for name in names[:-1] if name]
    if names:
        return names[-1]
    name = str(node.name)
    for separator in ("/", "."):
        if separator in name.strip(separator):
            path = name.strip(separator).rsplit(separator, 1)[0]
            return "" if path == node.op_type else path  # `Conv.5` is a count, not a place
    return ""
