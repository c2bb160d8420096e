"""The range of least squared error on a histogram, for many grids at once.

The error of a candidate is read off prefix sums, never off the data:
`clip_weight * sum (x - end)²` over the clipped values (exact), plus the rounding error inside. Where
codes are wide against the bins (up to 6 bits) that is summed code by code (exact on the bins); on finer
grids it is the uniform-noise model, `scale² / 12` for each value (Bennett 1948), with two corrections:
zeros have no error, and the other values of code 0 have error x².
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.quant.grid import Grid
from engine.quant.sums import Sums

Range = tuple[float, float]
_EXACT_BITS = 6
_SMALLEST = 1 / 64  # the narrowest range tried, as a share of the full one
_ONE_SIDED, _TWO_SIDED, _REFINED = 41, 16, 5  # candidates: coarse, coarse per side, refined per side


def percentile_range(sums: Sums, share: float) -> Range:
    """The range with at least `share` (0.5..1) of all values at or below its high end, and at or above
    its low end; zero is included."""
    total = float(sums.prefix[0, -1])
    # Rounded against 0.9999 * 10000 = 9999.000000000001, which would ask for one value more.
    need = share * total * (1 - 1e-12)
    last = len(sums.centers) - 1
    n = sums.prefix[0]
    above = int(torch.searchsorted(n[1:], need))
    below = int(torch.searchsorted((total - n[:-1]).flip(0), need))
    low, high = float(sums.lower[last - min(below, last)]), float(sums.upper[min(above, last)])
    return min(low, 0.0), max(high, 0.0)


def search_ranges(sums: Sums, grids: Sequence[Grid], clip_weight: float) -> list[Range]:
    """For each grid the range of least squared error, clipped values weighted with `clip_weight`.

    First a coarse search over shares of the full range (geometric, so that outliers of 64 times the
    bulk are passed by), on each side of zero for asymmetric grids; then a finer one around the best.
    """
    low, high = min(float(sums.lower[0]), 0.0), max(float(sums.upper[-1]), 0.0)
    grids = [grid.for_low(low) for grid in grids]
    found: list[Range] = [(low, high)] * len(grids)
    if low == high:
        return found
    for symmetric in (True, False):
        chosen = [i for i, grid in enumerate(grids) if grid.symmetric == symmetric]
        if chosen:
            ranges = _Search(sums, [grids[i] for i in chosen], low, high, clip_weight).run()
            for i, best in zip(chosen, ranges, strict=True):
                found[i] = best
    return found


class _Search:
    """One search over grids that are all symmetric or all asymmetric; arrays are `[grids, candidates]`."""

    def __init__(self, sums: Sums, grids: Sequence[Grid], low: float, high: float,
                 clip_weight: float) -> None:
        self.sums, self.grids, self.clip_weight = sums, grids, clip_weight
        self.low, self.high = low, high
        self.qmin = torch.tensor([[float(g.qmin)] for g in grids], dtype=torch.float64)
        self.qmax = torch.tensor([[float(g.qmax)] for g in grids], dtype=torch.float64)
        self.two_sided = not grids[0].symmetric and low < 0 < high

    def run(self) -> list[Range]:
        """The best range of each grid, its ends on the grid."""
        coarse = _TWO_SIDED if self.two_sided else _ONE_SIDED
        shares = torch.logspace(0, 1, coarse, base=_SMALLEST, dtype=torch.float64)[None]
        lows, highs = self._pairs(shares, shares)
        best = self._cost(*self._grid_of(lows, highs))[0].argmin(1, keepdim=True)
        step = _SMALLEST ** (1 / (coarse - 1))
        refined = _REFINED if self.two_sided else 2 * _REFINED + 1
        fine = torch.linspace(-0.8, 0.8, refined, dtype=torch.float64)
        around = step ** fine[None]
        lows, highs = self._pairs((lows.expand(len(self.grids), -1).gather(1, best) * around).clamp(max=1.0),
                                  (highs.expand(len(self.grids), -1).gather(1, best) * around).clamp(max=1.0))
        # The full range is always a candidate: a search is never worse than min-max.
        ones = lows.new_ones(len(self.grids), 1)
        scale, zero = self._grid_of(torch.cat([lows, ones], 1), torch.cat([highs, ones], 1))
        cost, clipped = self._cost(scale, zero)
        rows = [row for row, grid in enumerate(self.grids) if grid.bits <= _EXACT_BITS]
        if rows:
            cost[rows] = self._exact_cost(scale, zero, rows) + (self.clip_weight - 1) * clipped[rows]
        best = cost.argmin(1, keepdim=True)
        scale, zero = scale.gather(1, best), zero.gather(1, best)
        ends = torch.cat([(self.qmin - zero) * scale, (self.qmax - zero) * scale], 1)
        return [(float(low), float(high)) for low, high in ends.tolist()]

    def _pairs(self, lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs of shares for two-sided ranges, the same share on both sides for others."""
        if not self.two_sided:
            return lows, highs
        rows, a, b = lows.shape[0], lows.shape[1], highs.shape[1]
        return (lows[:, :, None].expand(rows, a, b).reshape(rows, -1),
                highs[:, None, :].expand(rows, a, b).reshape(rows, -1))

    def _grid_of(self, lows: Tensor, highs: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero point, as `encode_range` derives them, of shares of the full range."""
        low, high = lows * self.low, highs * self.high
        floor = torch.tensor([[g.min_scale] for g in self.grids], dtype=torch.float64)
        if not self.grids[0].symmetric:
            scale = ((high - low) / (self.qmax - self.qmin)).maximum(floor)
            return scale, torch.round(-low / scale)
        below = torch.where(self.qmin < 0, low / self.qmin.clamp(max=-1.0), 0.0)
        scale = torch.maximum(high / self.qmax, below).maximum(floor)
        return scale, torch.zeros_like(scale)

    def _cost(self, scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
        """The error under the uniform-noise model, clipping weighted; and the error of clipping alone."""
        low, high = (self.qmin - zero) * scale, (self.qmax - zero) * scale
        half = scale / 2
        # One look-up for all four edges: below `first` and from `beyond` on is clipped, `dead` to `alive`
        # is code 0.
        edges = self.sums.index(torch.stack([low, -half, half, high]))
        first, beyond = edges[0], edges[3]
        dead = edges[1].maximum(first)
        alive = edges[2].minimum(beyond).maximum(dead)
        (n0, n1, n2, n3), (x0, _, _, x3), (xx0, xx1, xx2, xx3) = self.sums.before(
            torch.stack([first, dead, alive, beyond]))
        n, x, xx = self.sums.prefix[:, -1]
        clipped = xx0 - 2 * low * x0 + low * low * n0
        clipped += (xx - xx3) - 2 * high * (x - x3) + high * high * (n - n3)
        cost = self.clip_weight * clipped + scale * scale / 12 * (n3 - n0 - n2 + n1) + (xx2 - xx1)
        return cost, clipped

    def _exact_cost(self, scale: Tensor, zero: Tensor, rows: list[int]) -> Tensor:
        """The error summed code by code, clipping unweighted, of the candidates `[rows, C]` of these grids."""
        levels = max(self.grids[row].steps for row in rows) + 1
        step, shift, top = scale[rows][..., None], (self.qmin[rows] - zero[rows])[..., None], self.qmax[rows]
        codes = torch.arange(levels, dtype=torch.float64) + shift
        edges = self.sums.index((codes + 0.5) * step)
        # The last code of each grid takes all that is left; the columns beyond it stay empty.
        end = codes >= (top - zero[rows])[..., None]
        edges = torch.nn.functional.pad(edges.masked_fill_(end, len(self.sums.centers)), (1, 0))
        n, x, xx = (part.diff(dim=-1) for part in self.sums.before(edges))
        values = codes * step
        error: Tensor = (xx - 2 * values * x + values * values * n).sum(-1)
        return error
