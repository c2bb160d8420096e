"""Weight encodings per tensor, channel and block."""
from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.errors import BadInput
from engine.quant.encoding import encode_range
from engine.quant.granularity import Granularity, PerBlock, PerChannel, PerTensor
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram
from engine.quant.precision import FP16, Int
from engine.quant.ranges import METHODS, Entropy, Mse, Percentile, Sqnr, find_range
from engine.quant.weights import weight_encoding


def test_by_hand() -> None:
    weight = torch.tensor([[0.7, -0.1, 0.2, 0.35], [-1.6, 0.3, 2.8, 0.0]])
    scales: dict[Granularity, Any] = {PerTensor(): 0.4, PerChannel(0): [0.1, 0.4], PerChannel(1): [0.2, 0.3 / 7, 0.4, 0.05],
              PerBlock(1, 2): [[0.1, 0.05], [0.2, 0.4]], PerBlock(0, 2): [[0.2, 0.3 / 7, 0.4, 0.05]]}
    for granularity, expected in scales.items():
        encoding = weight_encoding(weight, Int(4), "symmetric", granularity)
        torch.testing.assert_close(encoding.scale, torch.tensor(expected))
        assert encoding.granularity == granularity and encoding.dtype == Int(4)


def test_convolution_blocks_and_negative_axes() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 8, 3, 3)
    encoding = weight_encoding(weight, Int(4), "symmetric", PerBlock(1, 4))
    assert encoding.scale is not None and encoding.scale.shape == (6, 2, 3, 3)
    block = weight[3, 4:8, 1, 2]
    expected = max(float(block.max()) / 7, -float(block.min()) / 8)
    assert float(encoding.scale[3, 1, 1, 2]) == pytest.approx(expected)
    last = weight_encoding(weight, Int(8), "asymmetric", PerChannel(-1))
    assert torch.equal(last.scale, weight_encoding(weight, Int(8), "asymmetric", PerChannel(3)).scale)  # type: ignore[arg-type]


def test_unsigned_falls_back_for_the_whole_weight() -> None:
    assert weight_encoding(torch.ones(2, 2), Int(8), "unsigned", PerChannel(0)).grid == Grid(8, "unsigned")
    mixed = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    assert weight_encoding(mixed, Int(8), "unsigned", PerChannel(0), Mse()).grid == Grid(8, "symmetric")


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerBlock(1, 32)])
@pytest.mark.parametrize("symmetry", ["symmetric", "strict", "asymmetric"])
def test_least_error_against_brute_force(symmetry: str, granularity: Granularity) -> None:
    # Each group at most 10 % (symmetric) or 25 % (asymmetric: shared and alternating steps of two ends,
    # no grid of pairs) above a dense search, and 2 % or 5 % over all groups: candidates are 3 % apart, and
    # the error of 32 values is a jagged function of the range.
    torch.manual_seed(1)
    weight = torch.randn(8, 64) * torch.rand(8, 1) + 0.1
    weight[2, 5] = 6.0
    found = weight_encoding(weight, Int(4), symmetry, granularity, Mse())  # type: ignore[arg-type]
    rows = weight.reshape({PerTensor(): (1, 512), PerChannel(0): (8, 64)}.get(granularity, (16, 32)))
    got = (found.fake_quantize(weight) - weight).square().reshape(rows.shape).sum(1)
    best = torch.full((len(rows),), float("inf"))
    shares = torch.logspace(0, 1, 40, base=1 / 16).tolist()
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    for a in shares:
        for b in shares if symmetry == "asymmetric" else [a]:
            encoding = encode_range(low * a, high * b, Grid(4, symmetry), PerChannel(0))  # type: ignore[arg-type]
            best = best.minimum((encoding.fake_quantize(rows) - rows).square().sum(1))
    each, total = (1.25, 1.05) if symmetry == "asymmetric" else (1.10, 1.02)
    assert bool((got <= each * best).all()) and float(got.sum()) <= total * float(best.sum())


def test_clip_weight_keeps_more_of_the_range() -> None:
    torch.manual_seed(2)
    weight = torch.randn(4, 512)
    ends = [weight_encoding(weight, Int(4), "symmetric", PerChannel(0), m).high for m in (Mse(), Sqnr(10.0))]
    assert bool((ends[1] >= ends[0]).all() and (ends[1] > ends[0]).any())


def test_percentile_and_entropy_agree_with_the_histogram() -> None:
    torch.manual_seed(3)
    weight = torch.randn(2, 20_000)
    for method, tolerance in ((Percentile(99.0), 1 / 128), (Entropy(), 1e-6)):
        encoding = weight_encoding(weight, Int(8), "symmetric", PerChannel(0), method)
        for row, scale in zip(weight, encoding.scale, strict=True):  # type: ignore[arg-type]
            histogram = Histogram()
            histogram.update(row)
            same = encode_range(*find_range(histogram, Grid(8, "symmetric"), method), Grid(8, "symmetric"))
            assert float(scale) == pytest.approx(float(same.scale), rel=tolerance)  # type: ignore[arg-type]


def test_small_groups_get_min_max_from_entropy() -> None:
    weight = torch.arange(-8.0, 8.0).reshape(2, 8)
    full, entropy = (weight_encoding(weight, Int(4), "symmetric", PerChannel(0), m) for m in
                     (METHODS["min_max"](), Entropy()))
    assert full.key() == entropy.key()


def test_dead_channels_and_float_types() -> None:
    weight = torch.stack([torch.zeros(8), torch.linspace(-1, 1, 8)])
    for kind in METHODS.values():
        encoding = weight_encoding(weight, Int(4), "symmetric", PerChannel(0), kind())
        assert torch.equal(encoding.fake_quantize(weight)[0], weight[0])
    assert weight_encoding(weight, FP16, "symmetric", PerChannel(0)).scale is None


@pytest.mark.parametrize(("weight", "granularity", "words"), [
    (torch.tensor([[1.0, float("nan")]]), PerTensor(), "1 of 2 weights are NaN or infinite"),
    (torch.tensor([[1.0, float("inf")]]), PerChannel(0), "1 of 2 weights"),
    (torch.zeros(0, 3), PerChannel(0), "no values"),
    (torch.ones(2, 6), PerBlock(1, 4), "blocks of 4 do not divide axis 1 of length 6"),
    (torch.ones(2, 6), PerChannel(2), "axis 2")])
def test_bad_weights_are_refused(weight: torch.Tensor, granularity: Granularity, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        weight_encoding(weight, Int(4), "symmetric", granularity)
