"""Batch-norm re-estimation: mean and variance of each BatchNormalization are measured again, with quantized weights and activations
in front of it.

Nagel et al., A White Paper on Neural Network Quantization, arXiv 2106.08295, section 5.2.1: quantization shifts and widens what a
layer gives; statistics that say so undo it. Norms are taken in execution order and each sees what the ones before it have become,
so values are carried forward once (`Lane`). A fold may follow; once a norm is folded there is nothing left to measure. The
statistics are right for the rounding that was in place: a step that rounds otherwise afterwards makes them wrong.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.errors import BadInput
from engine.graph.model import Model
from engine.progress import Progress, part
from engine.ptq.carried import Shelf
from engine.ptq.lane import Lane, Span
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import BUDGET
from engine.ptq.weights import array, attribute, give_constant
from engine.sim.calibration import MAX_BATCH, Samples, fixed_batch, samples_per_run
from engine.sim.chain import batches
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim

UNIT = "shift of the mean in standard deviations, over channels; 0 is best"
CAUTION = "the statistics undo what the present rounding does: rounding weights anew behind this step (gptq, adaround, seq_mse) does harm"
NONE_LEFT = ("no BatchNormalization with constant statistics is left in the graph, so there is nothing to re-estimate; put "
             "bn_reestimation before fold_batch_norm")


@dataclass(frozen=True)
class BnReestimation:
    """Options of batch-norm re-estimation."""

    samples: int = setting(256, "Calibration samples on which mean and variance are measured; more is steadier.", 1, 1_000_000)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("bn_reestimation", BnReestimation)
def bn_reestimation(sim: QuantSim, data: Samples | None, config: BnReestimation, progress: Progress) -> StepReport:
    """Measures the statistics of every BatchNormalization anew under the recipe's quantization; all else stays."""
    model = sim.model.clone()
    norms = [node for node in model.graph if _has_statistics(node)]
    if not norms:
        return StepReport("bn_reestimation", (), (NONE_LEFT,))
    if data is None:
        raise BadInput("bn_reestimation measures the statistics of activations and needs calibration data; none were given")
    quantization = _quantization(sim, data, part(progress, 0.0, 0.2))
    spans = _spans(sim, data, config.samples)
    shelf, changes, layers = Shelf(BUDGET), [], []
    try:
        stops = {str(norm.name): "" for norm in norms}
        lane = Lane("quantized", model, quantization, sim.chain.level, shelf, data, spans, stops)
        for i, norm in enumerate(norms):
            words = f"Statistics of {norm.name} ({i + 1} of {len(norms)})"
            tell = part(progress, 0.2 + 0.8 * i / len(norms), 0.2 + 0.8 * (i + 1) / len(norms))
            lane.move(lane.place[str(norm.name)], lambda share, words=words, tell=tell: tell(share, words))  # type: ignore[misc]
            source = str(norm.inputs[0].name)  # type: ignore[union-attr]
            mean, variance = moments(lane.values(batch)[source].numpy() for batch in range(len(spans)))
            layers.append(_set(model, norm, mean, variance))
            changes.append(f"{norm.name}: {layers[-1].note}")
    finally:
        shelf.close()
    sim.model = model
    sim.graph_changed()
    return StepReport("bn_reestimation", (*changes, CAUTION), layers=tuple(layers))


def moments(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel (axis 1) over all parts, float64; parts are joined by Chan's formula, which loses no digits."""
    count, mean, spread = 0, np.zeros(1), np.zeros(1)
    for values in parts:
        rows = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1]).astype(np.float64)
        more, centre = len(rows), rows.mean(axis=0)
        delta = centre - mean
        spread = spread + ((rows - centre) ** 2).sum(axis=0) + delta**2 * (count * more / (count + more))
        mean = mean + delta * (more / (count + more))
        count += more
    return mean, spread / max(count, 1)


def _has_statistics(node: ir.Node) -> bool:
    return node.op_type == "BatchNormalization" and node.inputs[0] is not None and all(
        value is not None and value.const_value is not None for value in node.inputs[1:5])


def _quantization(sim: QuantSim, data: Samples, progress: Progress) -> Quantization:
    """The recipe's encodings on the graph as it is; ranges are gathered where some are missing."""
    own = sim.moved(sim.recipe)
    own.fixed = dict(sim.fixed)
    if own.missing():
        own.calibrate(data, progress)
    return Quantization(own.quantization.activations, own.quantization.constants)


def _spans(sim: QuantSim, data: Samples, samples: int) -> list[Span]:
    largest = max(sim.model.shapes, key=lambda name: int(np.prod(sim.model.shapes[name])))
    size = 1 if fixed_batch(sim.chain) else min(MAX_BATCH, samples_per_run(sim.model, [largest]))
    return list(batches(min(len(data), samples), size))


def _set(model: Model, norm: ir.Node, mean: np.ndarray, variance: np.ndarray) -> LayerChange:
    """Gives the norm its new statistics. A channel that is constant keeps its old ones: no variance would blow it up."""
    old_mean, old_variance = array(norm.inputs[3]), array(norm.inputs[4])
    varies = variance > 1e-9 * variance.max(initial=0.0)
    give_constant(model, norm, 3, np.where(varies, mean, old_mean))
    give_constant(model, norm, 4, np.where(varies, variance, old_variance))
    deviation = np.sqrt(old_variance + attribute(norm, "epsilon", 1e-5))
    shift = float(np.sqrt((((mean - old_mean) / deviation)[varies] ** 2).mean())) if varies.any() else 0.0
    wider = float(np.median(np.sqrt(variance + 1e-30)[varies] / deviation[varies])) if varies.any() else 1.0
    note = f"means were off by {shift:.3f} standard deviations, deviations are {wider:.3f} of what they were"
    return LayerChange(str(norm.name), shift, 0.0, UNIT, note)
