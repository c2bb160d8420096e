"""High-bias absorption: the part of an activation that is always there moves into the next layer's bias.

Nagel et al., arXiv 1906.04721, section 4.1.3, equations 15 to 17: with c = max(0, beta - 3 |gamma|), b1 - c and b2 + W2 c, since
relu(W1 x + b1 - c) + c = relu(W1 x + b1) where W1 x + b1 >= c. Equalization makes such channels: their range, and with it the
tensor's, shrinks by c. beta and gamma are those of the batch norm that was folded into the layer; without one the calibration
data's minimum of the channel stands for beta - 3 |gamma|. With data, c is never more than a margin below that minimum, so that
the step is exact on them; that is measured. A padded convolution reads zeros that are not shifted: its pair is left.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.layers import int_attribute
from engine.graph.model import Model
from engine.progress import Progress, part
from engine.ptq.channel_statistics import Extremes, channel_extremes
from engine.ptq.equivalence import TOLERANCE, difference
from engine.ptq.fold_batch_norm import meets_borders
from engine.ptq.kept_norms import kept_norm, shift_norm
from engine.ptq.pairs import LayerSource, Link, Stays, layer_links
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.weights import attribute, bias_array, can_bias, set_bias
from engine.ptq.words import measured, reasons, undone
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

UNIT = "largest value of its output on calibration data; lower is better"
KEEPS_SHIFT = frozenset((  # f(x - c) = f(x) - c for x >= c >= 0
    "Relu", "LeakyRelu", "PRelu", "Clip", "Min", "Identity", "Dropout", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean",
    "ReduceMax", "ReduceMin", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Expand"))


@dataclass(frozen=True)
class AbsorbBias:
    """Options of high-bias absorption."""

    margin: float = setting(0.1, "How far below the smallest value on calibration data a channel's absorbed part stays, as a share of the "
                                 "channel's range: data not seen may reach lower.", 0.0, 1.0)
    samples: int = setting(256, "Calibration samples whose channel ranges are measured.", 1, 1_000_000)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("absorb_bias", AbsorbBias, looks_at="data")
def absorb_bias(sim: QuantSim, data: Samples | None, config: AbsorbBias, progress: Progress) -> StepReport:
    """Absorbs the high biases of every pair where that is exact; leaves the rest with a reason."""
    model = sim.model.clone()
    progress(0.0, "Looking for layers whose bias can move on")
    links, stay = _links(model)
    tensors = {str(link.source.output.name): link.source.axis for link in links}
    seen = {} if data is None or not links else channel_extremes(model, tensors, data, config.samples, part(progress, 0.1, 0.8))
    changes, layers = [], []
    for link in links:
        extremes = seen.get(str(link.source.output.name))
        amounts = _amounts(link, extremes, config.margin)
        if not amounts.any():
            continue
        _absorb(model, link, amounts)
        changes.append(f"{link.names}: {np.count_nonzero(amounts)} of {len(amounts)} channels, up to {amounts.max():.3g}")
        if extremes is not None:
            layers.append(LayerChange(link.source.name, float(extremes.high.max()), float((extremes.high - amounts).max()), UNIT))
    warnings = reasons(stay)
    if not changes:
        return StepReport("absorb_bias", (), (_nothing(links, data), *warnings), equivalent=True)
    model.changed()
    gap = None if data is None else difference(sim.model, model, data, progress=part(progress, 0.8, 1.0))
    if gap is not None and not gap <= TOLERANCE:
        return StepReport("absorb_bias", (), (undone(gap), *warnings), equivalent=True)
    sim.model = model
    sim.graph_changed()
    return StepReport("absorb_bias", (*changes, measured(gap)), tuple(warnings), layers=tuple(layers), equivalent=True)


def _links(model: Model) -> tuple[list[Link], list[Stays]]:
    """The links across which a shift moves exactly."""
    found, stay = [], []
    for link in layer_links(model)[0]:
        why = _hindrance(link)
        if why is None:
            found.append(link)
        else:
            stay.append(Stays(link.source.name, why))
    return found, stay


def _hindrance(link: Link) -> str | None:
    if any(limit.single for limit in link.route.limits):
        return "a Clip with one limit for all channels lies behind it"
    node = next((n for n in link.route.passed if not _keeps_shift(n)), None)
    if node is not None:
        return f"{node.name} ({node.op_type}) does not keep a shift"
    if not isinstance(link.source, LayerSource) or not can_bias(link.source.weight.node):
        return "its bias cannot be set"
    for reader in link.route.readers:
        layer = reader.weight.node
        if layer.op_type in ("Conv", "ConvTranspose") and meets_borders(layer):
            return f"{layer.name} is padded with zeros that would not shift"
        if not can_bias(layer):
            return f"the bias of {layer.name} cannot be set"
    return None


def _keeps_shift(node: ir.Node) -> bool:
    if node.op_type == "AveragePool":
        pads = node.attributes.get("pads")
        return pads is None or not any(pads.as_ints()) or int_attribute(node, "count_include_pad", 0) == 0
    return node.op_type in KEEPS_SHIFT


def _amounts(link: Link, seen: Extremes | None, margin: float) -> np.ndarray:
    """c of each channel; 0 where nothing is absorbed."""
    assert isinstance(link.source, LayerSource)
    kept = kept_norm(link.source.weight.node)
    if kept is not None and len(kept[0]) != link.source.channels:
        kept = None
    if kept is None and seen is None:
        return np.zeros(link.source.channels)
    usual = np.full(link.source.channels, np.inf) if kept is None else kept[0] - 3 * kept[1]
    lowest = np.full(link.source.channels, np.inf) if seen is None else seen.low - margin * (seen.high - seen.low)
    return np.maximum(np.minimum(usual, lowest), 0.0)


def _absorb(model: Model, link: Link, amounts: np.ndarray) -> None:
    assert isinstance(link.source, LayerSource)
    node = link.source.weight.node
    for reader in link.route.readers:
        weight, layer = reader.weight, reader.weight.node
        shift = np.append(amounts, 0.0)[reader.channels].reshape(weight.groups, 1, -1, 1)
        moved = (weight.view() * shift).sum(axis=(2, 3)).reshape(-1)
        gain = attribute(layer, "alpha", 1.0) if layer.op_type == "Gemm" else 1.0
        set_bias(model, layer, bias_array(layer, weight.outputs) + gain * moved)
    set_bias(model, node, bias_array(node, link.source.channels) - amounts)
    shift_norm(node, amounts)
    for limit in link.route.limits:
        limit.lower(model, amounts)


def _nothing(links: list[Link], data: Samples | None) -> str:
    if links and data is None:
        return "found nothing to absorb: no batch norm was folded, and without calibration data nothing says which part is always there"
    return "found nothing to absorb: no channel stays well above zero in a pair that allows it"
