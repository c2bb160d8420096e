"""Grids and encodings on examples worked by hand."""
from __future__ import annotations

import pytest
import torch

from engine.errors import BadInput
from engine.quant.encoding import Encoding, encode_range
from engine.quant.granularity import PerBlock, PerChannel, PerTensor
from engine.quant.grid import Grid
from engine.quant.precision import BF16, FP16, FP32, Int


@pytest.mark.parametrize(("bits", "symmetry", "qmin", "qmax"), [
    (8, "asymmetric", 0, 255), (8, "unsigned", 0, 255), (8, "symmetric", -128, 127), (8, "strict", -127, 127),
    (4, "symmetric", -8, 7), (4, "strict", -7, 7), (2, "strict", -1, 1), (16, "asymmetric", 0, 65535),
    (16, "symmetric", -32768, 32767)])
def test_codes_of_each_grid(bits: int, symmetry: str, qmin: int, qmax: int) -> None:
    grid = Grid(bits, symmetry)  # type: ignore[arg-type]
    assert (grid.qmin, grid.qmax, grid.steps) == (qmin, qmax, qmax - qmin)
    assert grid.signed == (qmin < 0)
    assert grid.symmetric == (symmetry != "asymmetric")


def test_grid_refuses_unknown_symmetry_and_width() -> None:
    with pytest.raises(BadInput, match="'symmetric'"):
        Grid(8, "symetric")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="17 bits"):
        Grid(17, "symmetric")


def test_asymmetric_int8_per_tensor() -> None:
    # -1..1.55 is 2.55 wide: scale 0.01, and zero lies on code 100.
    encoding = encode_range(-1.0, 1.55, Grid(8, "asymmetric"))
    assert float(encoding.scale) == pytest.approx(0.01, rel=1e-6)  # type: ignore[arg-type]
    assert int(encoding.zero_point) == 100  # type: ignore[arg-type]
    assert int(encoding.offset) == -100
    assert float(encoding.low) == pytest.approx(-1.0) and float(encoding.high) == pytest.approx(1.55)
    x = torch.tensor([-2.0, -1.0, -0.006, 0.0, 0.004, 0.016, 1.55, 9.0])
    assert encoding.quantize(x).tolist() == [0, 0, 99, 100, 100, 102, 255, 255]
    expected = torch.tensor([-1.0, -1.0, -0.01, 0.0, 0.0, 0.02, 1.55, 1.55])
    torch.testing.assert_close(encoding.fake_quantize(x), expected)


def test_asymmetric_range_is_shifted_so_that_zero_is_a_code() -> None:
    # -1.2..1.8 is 3 wide: scale 1 at 2 bits. Zero lies 1.2 steps from the low end: shifted by 0.2.
    encoding = encode_range(-1.2, 1.8, Grid(2, "asymmetric"))
    assert (float(encoding.low), float(encoding.high)) == pytest.approx((-1.0, 2.0))


def test_zero_is_included_in_a_range_that_lies_on_one_side() -> None:
    above, below = (encode_range(*r, Grid(8, "asymmetric")) for r in ((1.0, 2.55), (-2.55, -1.0)))
    assert float(above.scale) == pytest.approx(0.01) and int(above.zero_point) == 0  # type: ignore[arg-type]
    assert int(below.zero_point) == 255 and float(below.high) == 0.0  # type: ignore[arg-type]


def test_symmetric_int4_per_channel() -> None:
    # Channel 0: max(0.7/7, 0.4/8) = 0.1. Channel 1: max(0.7/7, 1.6/8) = 0.2: the negative end decides.
    low, high = torch.tensor([-0.4, -1.6]), torch.tensor([0.7, 0.7])
    encoding = encode_range(low, high, Grid(4, "symmetric"), PerChannel(0))
    torch.testing.assert_close(encoding.scale, torch.tensor([0.1, 0.2]))
    assert encoding.zero_point.tolist() == [0, 0]  # type: ignore[union-attr]
    assert encoding.offset.tolist() == [-8, -8]
    x = torch.tensor([[0.7, -0.4, 0.26], [0.66, -1.6, 0.26]])
    assert encoding.quantize(x).tolist() == [[7, -4, 3], [3, -8, 1]]
    last = Encoding(encoding.dtype, PerChannel(-1), encoding.grid, encoding.scale, encoding.zero_point)
    assert torch.equal(last.fake_quantize(x.T), encoding.fake_quantize(x).T)


def test_strict_drops_the_most_negative_code() -> None:
    encoding = encode_range(-1.4, 0.7, Grid(4, "strict"))
    assert float(encoding.scale) == pytest.approx(0.2)  # type: ignore[arg-type]
    assert int(encoding.offset) == -7
    assert encoding.quantize(torch.tensor([-1.4, -1.6, 9.0])).tolist() == [-7, -7, 7]


def test_unsigned_where_nothing_is_negative_else_symmetric() -> None:
    positive = encode_range(0.0, 1.5, Grid(4, "unsigned"))
    assert positive.grid == Grid(4, "unsigned")
    assert float(positive.scale) == pytest.approx(0.1) and int(positive.offset) == 0  # type: ignore[arg-type]
    assert encode_range(-0.8, 0.7, Grid(4, "unsigned")).grid == Grid(4, "symmetric")


