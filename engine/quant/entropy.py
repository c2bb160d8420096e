"""The range that keeps most of a distribution's shape: least KL divergence, after TensorRT.

S. Migacz, "8-bit inference with TensorRT" (GTC 2017): a fine histogram P, cut at a threshold t with the
mass beyond added to the last bin, is compared with Q, the histogram inside t at the grid's resolution,
spread evenly over the occupied fine bins of each code. t of the least KL(P || Q) wins.

The bins of P are only as fine as the calibration's: 64 to 128 in the upper half of the range, against 64
codes of a symmetric 8-bit grid. At 8 bits P is therefore smoother than a linear histogram's, and the
range tends to be the wider one.
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
    peak = max(-low, high)
    found: list[Range] = [(low, high)] * len(grids)
    if peak == 0.0:
        return found
    grids = [grid.for_low(low) for grid in grids]
    for signed in (True, False):
        chosen = [i for i, grid in enumerate(grids) if grid.signed == signed and grid.bits <= MOST_BITS]
        if chosen:
            ends = (-1.0, 1.0) if signed else (low / peak, high / peak)
            shares = _best_shares(_Reference(sums, peak), {grids[i].bits for i in chosen}, *ends)
            for i in chosen:
                cut = shares[grids[i].bits] * peak
                found[i] = max(low, -cut), min(high, cut)
    return found


class _Reference:
    """The fine histogram P of `2 FINE` bins over `-peak..peak`, without the zeros.

    Each bfloat16 bin is spread evenly over the fine bins it covers. Zeros (half of the values after a
    ReLU) are exact on every grid; as a spike in P they would outweigh all else.
    """

    def __init__(self, sums: Sums, peak: float) -> None:
        edges = (torch.arange(2 * FINE + 1, dtype=torch.float64) / FINE - 1) * peak
        mass = torch.where(sums.centers == 0, 0.0, sums.counts)
        # The last bin that begins at or below each edge.
        at = sums.index(edges).clamp_(max=len(mass) - 1).to(torch.int64)
        at = (at - (sums.lower[at] > edges).to(torch.int64)).clamp_(min=0)
        lower = sums.lower[at]
        part = ((edges - lower) / (sums.upper[at] - lower).clamp(min=1e-300)).clamp_(0, 1)
        self.counts = ((mass.cumsum(0) - mass)[at] + part * mass[at]).diff().clamp_(min=0)
        parts = torch.stack([self.counts, (self.counts > 1e-6).to(torch.float64),
                             torch.special.xlogy(self.counts, self.counts)])
        #: Sums `[3, 2 FINE + 1]` of count, occupied and count·log count over the bins before each index.
        self.prefix = torch.nn.functional.pad(parts.cumsum(1), (1, 0))


def _best_shares(reference: _Reference, widths: set[int], low: float, high: float) -> dict[int, float]:
    """For each bit-width the threshold of least divergence, as a share of the peak.

    `low`, `high`: the full range in peaks. All widths are read off one table at the largest width: the
    codes of a narrower grid are unions of two of the next wider one.
    """
    widest = max(widths)
    shares = torch.logspace(0, 1, _CANDIDATES, base=1 / 64, dtype=torch.float64)
    first = torch.round(((-shares).clamp(min=low) + 1) * FINE).to(torch.int64)
    last = torch.round((shares.clamp(max=high) + 1) * FINE).to(torch.int64)
    span = last - first
    cuts = torch.arange((1 << widest) + 1) * span[:, None]
    edges = first[:, None] + (cuts + (1 << widest >> 1)).bitwise_right_shift_(widest)
    before = reference.prefix[0].index_select(0, edges.view(-1)).view(edges.shape)
    mass = before.diff(dim=1)
    occupied = reference.prefix[1].index_select(0, edges.view(-1)).view(edges.shape).diff(dim=1)
    below, above = before[:, 0], reference.prefix[0, -1] - before[:, -1]
    own = _clipped_entropy(reference, first, last, below, above)
    empty = (mass.sum(1) < 0.5).logical_and_(shares < 1)
    best = {}
    for bits in range(widest, min(widths) - 1, -1):
        if bits in widths:
            divergence = own - _cross_entropy(mass, occupied, below, above)
            # Nothing to compare: fewer fine bins than codes, or no value inside.
            divergence[empty | (span < 1 << bits)] = float("inf")
            best[bits] = float(shares[int(divergence.argmin())])
        mass, occupied = mass[:, ::2] + mass[:, 1::2], occupied[:, ::2] + occupied[:, 1::2]
    return best


def _clipped_entropy(reference: _Reference, first: Tensor, last: Tensor, below: Tensor,
                     above: Tensor) -> Tensor:
    """`sum p log p` of P with the clipped mass in its end bins, less the constant that normalizes Q."""
    inside = reference.prefix[2, last] - reference.prefix[2, first]
    for bin_, extra in ((first, below), (last - 1, above)):
        kept = reference.counts[bin_]
        inside = inside + torch.special.xlogy(kept + extra, kept + extra) - torch.special.xlogy(kept, kept)
    total = reference.prefix[0, -1]
    return inside - total * torch.log(total / (total - below - above).clamp(min=1e-9))


def _cross_entropy(mass: Tensor, occupied: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """`sum p log q`, with the mass `[C, codes]` of each code spread evenly over its occupied fine bins."""
    spread = torch.log(mass.clamp(min=1e-3) / occupied.clamp(min=1))
    return (mass * spread).sum(1) + below * spread[:, 0] + above * spread[:, -1]
