"""SmoothQuant: outliers of activations are moved into the weights that read them, whose grids have room for them.

Xiao et al., SmoothQuant, arXiv 2211.10438, equation 4: s_j = max|x_j|^a / max|w_j|^(1-a) for each channel j, x / s and W s.
The division is folded into what makes x: scale and shift of the normalization in front (written out or fused), or the output
channels of a linear layer. All readers of a tensor share its factors: queries, keys and values. Where a shortcut reads it too
(BERT), a Mul with the factors can be put into the shortcut. The float function stays the same; that is measured.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import BadInput
from engine.graph.model import Model
from engine.progress import Progress, part
from engine.ptq.channel_statistics import Extremes, channel_extremes
from engine.ptq.channels import alive
from engine.ptq.equivalence import TOLERANCE, difference
from engine.ptq.pairs import Link, Stays, layer_links, norm_links
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.words import measured, reasons, undone
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

LINEAR = ("Gemm", "MatMul")
DETOUR = "where a sum stands in the way, detours: true gives it the unscaled tensor by a Mul, and the normalization can be smoothed"
UNIT = "largest channel over median channel of what it gives on; lower is better"


@dataclass(frozen=True)
class SmoothQuant:
    """Options of SmoothQuant."""

    alpha: float = setting(0.5, "How much of an outlier moves into the weights: 0 none of it, 1 all.", 0.0, 1.0)
    layers: bool = setting(True, "Also smooth behind linear layers (values before the output projection, an MLP with Relu), not only "
                                 "behind normalizations.")
    detours: bool = setting(False, "Where a shortcut reads a normalization's output too, put a Mul with the factors into the shortcut: "
                                  "exact, at the price of a cheap node.")
    samples: int = setting(256, "Calibration samples whose channel ranges are measured.", 1, 1_000_000)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("smooth_quant", SmoothQuant, looks_at="data")
def smooth_quant(sim: QuantSim, data: Samples | None, config: SmoothQuant, progress: Progress) -> StepReport:
    """Smooths every tensor between a normalization or linear layer and the linear layers that read it."""
    if data is None:
        raise BadInput("smooth_quant measures the ranges of activations and needs calibration data; none were given")
    model = sim.model.clone()
    progress(0.0, "Looking for activations that can be smoothed")
    links, stay = _links(model, config)
    warnings = [*reasons(stay), *([DETOUR] if stay and not config.detours else [])]
    if not links:
        return StepReport("smooth_quant", (), ("found nothing to smooth: no normalization or linear layer whose channels only linear "
                                               "layers read", *warnings), equivalent=True)
    tensors = {name: axis for link in links for name, axis in _tensors(link).items()}
    extremes = channel_extremes(model, tensors, data, config.samples, part(progress, 0.1, 0.8))
    factors = [_factors(link, extremes, config.alpha) for link in links]
    changes, layers = [], []
    for link, s in zip(links, factors, strict=True):
        link.apply(model, s)
        changes.append(f"{link.names}: {len(s)} channels divided by {s.min():.3g} to {s.max():.3g}")
        layers.append(_change(link, extremes[str(link.source.output.name)].largest, s))
    model.changed()
    gap = difference(sim.model, model, data, progress=part(progress, 0.8, 1.0))
    if not gap <= TOLERANCE:
        return StepReport("smooth_quant", (), (undone(gap), *warnings), equivalent=True)
    sim.model = model
    sim.graph_changed()
    return StepReport("smooth_quant", (*changes, measured(gap)), tuple(warnings), layers=tuple(layers), equivalent=True)


def _links(model: Model, config: SmoothQuant) -> tuple[list[Link], list[Stays]]:
    found, stay = norm_links(model, config.detours)
    more, _ = layer_links(model) if config.layers else ([], [])  # why the others stay would be a line for most layers of a model
    linear = [link for link in (*found, *more) if all(r.weight.node.op_type in LINEAR for r in link.route.readers)]
    return [link for link in linear if not any(limit.single for limit in link.route.limits)], stay


def _tensors(link: Link) -> dict[str, int]:
    """What the readers read, and what the source makes, with their channel axes."""
    found = {str(link.source.output.name): link.source.axis}
    for reader in link.route.readers:
        found[reader.tensor] = reader.axis
    return found


def _factors(link: Link, extremes: dict[str, Extremes], alpha: float) -> np.ndarray:
    """Equation 4 over all readers of each channel; 1 where activation or weights are dead."""
    x, w = np.zeros(link.source.channels), np.zeros(link.source.channels)
    for reader in link.route.readers:
        mine = reader.channels >= 0
        np.maximum.at(x, reader.channels[mine], extremes[reader.tensor].largest[mine])
        np.maximum.at(w, reader.channels[mine], reader.weight.largest().max(axis=1).reshape(-1)[mine])
    live = alive(x) & alive(w)
    s = np.where(live, x, 1.0) ** alpha / np.where(live, w, 1.0) ** (1 - alpha)
    return np.where(live, s / np.exp(np.log(s[live]).mean()) if live.any() else 1.0, 1.0)


def _change(link: Link, largest: np.ndarray, factors: np.ndarray) -> LayerChange:
    def ratio(values: np.ndarray) -> float:
        return float(values.max() / max(float(np.median(values)), 1e-30))

    return LayerChange(link.source.name, ratio(largest), ratio(largest / factors), UNIT)
