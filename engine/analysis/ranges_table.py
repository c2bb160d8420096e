"""The ranges that calibration found: limits, clipped shares on seen and unseen data, histograms to look at."""
from __future__ import annotations

from typing import Any

import torch

from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock, PerChannel
from engine.quant.histogram import Histogram, MinMax
from engine.quant.ranges import method_name
from engine.sim.calibration import Statistics
from engine.sim.quantsim import QuantSim

BINS = 64


def tensor_rows(sim: QuantSim, unseen: Statistics | None) -> list[dict[str, Any]]:
    """One row per quantized activation of the plan, in the order of execution.

    Args:
        unseen: statistics of evaluation data, for the share of values outside the range; None leaves it out.
    """
    rows = []
    for name, encoding in sim.quantization.activations.items():
        plan, slot = sim.plan.activations[name], sim.placement.slots[name]
        own, other = sim.statistics.get(name), None if unseen is None else unseen.get(name)
        low, high = float(encoding.low), float(encoding.high)
        rows.append({
            "name": name, "kind": slot.kind, "dtype": str(plan.dtype), "symmetry": plan.symmetry if encoding.grid else None,
            "method": "fixed" if plan.fixed_range else method_name(plan.method), "low": low, "high": high,
            "scale": None if encoding.scale is None else float(encoding.scale),
            "zero_point": None if encoding.zero_point is None else int(encoding.zero_point),
            "minimum": None if own is None else own.minimum, "maximum": None if own is None else own.maximum,
            "clipped_calibration": clipped(own, low, high), "clipped_evaluation": clipped(other, low, high),
            "frozen": name in sim.fixed, "overridden": plan.minimum is not None or plan.maximum is not None,
            "histogram": histogram(own)})
    return rows


def clipped(observer: MinMax | None, low: float, high: float) -> float | None:
    """The share of values outside `low`..`high`, from the histogram (bins of 1/128 relative width); None without one."""
    if not isinstance(observer, Histogram) or observer.count == 0:
        return None
    centers, counts = observer.centers(), observer.counts()
    outside = (centers < low) | (centers > high)
    return float(counts[outside].sum()) / observer.count


def histogram(observer: MinMax | None, bins: int = BINS) -> dict[str, list[float]] | None:
    """Equal bins between minimum and maximum, for a picture."""
    if not isinstance(observer, Histogram) or observer.count == 0:
        return None
    low, high = observer.minimum, observer.maximum
    if high <= low:
        high = low + 1e-6
    at = ((observer.centers().double() - low) / (high - low) * bins).long().clamp_(0, bins - 1)
    counts = torch.zeros(bins, dtype=torch.float64).index_add_(0, at, observer.counts().double())
    return {"edges": [low + (high - low) * i / bins for i in range(bins + 1)], "counts": counts.tolist()}


def weight_rows(sim: QuantSim) -> list[dict[str, Any]]:
    """One row per quantized weight: the extreme limits over its channels or blocks."""
    rows = []
    for name, encoding in sim.quantization.constants.items():
        slot = sim.placement.weights.get(name)
        rows.append({"name": name, "layer": slot.layers[0] if slot and slot.layers else None, "dtype": str(encoding.dtype),
                     "granularity": granularity_name(encoding), "low": float(encoding.low.min()), "high": float(encoding.high.max()),
                     "scales": 0 if encoding.scale is None else encoding.scale.numel(), "frozen": name in sim.fixed})
    return rows


def granularity_name(encoding: Encoding) -> str:
    """`per channel`, `per block of 64`, `per tensor`, or `float`."""
    if encoding.scale is None:
        return "float"
    if isinstance(encoding.granularity, PerChannel):
        return "per channel"
    if isinstance(encoding.granularity, PerBlock):
        return f"per block of {encoding.granularity.size}"
    return "per tensor"
