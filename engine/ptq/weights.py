"""Edits of a layer's constants that several techniques share: read a weight, replace it, give a layer a bias.

All take the clone of a model that a technique works on. What was derived from the graph (`Model.changed`) is dropped by the edits
that change its structure; `set_constant` keeps it, since names and shapes stay.
"""
from __future__ import annotations

import numpy as np
import onnx_ir as ir

from engine.errors import BadInput
from engine.graph.layers import weight_index
from engine.graph.model import Model

BIASED = ("Conv", "ConvTranspose", "Gemm")


def array(value: ir.Value | None) -> np.ndarray:
    """The data of a constant in float64."""
    assert value is not None and value.const_value is not None
    return value.const_value.numpy().astype(np.float64)


def attribute(node: ir.Node, name: str, default: float) -> float:
    """A float attribute or its default."""
    found = node.attributes.get(name)
    return default if found is None else found.as_float()


def set_constant(value: ir.Value, data: np.ndarray) -> None:
    """Replaces a constant's data, as float32; every node that reads it sees the new values."""
    value.const_value = ir.tensor(np.ascontiguousarray(data, dtype=np.float32), name=str(value.name))


def register(model: Model, name: str, data: np.ndarray) -> ir.Value:
    """A new float32 initializer; where the name is taken it gets underscores at its end."""
    taken = model.graph.initializers
    produced = {str(v.name) for v in (*model.graph.inputs, *(v for node in model.graph for v in node.outputs))}
    while name in taken or name in produced:
        name += "_"
    values = np.ascontiguousarray(data, dtype=np.float32)
    kept = ir.tensor(values, name=name)
    value = ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(ir.DataType.FLOAT), const_value=kept)
    model.graph.register_initializer(value)
    return value


def give_constant(model: Model, node: ir.Node, place: int, data: np.ndarray) -> None:
    """Makes `data` what the node reads at that input: in place where it alone reads that constant, else as a constant of its own."""
    value = node.inputs[place] if place < len(node.inputs) else None
    if value is not None and value.const_value is not None and len(value.uses()) == 1 and _shape_of(value) == data.shape:
        set_constant(value, data)
        return
    if place >= len(node.inputs):
        node.resize_inputs(place + 1)
    node.replace_input_with(place, register(model, f"{node.name}_{place}" if value is None else f"{value.name}_own", data))
    if value is not None and value.const_value is not None and not value.uses() and not value.is_graph_output():
        model.graph.initializers.pop(str(value.name), None)


def alone(value: ir.Value | None) -> bool:
    """Whether exactly one node reads the value, and nobody outside the graph."""
    return value is not None and len(value.uses()) == 1 and not value.is_graph_output()


def owns_weight(layer: ir.Node) -> bool:
    """Whether the layer's second input is a constant that no other node reads."""
    weight = layer.inputs[1] if len(layer.inputs) > 1 else None
    return weight is not None and weight.const_value is not None and len(weight.uses()) == 1


def bias_value(layer: ir.Node) -> ir.Value | None:
    """The constant that is added to the layer's output: its third input, or that of the Add behind a MatMul. None without one."""
    if layer.op_type in BIASED:
        bias = layer.inputs[2] if len(layer.inputs) > 2 else None
        return bias if bias is not None and bias.const_value is not None else None
    found = _following_add(layer)
    return None if found is None else found.inputs[_constant_input(found)]


def bias_array(layer: ir.Node, outputs: int) -> np.ndarray:
    """What is added to each of `outputs` channels, float64, zeros where there is no bias; the `beta` of a Gemm is in it."""
    value = bias_value(layer)
    if value is None:
        return np.zeros(outputs)
    scale = attribute(layer, "beta", 1.0) if layer.op_type == "Gemm" else 1.0
    return np.broadcast_to(array(value).reshape(-1) * scale, (outputs,)).copy()


def can_bias(layer: ir.Node) -> bool:
    """Whether `set_bias` can: not where the bias is made by other nodes, or differs between positions."""
    if layer.op_type in BIASED:
        if layer.op_type == "Gemm" and attribute(layer, "beta", 1.0) == 0.0:
            return False
        given = layer.inputs[2] if len(layer.inputs) > 2 else None
        return given is None or (given.const_value is not None and _is_row(given))
    return layer.op_type == "MatMul" and weight_index(layer) == 1


def set_bias(model: Model, layer: ir.Node, bias: np.ndarray) -> None:
    """Makes `bias` [outputs] what is added to the layer's output channels.

    A layer without a bias gets one; a MatMul gets an Add behind it, whose output takes over the MatMul's name, so that readers
    and encodings find what they knew. A bias that other nodes read too is left to them.

    Raises:
        BadInput: the layer cannot have one (`can_bias`).
    """
    if not can_bias(layer):
        raise BadInput(f"{layer.name}: its bias cannot be set; expected a Conv, ConvTranspose or Gemm with a constant bias or none, "
                       "or a MatMul with its weight on the right")
    bias = np.asarray(bias, dtype=np.float64).reshape(-1)
    if layer.op_type == "Gemm":
        bias = bias / attribute(layer, "beta", 1.0)
    value = bias_value(layer)
    if value is not None and len(value.uses()) == 1:
        if value.const_value is not None and tuple(value.const_value.shape.numpy())[-1:] != (bias.size,):
            value.shape = ir.Shape(bias.shape)
        else:
            bias = bias.reshape(_shape_of(value))
        set_constant(value, bias)
        return
    if layer.op_type == "MatMul":
        add = _following_add(layer) or _insert_add(model, layer, bias)
        if value is not None:
            add.replace_input_with(_constant_input(add), register(model, f"{layer.name}_bias", bias))
        model.changed()
        return
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, register(model, f"{layer.name}_bias", bias))
    model.changed()


def _insert_add(model: Model, layer: ir.Node, bias: np.ndarray) -> ir.Node:
    source = layer.outputs[0]
    add = ir.node("Add", [source, register(model, f"{layer.name}_bias", bias)], name=f"{layer.name}_add",
                  outputs=[ir.Value(name=None, shape=source.shape, type=source.type)])
    add.metadata_props.update(layer.metadata_props)
    model.graph.insert_after(layer, add)
    name = str(source.name)
    ir.convenience.replace_all_uses_with(source, add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, source)
    source.name, add.outputs[0].name = f"{name}__unbiased", name
    return add


def _following_add(layer: ir.Node) -> ir.Node | None:
    """The Add of a constant row that alone reads a MatMul's output."""
    if layer.op_type != "MatMul" or not alone(layer.outputs[0]):
        return None
    (use,) = layer.outputs[0].uses()
    other = use.node.inputs[1 - use.idx] if use.node.op_type == "Add" else None
    return use.node if other is not None and other.const_value is not None and _is_row(other) else None


def _constant_input(add: ir.Node) -> int:
    return next(i for i, value in enumerate(add.inputs) if value is not None and value.const_value is not None)


def _shape_of(value: ir.Value) -> tuple[int, ...]:
    assert value.const_value is not None
    return tuple(int(d) for d in value.const_value.shape.numpy())


def _is_row(value: ir.Value) -> bool:
    """Whether a constant varies along its last axis alone."""
    shape = _shape_of(value)
    return all(d == 1 for d in shape[:-1])
