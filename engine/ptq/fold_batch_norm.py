"""Fold BatchNormalization into the layer beside it: the same function with fewer nodes (Jacob et al., arXiv 1712.05877, section 3.2).

Equations, with s = gamma / sqrt(var + eps) and t = beta - mean s:
1. layer, then BN:  W' = W s (per output channel),  b' = b s + t;
2. BN, then layers: W' = W s (per input channel),   b' = b + W t, where no border meets zeros that the BN did not see
   (a padded convolution only where t = 0).
Layers are Conv and ConvTranspose of any group, Gemm and MatMul. A MatMul gets an Add for its bias. A BN whose neighbours allow
neither stays, with a warning. What the BN said of its output, mean beta and deviation |gamma|, is kept at the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.model import Model
from engine.progress import Progress
from engine.ptq.carried_pins import as_learned, carry_pins
from engine.ptq.channels import ChannelWeight
from engine.ptq.kept_norms import keep_norm
from engine.ptq.technique import StepReport, technique
from engine.ptq.weights import alone, array, attribute, bias_array, bias_value, can_bias, set_bias
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim


@dataclass(frozen=True)
class FoldBatchNorm:
    """There is nothing to set: the fold is exact."""


@technique("fold_batch_norm", FoldBatchNorm, looks_at="graph")
def fold_batch_norm(sim: QuantSim, data: Samples | None, config: FoldBatchNorm, progress: Progress) -> StepReport:
    """Folds every BatchNormalization it can, in float64; the graph's function changes by rounding alone (<= 1e-4 of range)."""
    model = sim.model.clone()
    norms = [node for node in model.graph if node.op_type == "BatchNormalization"]
    changes, warnings, pinned, factors = [], [], sim.pinned, dict[str, np.ndarray]()
    for i, norm in enumerate(norms):
        progress(i / max(len(norms), 1), f"Folding {norm.name}")
        as_learned(model, norm, pinned)
        partner = _fold_backward(model, norm, factors) or _fold_forward(model, norm)
        if partner:
            changes.append(f"{norm.name} folded into {partner}")
        else:
            warnings.append(f"{norm.name} stays: no Conv, ConvTranspose, Gemm or MatMul beside it can take it")
    if changes:
        sim.model = model
        sim.graph_changed()
        warnings += carry_pins(sim, pinned, factors)
    return StepReport("fold_batch_norm", tuple(changes), tuple(warnings), equivalent=True)


def _fold_backward(model: Model, norm: ir.Node, factors: dict[str, np.ndarray]) -> str | None:
    """Equation 1. Needs a layer whose only reader is the norm, and a weight that only it reads, whose factors are noted."""
    source, affine = norm.inputs[0], _affine(norm)
    weight = _layer_before(source)
    if source is None or affine is None or weight is None or not alone(source) or not weight.owned or not can_bias(weight.node):
        return None
    scale, shift = affine
    layer, rank = weight.node, len(model.shapes.get(str(source.name), ()))
    if weight.outputs != len(scale) or (layer.op_type == "MatMul" and rank != 2):  # the norm's channels are on axis 1
        return None
    weight.scale(by_output=scale)
    name = str(weight.value.name)
    factors[name] = factors.get(name, np.ones(len(scale))) * scale
    set_bias(model, layer, bias_array(layer, len(scale)) * scale + shift)
    keep_norm(layer, array(norm.inputs[2]), array(norm.inputs[1]))
    last = norm.inputs[0]  # a MatMul has its new Add in between
    assert last is not None
    _remove(norm, last)
    return str(layer.name)


def _layer_before(value: ir.Value | None) -> ChannelWeight | None:
    """The layer that makes a value, or the MatMul in front of the Add that does."""
    node = None if value is None else value.producer()
    if node is not None and node.op_type == "Add":
        products = [v.producer() for v in node.inputs if v is not None and v.const_value is None]
        node = products[0] if len(products) == 1 else None
        if node is None or node.op_type != "MatMul" or bias_value(node) is None:
            return None
    return ChannelWeight.of(node)


def _fold_forward(model: Model, norm: ir.Node) -> str | None:
    """Equation 2. Every reader of the norm must be a layer that can take it."""
    affine, output, source = _affine(norm), norm.outputs[0], norm.inputs[0]
    uses = list(output.uses())
    if affine is None or source is None or not uses or output.is_graph_output():
        return None
    scale, shift = affine
    rank = len(model.shapes.get(str(output.name), ()))
    weights = [_taker(node, place, scale, shift, rank) for node, place in uses]
    takers = [weight for weight in weights if weight is not None]
    if len(takers) < len(uses) or len({id(w.node) for w in takers}) < len(uses):
        return None
    for weight in takers:
        if shift.any():
            moved = (weight.view() * shift.reshape(weight.groups, 1, -1, 1)).sum(axis=(2, 3)).reshape(-1)
            gain = attribute(weight.node, "alpha", 1.0) if weight.node.op_type == "Gemm" else 1.0
            set_bias(model, weight.node, bias_array(weight.node, weight.outputs) + gain * moved)
        weight.scale(by_input=scale)
    ir.convenience.replace_all_uses_with(output, source)
    _drop(norm)
    return ", ".join(str(weight.node.name) for weight in takers)


def _taker(node: ir.Node, place: int, scale: np.ndarray, shift: np.ndarray, rank: int) -> ChannelWeight | None:
    """The weight of a reader that can take the norm; None where it cannot."""
    weight = ChannelWeight.of(node)
    if weight is None or place != 0 or weight.place != 1 or not weight.owned or weight.inputs != len(scale):
        return None
    if node.op_type == "MatMul" and rank != 2:
        return None
    if shift.any() and (not can_bias(node) or (node.op_type not in ("Gemm", "MatMul") and meets_borders(node))):
        return None
    return weight


def meets_borders(node: ir.Node) -> bool:
    """Whether an output of a convolution sums over fewer inputs at the border than inside."""
    pads, auto = node.attributes.get("pads"), node.attributes.get("auto_pad")
    padded = pads is not None and any(pads.as_ints())
    return padded or (auto is not None and auto.as_string() not in ("NOTSET", "VALID")) or node.op_type == "ConvTranspose"


def _affine(norm: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """(s, t) in float64; None where a parameter is computed."""
    if any(value is None or value.const_value is None for value in norm.inputs[1:5]):
        return None
    gamma, beta, mean, var = (array(value) for value in norm.inputs[1:5])
    scale = gamma / np.sqrt(var + attribute(norm, "epsilon", 1e-5))
    return scale, beta - mean * scale


def _remove(norm: ir.Node, source: ir.Value) -> None:
    """The norm's readers, and the graph's output, read `source` instead, which takes over the norm's output name."""
    output = norm.outputs[0]
    name = output.name
    ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
    _drop(norm)
    output.name = f"{name}__folded"
    source.name = name


def _drop(norm: ir.Node) -> None:
    """Removes the norm with the parameters that nothing else reads: an exported file has no dead weights."""
    graph, parameters = norm.graph, list(norm.inputs[1:])
    assert graph is not None
    graph.remove(norm, safe=True)
    for value in parameters:
        if value is not None and not value.uses() and not value.is_graph_output():
            graph.initializers.pop(str(value.name), None)
