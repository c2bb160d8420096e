"""QuantSim: encodings from a plan and statistics, read, frozen, overridden and reset."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data import Dataset
from engine.errors import BadInput
from engine.graph import Model, from_proto
from engine.quant.encoding import encode_range
from engine.quant.grid import Grid
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net


@pytest.fixture(scope="module")
def net() -> Model:
    return from_proto(conv_net(), "net")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset("toy", {"x": np.random.default_rng(0).normal(size=(16, 3, 12, 12)).astype(np.float32)})


@pytest.fixture
def sim(net: Model, data: Dataset) -> QuantSim:
    found = QuantSim(net, Recipe(target="generic"))
    found.calibrate(data)
    return found


def test_without_calibration_it_says_which_tensors_need_it(net: Model) -> None:
    sim = QuantSim(net, Recipe(target="generic"))
    assert "x" in sim.missing()
    with pytest.raises(BadInput, match=r"have no range yet .*'x'.*calibrate"):
        sim.run({"x": np.zeros((1, 3, 12, 12), np.float32)})


def test_min_max_ranges_are_those_of_the_data(sim: QuantSim, data: Dataset) -> None:
    encoding = sim.quantization.activations["x"]
    values = data.batch(0, 16)["x"]
    assert float(encoding.low) == pytest.approx(values.min(), abs=float(encoding.scale or 0) / 2)
    assert float(encoding.high) == pytest.approx(values.max(), abs=float(encoding.scale or 0) / 2)


def test_other_bits_need_no_data(sim: QuantSim, data: Dataset) -> None:
    calls = []
    original = Dataset.batch
    Dataset.batch = lambda *a: calls.append(a) or original(*a)  # type: ignore[method-assign,func-returns-value]
    try:
        for bits in range(2, 17):
            sim.update(Recipe(precision=f"w8a{bits}", target="generic"))  # type: ignore[arg-type]
            grid = sim.quantization.activations["x"].grid
            assert grid is not None
            assert grid.bits == bits
    finally:
        Dataset.batch = original  # type: ignore[method-assign]
    assert calls == []


def test_override_freeze_reset(sim: QuantSim, data: Dataset) -> None:
    own = sim.quantization.activations["x"]
    fixed = encode_range(-1.0, 1.0, Grid(8, "asymmetric"))
    sim.override("x", fixed)
    assert sim.quantization.activations["x"] is fixed
    sim.reset(["x"])
    assert sim.quantization.activations["x"].key() == own.key()
    sim.freeze()
    sim.calibrate(Dataset("other", {"x": 100 * data.batch(0, 4)["x"]}))
    assert sim.quantization.activations["x"].key() == own.key()
    sim.reset()
    assert sim.quantization.activations["x"].key() != own.key()
    with pytest.raises(BadInput, match="Did you mean"):
        sim.override("xx", fixed)


def test_weights_are_rounded_per_channel(sim: QuantSim, net: Model) -> None:
    encoding = sim.quantization.constants["w1"]
    weight = net.constant("w1")
    want = np.abs(weight).reshape(8, -1)
    scale = np.maximum(weight.reshape(8, -1).max(1) / 127, -weight.reshape(8, -1).min(1) / 128)
    assert np.allclose(encoding.scale.numpy(), scale, rtol=1e-6)  # type: ignore[union-attr]
    seen = sim.chain.constant("w1", sim.quantization)
    assert np.abs(seen - weight).max() <= scale.max() / 2 * (1 + 1e-5)
    assert want.shape == (8, 72)


def test_int32_bias_is_on_the_accumulators_grid() -> None:
    from onnx import helper

    from tests.graphs import model, weights

    net = model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="fc", transB=1)],
        {"x": ["n", 4]},
        {"y": ["n", 3]},
        {"w": weights(3, 4), "b": np.asarray([0.1, -0.2, 3e4], np.float32)},
    )
    sim = QuantSim(net, Recipe(target="generic", bias="int32"))
    sim.calibrate(Dataset("toy", {"x": np.full((2, 4), 1e-6, np.float32) * np.arange(1, 5, dtype=np.float32)}))
    found = sim.quantization
    bias, weight, source = found.biases["b"], found.constants["w"], found.activations["x"]
    assert weight.scale is not None
    assert source.scale is not None
    assert torch.allclose(bias.scale, weight.scale * source.scale)  # type: ignore[arg-type]
    codes = bias.quantize(torch.from_numpy(net.constant("b").copy()))
    assert int(codes.abs().max()) <= 2**31 - 1
    assert float(weight.scale[2]) >= 3e4 / (2**31 * float(source.scale)) * 0.99, "the weight scale grows where the bias would overflow"
    assert np.allclose(sim.chain.constant("b", found), net.constant("b"), rtol=1e-6)


def test_a_fixed_min_and_max_need_no_data(net: Model) -> None:
    names = QuantSim(net, Recipe(target="generic")).missing()
    recipe = Recipe.parse({"mixdown": 1, "target": "generic", "tensors": {name: {"min": -1, "max": 2} for name in names}})
    assert QuantSim(net, recipe).missing() == []
