"""The histogram of one pass, its extremes, its sums, and what it refuses."""
from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from engine.errors import BadInput
from engine.quant.histogram import Histogram, MinMax


def filled(*parts: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.update(part)
    return histogram


def test_by_hand() -> None:
    # 1.0 opens the bin 1..1.0078125; 6 is the maximum, so its bin shrinks to 6; both zeros are one bin.
    histogram = filled(torch.tensor([0.0, -0.0, 1.0, 1.001, 6.0]), torch.tensor([[-2.0]]))
    assert (histogram.minimum, histogram.maximum, histogram.count) == (-2.0, 6.0, 6)
    assert histogram.centers().tolist() == [-2.0, 0.0, 1.00390625, 6.0]
    assert histogram.counts().tolist() == [1, 2, 2, 1]
    assert histogram.sums().prefix[0].tolist() == [0.0, 1.0, 3.0, 5.0, 6.0]


def test_agrees_with_raw_data_on_any_layout() -> None:
    torch.manual_seed(0)
    base = torch.randn(3, 300, 500) * 10
    for x in (base, base.transpose(0, 2), base[:, ::3], base.to(torch.float64), base.to(torch.float16)):
        histogram = filled(x)
        sums = histogram.sums().prefix[:, -1]
        exact = x.to(torch.float64)
        assert histogram.count == x.numel() == int(sums[0])
        assert (histogram.minimum, histogram.maximum) == (float(x.min()), float(x.max()))
        assert float(sums[1]) == pytest.approx(float(exact.sum()), abs=1e-3 * float(exact.abs().sum()))
        assert float(sums[2]) == pytest.approx(float(exact.square().sum()), rel=1e-3)


def test_centres_are_within_one_part_in_256() -> None:
    x = torch.logspace(-30, 30, 5000) * torch.tensor([1.0, -1.0]).repeat(2500)
    histogram = filled(x)
    centers = histogram.centers().repeat_interleave(histogram.counts())
    ordered = x.to(torch.float64).sort().values
    assert float(((centers - ordered) / ordered).abs().max()) <= 1 / 256


def test_look_up_equals_binary_search() -> None:
    torch.manual_seed(1)
    sums = filled(torch.randn(20_000), torch.zeros(3)).sums()
    special = torch.tensor([0.0, -0.0, 1e-40, -1e-40, 1e30])
    queries = torch.cat([torch.randn(5000, dtype=torch.float64) * 2, special])
    expected = torch.searchsorted(sums.centers, queries)
    # Only a query within float32 rounding of a centre may fall on its other side.
    near = (queries[:, None] - sums.centers).abs().min(1).values < 1e-6 * queries.abs()
    assert torch.equal(sums.index(queries)[~near].long(), expected[~near])
    assert int((sums.index(queries) - expected).abs().max()) <= 1


def test_chunks_order_and_merging_do_not_matter() -> None:
    torch.manual_seed(2)
    x = torch.randn(900_000)
    whole, small = filled(x), filled(*x.split(9_999))
    left, right = filled(x[:123_456]), filled(x[123_456:].abs(), -x[123_456:].abs())
    left.merge(filled(x[123_456:]))
    for other in (small, left):
        assert torch.equal(whole.centers(), other.centers()) and torch.equal(whole.counts(), other.counts())
        assert (whole.minimum, whole.maximum, whole.count) == (other.minimum, other.maximum, other.count)
    right.merge(Histogram())
    assert right.count == 2 * (900_000 - 123_456)


def test_sums_follow_later_updates() -> None:
    histogram = filled(torch.ones(4))
    assert histogram.counts().tolist() == [4]
    histogram.update(torch.ones(2) * -3)
    assert histogram.counts().tolist() == [2, 4]


def test_arrays_survive_a_file() -> None:
    torch.manual_seed(3)
    for made in (filled(torch.randn(10_000)), Histogram()):
        file = io.BytesIO()
        np.savez(file, **made.to_arrays())  # type: ignore[arg-type]
        file.seek(0)
        read = Histogram.from_arrays(np.load(file, allow_pickle=False))
        assert (read.minimum, read.maximum, read.count) == (made.minimum, made.maximum, made.count)
        if made.count:
            assert torch.equal(read.counts(), made.counts()) and torch.equal(read.centers(), made.centers())
    extremes = MinMax()
    extremes.update(torch.tensor([1.0, -4.0]))
    assert MinMax.from_arrays(extremes.to_arrays()).minimum == -4.0


@pytest.mark.parametrize("arrays", [
    {}, {"range": [0.0], "count": 1}, {"range": [0.0, 1.0], "count": 1},
    {"range": [0.0, 1.0], "count": 1, "keys": [70000], "counts": [1]},
    {"range": [0.0, 1.0], "count": 1, "keys": [1, 2], "counts": [1]},
    {"range": [0.0, 1.0], "count": 1, "keys": [-5], "counts": [1]},
    {"range": [0.0, 1.0], "count": 1, "keys": [5], "counts": [-1]},
    {"range": [0.0, 1.0], "count": 3, "keys": [5], "counts": [1]},
    {"range": [0.0, float("nan")], "count": 1, "keys": [5], "counts": [1]}])
def test_damaged_arrays_are_refused(arrays: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="calibrate again"):
        Histogram.from_arrays(arrays)


@pytest.mark.parametrize("kind", [Histogram, MinMax])
@pytest.mark.parametrize(("value", "words"), [
    (float("nan"), "1 NaN, 0 infinite"), (float("inf"), "0 NaN, 1 infinite"),
    (float("-inf"), "0 NaN, 1 infinite")])
def test_values_that_are_not_finite_are_refused_and_leave_no_trace(
        kind: type[MinMax], value: float, words: str) -> None:
    observer = kind()
    observer.update(torch.tensor([1.0, 2.0]))
    with pytest.raises(BadInput, match=f"1 of 3 values are not finite \\({words}"):
        observer.update(torch.tensor([5.0, value, 7.0]))
    assert (observer.minimum, observer.maximum, observer.count) == (1.0, 2.0, 2)


def test_empty() -> None:
    histogram = filled(torch.zeros(0, 3))
    assert histogram.count == 0
    with pytest.raises(BadInput, match="seen no values"):
        histogram.centers()
    with pytest.raises(BadInput, match="extremes alone"):
        histogram.merge(MinMax())