def test_int4_per_block() -> None:
    # Two outputs (rows), blocks of two along the inputs: scales [2, 2], each max/7.
    low, high = torch.zeros(2, 2), torch.tensor([[0.7, 1.4], [2.1, 2.8]])
    encoding = encode_range(low, high, Grid(4, "symmetric"), PerBlock(1, 2))
    torch.testing.assert_close(encoding.scale, torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
    x = torch.tensor([[0.7, 0.24, 1.4, 0.24], [2.1, -0.2, 2.8, -0.7]])
    assert encoding.quantize(x).tolist() == [[7, 2, 7, 1], [7, -1, 7, -2]]
    expected = torch.tensor([[0.7, 0.2, 1.4, 0.2], [2.1, -0.3, 2.8, -0.8]])
    torch.testing.assert_close(encoding.fake_quantize(x), expected)


def test_rounds_half_to_even() -> None:
    encoding = encode_range(-8.0, 7.0, Grid(4, "symmetric"))
    assert encoding.quantize(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])).tolist() == [0, 2, 2, 0, -2]


def test_huge_values_saturate_and_do_not_wrap() -> None:
    encoding = encode_range(-1.0, 1.0, Grid(8, "asymmetric"))
    assert encoding.quantize(torch.tensor([3e38, -3e38])).tolist() == [255, 0]


def test_smallest_scale() -> None:
    assert float(encode_range(0.0, 0.0, Grid(8, "asymmetric")).scale) == pytest.approx(1.19e-7)  # type: ignore[arg-type]
    tiny = encode_range(-1e-30, 1e-30, Grid(16, "symmetric"))
    assert float(tiny.scale) == pytest.approx(1.19e-7)  # type: ignore[arg-type]
    assert tiny.fake_quantize(torch.tensor(1e-30)) == 0


def test_half_precision_casts_and_reports_overflow() -> None:
    half = Encoding(FP16)
    # 11 significant bits: 2049 lies between 2048 and 2050 and goes to the even one.
    assert half.fake_quantize(torch.tensor([2049.0, 1 / 3])).tolist() == [2048.0, 0.333251953125]
    assert Encoding(BF16).fake_quantize(torch.tensor([257.0, 70000.0])).tolist() == [256.0, 70144.0]
    assert Encoding(FP32).fake_quantize(torch.tensor(2049.3)) == torch.tensor(2049.3)
    assert half.fake_quantize(torch.tensor(7e4)) == float("inf")
    with pytest.raises(BadInput, match=r"70000 overflow fp16.*65504"):
        half.fake_quantize(torch.tensor([1.0, 7e4, float("inf")]), check=True)
    half.fake_quantize(torch.tensor([6.5e4, float("inf")]), check=True)  # infinite from the start: not ours
    assert (float(half.low), float(half.high)) == (-65504.0, 65504.0)


@pytest.mark.parametrize(("low", "high"), [(float("nan"), 1.0), (0.0, float("inf")), (2.0, 1.0)])
def test_unusable_ranges_are_named(low: float, high: float) -> None:
    with pytest.raises(BadInput, match=f"{low} to {high}"):
        encode_range(low, high, Grid(8, "asymmetric"))


def test_unusable_range_of_one_channel_is_named() -> None:
    with pytest.raises(BadInput, match=r"nan to 1.0 at index \[1\] \(1 in all\)"):
        encode_range(torch.tensor([0.0, float("nan")]), torch.ones(2), Grid(8, "symmetric"), PerChannel(0))


def test_parts_that_do_not_fit_are_refused() -> None:
    one, zero, grid = torch.tensor(1.0), torch.tensor(0, dtype=torch.int32), Grid(8, "symmetric")
    with pytest.raises(BadInput, match="has no grid"):
        Encoding(FP16, PerTensor(), grid)
    with pytest.raises(BadInput, match="needs a grid"):
        Encoding(Int(8))
    with pytest.raises(BadInput, match="does not fit a grid"):
        Encoding(Int(4), PerTensor(), grid, one, zero)
    with pytest.raises(BadInput, match="positive"):
        Encoding(Int(8), PerTensor(), grid, -one, zero)
    with pytest.raises(BadInput, match="zero points must be 0"):
        Encoding(Int(8), PerTensor(), grid, one, zero + 1)
    with pytest.raises(BadInput, match=r"\[1\] do not fit PerTensor"):
        Encoding(Int(8), PerTensor(), grid, one[None], zero[None])
    channels = Encoding(Int(8), PerChannel(0), grid, torch.ones(3), torch.zeros(3, dtype=torch.int32))
    with pytest.raises(BadInput, match=r"expected \[2\]"):
        channels.fake_quantize(torch.ones(2, 3))
    with pytest.raises(BadInput, match="no scale"):
        Encoding(FP16).quantize(one)


def test_key_tells_contents_apart() -> None:
    grid = Grid(8, "asymmetric")
    keys = [encode_range(-1.0, 1.0, grid).key(), encode_range(-1.0, 1.1, grid).key(),
            encode_range(-1.0, 1.0, Grid(8, "symmetric")).key(), Encoding(FP16).key(), Encoding(BF16).key(),
            encode_range(torch.tensor([-1.0]), torch.tensor([1.0]), grid, PerChannel(0)).key()]
    assert len(set(keys)) == len(keys)
    assert encode_range(-1.0, 1.0, grid).key() == keys[0]
