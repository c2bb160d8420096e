"""The range that keeps most of a distribution's shape: least KL divergence, after TensorRT.

S. Migacz, "8-bit inference with TensorRT" (GTC 2017): a fine histogram P, cut at a threshold t with the
mass beyond added to the last bin, is compared with Q, the histogram inside t at the grid's resolution,
spread evenly over the occupied fine bins of each code. t of the least KL(P || Q) wins.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.quant.grid import Grid
from engine.quant.sums import Sums

Range = tuple[float, float]
FINE = 2048  # bins of the reference histogram over the whole magnitude, as in TensorRT
MOST_BITS = 8
_CANDIDATES = 32


def entropy_ranges(sums: Sums, grids: Sequence[Grid]) -> list[Range]:
    """For each grid the range of least KL divergence; min-max for grids of more than 8 bits.

    Thresholds are cut from both sides of zero at the same magnitude, as ONNX Runtime's calibrator does.
    """
    low, high = min(float(sums.lower[0]), 0.0), max(float(sums.upper[-1]), 0.0)
    found: list[Range] = [(low, high)] * len(grids)
    peak = max(-low, high)
    if peak == 0.0:
        return found
    counts, prefixes = _reference(sums, peak)
    for i, grid in enumerate(grids):
        if grid.bits <= MOST_BITS:
            grid = grid.for_low(low)
            share = _best_share(counts, prefixes, grid, low / peak, high / peak)
            found[i] = max(low, -share * peak), min(high, share * peak)
    return found


def _reference(sums: Sums, peak: float) -> tuple[Tensor, Tensor]:
    """Counts `[2 FINE]` over -peak..peak, and prefix sums `[3, 2 FINE + 1]` of count, occupied, c log c."""
    index = ((sums.centers / peak + 1) * FINE).to(torch.int64).clamp(0, 2 * FINE - 1)
    counts = torch.zeros(2 * FINE, dtype=torch.float64).index_add_(0, index, sums.counts)
    parts = torch.stack([counts, (counts > 0).to(torch.float64), torch.special.xlogy(counts, counts)])
    return counts, torch.nn.functional.pad(parts.cumsum(1), (1, 0))


def _best_share(counts: Tensor, prefixes: Tensor, grid: Grid, low: float, high: float) -> float:
    """The threshold of least divergence, as a share of the peak; `low`, `high`: the full range in peaks."""
    levels = grid.steps + 1
    least = max(levels / 2 / FINE, 1 / 64)
    shares = torch.logspace(0, 1, _CANDIDATES, base=least, dtype=torch.float64)
    start, stop = (-shares).clamp(min=low), shares.clamp(max=high)
    if grid.signed:
        start, stop = -shares, shares
    first, last = ((torch.round((end + 1) * FINE)).to(torch.int64) for end in (start, stop))
    cuts = torch.arange(levels + 1, dtype=torch.float64) / levels
    edges = first[:, None] + torch.round((last - first)[:, None] * cuts).to(torch.int64)
    mass, occupied, _ = prefixes[:, edges].diff(dim=2)
    # sum p log q over a code: its reference mass times the log of its mass spread over its occupied bins.
    spread = torch.where(occupied > 0, mass / occupied.clamp(min=1), 1.0)
    cross = torch.special.xlogy(mass, spread).sum(1)
    total, _, entropy = prefixes[:, -1]
    inside = prefixes[:, last] - prefixes[:, first]
    below, above = prefixes[0, first], total - prefixes[0, last]
    entropy = inside[2]
    for end, extra, code in ((first, below, 0), (last - 1, above, -1)):
        at_end = counts[end]
        entropy = entropy + torch.special.xlogy(at_end + extra, at_end + extra) - torch.special.xlogy(at_end, at_end)
        cross = cross + extra * torch.log(torch.where(occupied[:, code] > 0, spread[:, code], 1e-3))
    divergence = (entropy - cross) / total + torch.log(inside[0].clamp(min=1e-9) / total)
    return float(shares[int(divergence.argmin())])
