"""What a grid does to a tensor: how much is saturated, how much of the noise is rounding and how much clipping, by channel too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.analysis.ranges_table import granularity_name
from engine.quant.encoding import Encoding
from engine.quant.granularity import expand_to
from engine.quant.histogram import Histogram, MinMax

MAX_DB = 200.0


def encoding_facts(encoding: Encoding) -> dict[str, Any]:
    """Type, granularity, limits; on integer grids scale and zero point as [least, median, greatest], `step` the median scale."""
    facts: dict[str, Any] = {
        "dtype": str(encoding.dtype),
        "granularity": granularity_name(encoding),
        "low": float(encoding.low.min()),
        "high": float(encoding.high.max()),
    }
    if encoding.scale is None or encoding.zero_point is None or encoding.grid is None:
        return facts
    zeros = encoding.zero_point.double()
    return facts | {
        "step": float(encoding.scale.median()),
        "symmetry": encoding.grid.symmetry,
        "levels": [encoding.grid.qmin, encoding.grid.qmax],
        "scale": [float(encoding.scale.min()), float(encoding.scale.median()), float(encoding.scale.max())],
        "zero_point": [int(zeros.min()), int(zeros.median()), int(zeros.max())],
        "scales": encoding.scale.numel(),
    }


def weight_noise(encoding: Encoding, weight: torch.Tensor, axis: int | None) -> dict[str, Any]:
    """Shares of a weight: `saturated` of its values, `rounding` of its noise power (the rest is clipping), `sqnr_db`.

    Args:
        axis: of the output channels; with one, `channels` holds `saturated`, `rounding` and `sqnr_db` of each.
    """
    wide = weight.double()
    noise = (weight - encoding.fake_quantize(weight)).double().square()
    outside = _outside(encoding, weight)
    facts = _shares(noise.sum(), wide.square().sum(), (noise * outside).sum(), outside.double().mean())
    if axis is None:
        return {name: float(value) if np.isfinite(value) else None for name, value in facts.items()}
    rows = [t.double().movedim(axis, 0).flatten(1) for t in (noise, wide.square(), noise * outside, outside)]
    by = _shares(rows[0].sum(1), rows[1].sum(1), rows[2].sum(1), rows[3].mean(1))
    channels = {name: [float(v) if np.isfinite(v) else None for v in values] for name, values in by.items()}
    return {name: float(value) if np.isfinite(value) else None for name, value in facts.items()} | {"channels": channels}


def activation_noise(encoding: Encoding, observer: MinMax | None) -> dict[str, float | None]:
    """The same for an activation, from the histogram of its calibration; all None where there is none.

    Rounding is taken as a step squared over twelve for every value that is inside and not zero: bins are wider than fine steps.
    """
    nothing: dict[str, float | None] = {"saturated": None, "rounding": None, "sqnr_db": None}
    if encoding.scale is None or not isinstance(observer, Histogram) or observer.count == 0:
        return nothing
    centers, counts = observer.centers().double(), observer.counts().double()
    low, high, step = float(encoding.low), float(encoding.high), float(encoding.scale)
    beyond = torch.where(centers > high + step / 2, centers - high, torch.where(centers < low - step / 2, low - centers, 0.0))
    clipping = (counts * beyond.square()).sum()
    inside = counts * ((beyond == 0) & (centers != 0))
    rounding = (inside * torch.minimum(centers.square(), torch.tensor(step**2 / 12, dtype=torch.float64))).sum()
    found = _shares(rounding + clipping, (counts * centers.square()).sum(), clipping, (counts * (beyond > 0)).sum() / observer.count)
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def _outside(encoding: Encoding, x: torch.Tensor) -> torch.Tensor:
    """Which values lie further beyond the grid than rounding brings them, as booleans of the shape of `x`."""
    if encoding.scale is None:
        return torch.zeros_like(x, dtype=torch.bool)
    low, high, step = (expand_to(v, encoding.granularity, x.shape) for v in (encoding.low, encoding.high, encoding.scale))
    return (x < low - step / 2) | (x > high + step / 2)


def _shares(noise: torch.Tensor, signal: torch.Tensor, clipping: torch.Tensor, saturated: torch.Tensor) -> dict[str, Any]:
    """Powers as shares and decibels; NaN where there is no noise, or no signal, to speak of."""
    level = torch.where(signal > 0, 10 * torch.log10(signal / noise), torch.nan)
    return {
        "saturated": saturated.numpy(),
        "rounding": torch.where(noise > 0, 1 - clipping / noise, torch.nan).numpy(),
        "sqnr_db": level.clamp(max=MAX_DB).numpy(),
    }
