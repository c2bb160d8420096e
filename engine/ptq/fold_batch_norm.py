"""Fold BatchNormalization into the layer beside it: the same function with fewer nodes.

Equations, with s = gamma / sqrt(var + eps):
1. layer, then BN:  W' = W s (per output channel),  b' = (b - mean) s + beta;
2. BN, then layer:  W' = W s (per input channel),   b' = b + W (beta - mean s), where no padding lets
   the zeros of the border pass the BN unscaled.
A MatMul has no bias: its BN becomes an Add. A BN whose neighbours allow neither stays, with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.layers import int_attribute, weight_axes, weight_index
from engine.graph.model import Model
from engine.progress import Progress
from engine.ptq.technique import StepReport, technique
from engine.ptq.weights import alone, array, attribute, owns_weight, register, set_bias, set_constant
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

FOLDABLE = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class FoldBatchNorm:
    """There is nothing to set: the fold is exact."""


@technique("fold_batch_norm", FoldBatchNorm, looks_at="graph")
def fold_batch_norm(sim: QuantSim, data: Samples | None, config: FoldBatchNorm, progress: Progress) -> StepReport:
    """Folds every BatchNormalization it can, in float64; the graph's function changes by rounding alone (<= 1e-4 of range)."""
    model = sim.model.clone()
    norms = [node for node in model.graph if node.op_type == "BatchNormalization"]
    changes, warnings = [], []
    for i, norm in enumerate(norms):
        progress(i / max(len(norms), 1), f"Folding {norm.name}")
        partner = _fold_backward(model, norm) or _fold_forward(model, norm)
        if partner:
            changes.append(f"{norm.name} folded into {partner}")
        else:
            warnings.append(f"{norm.name} stays: no Conv, ConvTranspose, Gemm or MatMul beside it can take it")
    if changes:
        sim.model = model
        sim.graph_changed()
    return StepReport("fold_batch_norm", tuple(changes), tuple(warnings), equivalent=True)


def _fold_backward(model: Model, norm: ir.Node) -> str | None:
    """Equation 1. Needs a layer whose only reader is the norm, and a weight that only it reads."""
    source = norm.inputs[0]
    layer = source.producer() if source is not None else None
    if source is None or layer is None or layer.op_type not in FOLDABLE or not alone(source) or not owns_weight(layer):
        return None
    if layer.op_type == "Gemm" and float(attribute(layer, "beta", 1.0)) != 1.0:
        return None
    index = weight_index(layer)
    weight = layer.inputs[index] if index is not None else None
    if weight is None or index != 1:
        return None
    scale, shift = _affine(norm)
    data = array(weight)
    if layer.op_type == "MatMul" and (data.ndim != 2 or len(model.shapes.get(str(source.name), ())) != 2):
        return None
    new = _scaled_output(layer, data, scale)
    if new is None:
        return None
    set_constant(weight, new)
    if layer.op_type == "MatMul":
        _becomes_add(model, norm, shift)
        return str(layer.name)
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    if bias is not None and (bias.const_value is None or len(bias.uses()) > 1):
        return None
    old = array(bias) if bias is not None else np.zeros_like(shift)
    set_bias(model, layer, old * scale + shift)
    _remove(norm, layer.outputs[0])
    return str(layer.name)


def _fold_forward(model: Model, norm: ir.Node) -> str | None:
    """Equation 2. Needs a single Conv or Gemm that reads the norm, without padding."""
    users = list(norm.outputs[0].uses())
    if len(users) != 1 or norm.outputs[0].is_graph_output():
        return None
    layer, place = users[0].node, users[0].idx
    if layer.op_type not in ("Conv", "Gemm") or place != 0 or not owns_weight(layer) or weight_index(layer) != 1:
        return None
    pads = layer.attributes.get("pads")
    auto = layer.attributes.get("auto_pad")
    if layer.op_type == "Conv" and (
        (pads is not None and any(pads.as_ints())) or (auto is not None and auto.as_string() not in ("NOTSET", "VALID"))
    ):
        return None
    if layer.op_type == "Gemm" and (int_attribute(layer, "transA", 0) or float(attribute(layer, "beta", 1.0)) != 1.0):
        return None
    scale, shift = _affine(norm)
    weight, bias = layer.inputs[1], layer.inputs[2] if len(layer.inputs) > 2 else None
    if weight is None or (bias is not None and (bias.const_value is None or len(bias.uses()) > 1)):
        return None
    new, moved = _scaled_input(layer, array(weight), scale, shift)
    set_constant(weight, new)
    set_bias(model, layer, (array(bias) if bias is not None else np.zeros_like(moved)) + moved)
    source = norm.inputs[0]
    assert source is not None
    ir.convenience.replace_all_uses_with(norm.outputs[0], source)
    _drop(norm)
    return str(layer.name)


def _affine(norm: ir.Node) -> tuple[np.ndarray, np.ndarray]:
    """(s, beta - mean s) in float64."""
    gamma, beta, mean, var = (array(value) for value in norm.inputs[1:5])
    scale = gamma / np.sqrt(var + float(attribute(norm, "epsilon", 1e-5)))
    return scale, beta - mean * scale


def _scaled_output(layer: ir.Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """The weight with each output channel scaled; a grouped ConvTranspose holds its outputs group by group."""
    if layer.op_type == "ConvTranspose":
        groups = int_attribute(layer, "group", 1)
        per_group = weight.shape[1]
        if groups * per_group != len(scale):
            return None
        factors = np.repeat(scale.reshape(groups, 1, per_group), weight.shape[0] // groups, axis=1).reshape(weight.shape[:2])
        return weight * factors.reshape(*factors.shape, *[1] * (weight.ndim - 2))
    axis, _ = weight_axes(layer, 1, weight.ndim)
    if axis is None or weight.shape[axis] != len(scale):
        return None
    return weight * scale.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])


def _scaled_input(layer: ir.Node, weight: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weight with each input channel scaled, what the shift adds to the bias)."""
    if layer.op_type == "Gemm":
        transposed = int_attribute(layer, "transB", 0)
        rows = weight if transposed else weight.T
        alpha = float(attribute(layer, "alpha", 1.0))
        new, moved = rows * scale, rows @ shift * alpha
        return (new if transposed else new.T), moved
    groups = int_attribute(layer, "group", 1)
    outputs, inputs = weight.shape[:2]
    per_output = np.repeat(np.arange(groups), outputs // groups)
    s = scale.reshape(groups, inputs)[per_output]
    t = shift.reshape(groups, inputs)[per_output]
    extra = [1] * (weight.ndim - 2)
    return weight * s.reshape(outputs, inputs, *extra), (weight * t.reshape(outputs, inputs, *extra)).reshape(outputs, -1).sum(1)


def _becomes_add(model: Model, norm: ir.Node, shift: np.ndarray) -> None:
    name = f"{norm.name}_bias"
    value = register(model, name, shift)
    add = ir.node(
        "Add",
        [norm.inputs[0], value],
        outputs=[ir.Value(name=None, shape=norm.outputs[0].shape, type=norm.outputs[0].type)],
        name=str(norm.name),
    )
    add.metadata_props.update(norm.metadata_props)
    model.graph.insert_before(norm, add)
    _remove(norm, add.outputs[0])





def _remove(norm: ir.Node, source: ir.Value) -> None:
    """The norm's readers, and the graph's output, read `source` instead, which takes over the norm's output name."""
    output = norm.outputs[0]
    name = output.name
    ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
    _drop(norm)
    output.name = f"{name}__folded"
    source.name = name


def _drop(norm: ir.Node) -> None:
    assert norm.graph is not None
    norm.graph.remove(norm, safe=True)
