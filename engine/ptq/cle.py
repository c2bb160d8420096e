"""Cross-layer equalization: neighbouring layers are rescaled so that all channels have like ranges, and one grid fits them all.

Nagel et al., arXiv 1906.04721, section 4.1; the arithmetic is in `equalize.py`, what may be scaled together in `pairs.py`.
The float function stays the same up to rounding; that is measured on calibration data, and where it does not hold
nothing is changed. A ReLU6 does not commute with scaling; two options say what becomes of it.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph.model import Model
from engine.progress import Progress, part
from engine.ptq.equalize import Solution, solve
from engine.ptq.equivalence import TOLERANCE, difference
from engine.ptq.free_clips import free_of_clips
from engine.ptq.pairs import Link, layer_links
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.words import measured, reasons, undone
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

UNIT = "of its range filled by a mean channel; higher is better"


@dataclass(frozen=True)
class CrossLayerEqualization:
    """Options of cross-layer equalization."""

    replace_clip: bool = setting(True, "Make a ReLU6 (Clip) a Relu where the float outputs on calibration data stay within 1e-4 of "
                                       "their range, so that its pair can be scaled.")
    channel_clip: bool = setting(False, "Where a ReLU6 does cut values, give each channel its own limit (one Min node behind the Clip): "
                                        "the same float function at the price of a cheap node.")
    max_iterations: int = setting(100, "Passes over all pairs at most.", 1, 10_000)
    tolerance: float = setting(1e-4, "Stop when no factor changes by more than this share.", 1e-9, 0.5)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("cle", CrossLayerEqualization, looks_at="data")
def cle(sim: QuantSim, data: Samples | None, config: CrossLayerEqualization, progress: Progress) -> StepReport:
    """Equalizes every pair and depthwise triple that can be scaled exactly; leaves the rest with a reason."""
    model = sim.model.clone()
    progress(0.0, "Looking for layers that can be scaled together")
    links, stay = layer_links(model)
    links, changes, refused = free_of_clips(model, links, data, config.replace_clip, config.channel_clip,
                                            part(progress, 0.1, 0.5))
    warnings = reasons([*stay, *refused])
    if not links:
        return StepReport("cle", (), ("found nothing to equalize", *warnings), equivalent=True)
    before, found = solve(links, 1.0, 0), solve(links, config.tolerance, config.max_iterations, part(progress, 0.5, 0.6))
    changes += _scaled(model, links, found, part(progress, 0.6, 0.8))
    gap = None if data is None else difference(sim.model, model, data, progress=part(progress, 0.8, 1.0))
    if gap is not None and not gap <= TOLERANCE:
        return StepReport("cle", (), (undone(gap), *warnings), equivalent=True)
    sim.model = model
    sim.graph_changed()
    if not found.converged:
        warnings.insert(0, f"not converged in {found.iterations} passes: raise max_iterations")
    changes.append(f"{len(links)} sources in {found.iterations} passes; {measured(gap)}")
    layers = tuple(LayerChange(layer.name, before.ranges[layer.name].filled(), found.ranges[layer.name].filled(), UNIT)
                   for layer in model.layers if layer.name in found.ranges)
    return StepReport("cle", tuple(changes), tuple(warnings), layers=layers, equivalent=True)


def _scaled(model: Model, links: Sequence[Link], found: Solution, progress: Progress) -> list[str]:
    """Scales the weights by the factors, once; a line for each source."""
    lines = []
    for i, (link, factors) in enumerate(zip(links, found.factors, strict=True)):
        progress(i / len(links), f"Scaling {link.source.name} ({i + 1} of {len(links)})")
        link.apply(model, factors)
        lines.append(f"{link.names}: {len(factors)} channels divided by {factors.min():.3g} to {factors.max():.3g}")
    model.changed()
    return lines
