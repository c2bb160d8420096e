"""Statistics of clipped tensors: derived ones are those that watching would have found, bin by bin."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from onnx import helper

from engine.data import Dataset
from engine.graph import from_proto
from engine.quant.histogram import Histogram, MinMax
from engine.sim.calibration import gather
from engine.sim.chain import Chain
from engine.sim.clips import Clipped, clipped_tensors
from tests.graphs import proto, weights


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (0.0, math.inf), (-math.inf, 1.25), (-1.125, 2.75), (-3.0, -0.5), (100.0, 200.0)])
def test_a_clipped_histogram_is_the_histogram_of_clipped_values(low: float, high: float) -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0)) * 3
    whole, direct = Histogram(), Histogram()
    whole.update(x)
    direct.update(x.clamp(low, high))
    derived = whole.clipped(low, high)
    assert (derived.minimum, derived.maximum, derived.count) == (direct.minimum, direct.maximum, direct.count)
    assert torch.equal(derived.counts(), direct.counts()) and torch.equal(derived.centers(), direct.centers())


def test_calibration_derives_what_a_clip_makes_of_a_watched_tensor() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"), helper.make_node("Relu", ["h"], ["r"], name="relu"),
             helper.make_node("Clip", ["r", "", "six"], ["y"], name="clip")]
    net = from_proto(proto(nodes, {"x": ["n", 4]}, {"y": ["n", 8]}, {"w": weights(4, 8), "six": np.float32(0.5)}), "net")
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)})
    assert clipped_tensors(net, frozenset({"h", "r", "y"})) == {"r": Clipped("h", 0.0, math.inf), "y": Clipped("r", -math.inf, 0.5)}
    assert list(clipped_tensors(net, frozenset({"h", "y"}))) == []
    for histograms in (True, False):
        found = gather(Chain(net), data, ["y", "x", "r", "h"], histograms=histograms)
        assert list(found) == ["y", "x", "r", "h"]
        alone = {name: gather(Chain(net), data, [name], histograms=histograms)[name] for name in found}
        assert all(_same(found[name], alone[name]) for name in found)


def _same(a: MinMax, b: MinMax) -> bool:
    if (a.minimum, a.maximum, a.count) != (b.minimum, b.maximum, b.count):
        return False
    return not isinstance(a, Histogram) or (isinstance(b, Histogram) and torch.equal(a.counts(), b.counts()))
