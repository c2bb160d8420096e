"""Properties that hold for every tensor, width and symmetry."""
from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.quant.encoding import encode_range
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram
from engine.quant.ranges import METHODS, find_range, find_ranges

finite = st.floats(-1e6, 1e6, width=32).map(lambda v: 0.0 if abs(v) < 1e-3 else v)
values = st.lists(finite, min_size=1, max_size=64).map(lambda v: torch.tensor(v, dtype=torch.float32))
symmetries = st.sampled_from(["asymmetric", "symmetric", "strict", "unsigned"])
grids = st.builds(Grid, st.integers(2, 16), symmetries)
methods = st.sampled_from(sorted(METHODS))


def encoding_of(x: torch.Tensor, grid: Grid, method: str = "min_max"):  # type: ignore[no-untyped-def]
    histogram = Histogram()
    histogram.update(x)
    return encode_range(*find_range(histogram, grid, METHODS[method]()), grid)


@settings(deadline=None, max_examples=200)
@given(values, grids, methods)
def test_idempotent_zero_exact_and_bounded(x: torch.Tensor, grid: Grid, method: str) -> None:
    encoding = encoding_of(x, grid, method)
    y = encoding.fake_quantize(x)
    assert torch.equal(encoding.fake_quantize(y), y)
    assert torch.equal(encoding.quantize(y), encoding.quantize(x))
    assert float(encoding.fake_quantize(torch.zeros(()))) == 0.0
    assert float(encoding.low) <= 0.0 <= float(encoding.high)
    assert bool((y >= encoding.low).all() and (y <= encoding.high).all())
    codes = encoding.quantize(x)
    assert encoding.grid.qmin <= int(codes.min()) and int(codes.max()) <= encoding.grid.qmax


@settings(deadline=None, max_examples=100)
@given(values, grids)
def test_min_max_error_is_at_most_half_a_step(x: torch.Tensor, grid: Grid) -> None:
    encoding = encoding_of(x, grid)
    step = float(encoding.scale)
    # Asymmetric ranges are shifted by up to half a step to put zero on the grid, which clips as much.
    bound = step * (1.0 if grid.symmetry == "asymmetric" else 0.5) + 1e-5 * float(x.abs().max())
    assert float((encoding.fake_quantize(x) - x).abs().max()) <= bound


@settings(deadline=None, max_examples=100)
@given(values, symmetries, st.integers(2, 8))
def test_the_step_shrinks_with_every_bit(x: torch.Tensor, symmetry: str, bits: int) -> None:
    few, more = (encoding_of(x, Grid(b, symmetry)) for b in (bits, bits + 1))  # type: ignore[arg-type]
    floor = 1.2e-7
    assert float(more.scale) <= max(float(few.scale) * 0.51, floor)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), symmetries,
       st.sampled_from(["min_max", "percentile", "sqnr", "mse"]))
def test_error_falls_with_bits(seed: int, symmetry: str, method: str) -> None:
    # Monotone for each tensor only in the large (a lucky value may sit on a coarse grid), so on 4,000 values.
    # Percentile clips the same values at any width, which then are all of the error: a tolerance of 2 %.
    # Entropy is left out: it weighs the shape, and may clip more at one bit more.
    x = torch.randn(4000, generator=torch.Generator().manual_seed(seed))
    histogram = Histogram()
    histogram.update(x)
    widths = [Grid(bits, symmetry) for bits in range(2, 17)]  # type: ignore[arg-type]
    errors = [float((encode_range(*r, g).fake_quantize(x) - x).square().sum())
              for g, r in zip(widths, find_ranges(histogram, widths, METHODS[method]()), strict=True)]
    slack = 1.02 if method == "percentile" else 1.0
    assert all(more <= slack * few for few, more in itertools.pairwise(errors))
