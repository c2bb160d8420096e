"""What the inspector is told of a layer, against the arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper

from engine.analysis.layer_facts import layer_facts
from engine.analysis.layer_grids import activation_noise, weight_noise
from engine.analysis.neighbours import neighbours
from engine.data import Dataset
from engine.quant.encoding import encode_range
from engine.quant.granularity import PerChannel
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, model, weights


def sim_of(precision: str = "w8a8") -> tuple[QuantSim, Dataset]:
    """A calibrated simulation of the small chain with residual sums."""
    from engine.graph import from_proto

    data = Dataset("x", {"x": np.random.default_rng(0).normal(size=(20, 3, 12, 12)).astype(np.float32)})
    sim = QuantSim(from_proto(conv_net(3), "net"), Recipe(precision=precision, target="generic"))
    sim.calibrate(data)
    return sim, data


def test_weights_noise_is_what_the_grid_does_by_channel() -> None:
    weight = torch.from_numpy(weights(4, 3, 3, 3, seed=1))
    weight[2, 0, 0, 0] = 9.0  # far beyond the range given below
    top = torch.tensor([1.0, 1.0, 1.0, 1.0])
    encoding = encode_range(-top, top, Grid(4, "symmetric"), PerChannel(0))
    found = weight_noise(encoding, weight, 0)
    noise = (weight - encoding.fake_quantize(weight)).numpy().astype(np.float64) ** 2
    power = weight.numpy().astype(np.float64) ** 2
    assert found["sqnr_db"] == pytest.approx(10 * np.log10(power.sum() / noise.sum()))
    for c in range(4):
        assert found["channels"]["sqnr_db"][c] == pytest.approx(10 * np.log10(power[c].sum() / noise[c].sum()))
    assert found["channels"]["saturated"][2] >= 1 / 27 and found["channels"]["rounding"][2] < 0.02, "its noise is the clipped value"
    clean = [c for c in (0, 1, 3) if found["channels"]["saturated"][c] == 0]
    assert clean and all(found["channels"]["rounding"][c] == pytest.approx(1.0) for c in clean)


def test_activation_noise_tells_clipping_from_rounding() -> None:
    observer = Histogram()
    values = torch.from_numpy(np.random.default_rng(3).normal(size=200_000).astype(np.float32))
    observer.update(values)
    for limit in (1.5, 6.0):
        encoding = encode_range(-limit, limit, Grid(8, "asymmetric"))
        found = activation_noise(encoding, observer)
        noise = (values - encoding.fake_quantize(values)).double().square()
        outside = (values < encoding.low - encoding.scale / 2) | (values > encoding.high + encoding.scale / 2)
        assert found["saturated"] == pytest.approx(float(outside.double().mean()), abs=0.005)
        assert found["rounding"] == pytest.approx(1 - float(noise[outside].sum() / noise.sum()), abs=0.05)
        level = 10 * np.log10(float(values.double().square().sum() / noise.sum()))
        assert found["sqnr_db"] == pytest.approx(level, abs=0.6)


def test_facts_hold_encodings_histograms_channels_and_neighbours() -> None:
    sim, data = sim_of("w4a8")
    found = layer_facts(sim, "conv1", data)
    assert found["encoding"]["dtype"] == "int4" and found["encoding"]["levels"] == [-8, 7]
    assert found["encoding"]["scales"] == 8 == len(found["channels"]["saturated"])
    reads = next(t for t in found["tensors"] if t["role"] == "reads")
    kept = sim.chain.run(sim.quantization, data.batch(0, 16), [])
    assert kept and reads["zero_point"][0] in range(256)
    assert reads["scale"][0] == pytest.approx((reads["high"] - reads["low"]) / 255, rel=1e-5)
    assert sum(reads["histogram"]["counts"]) == 20 * 8 * 144, "every value of the calibration is in the picture"
    assert reads["channels"]["samples"] == 16 and len(reads["channels"]["low"]) == 8
    assert min(reads["channels"]["low"]) >= reads["low"] - reads["step"]
    assert [r["name"] for r in found["neighbours"]["feeds"]] == ["conv0"]
    assert found["neighbours"]["readers"] == [{"name": n, "precision": "w4a8"} for n in ("conv2", "classifier")], "through the residual sum"


def test_weights_have_their_grid_without_any_data() -> None:
    from engine.graph import from_proto

    sim = QuantSim(from_proto(conv_net(2), "net"), Recipe(precision="w8a8", target="generic"))
    found = layer_facts(sim, "conv0")
    assert found["encoding"]["sqnr_db"] > 30 and found["tensors"][0]["histogram"] is None and "scale" not in found["tensors"][0]


def test_neighbours_end_at_the_model() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "b"], ["y"], name="last"),
    ]
    made = model(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"a": weights(4, 4), "b": weights(4, 4, seed=2)})
    sim = QuantSim(made, Recipe(precision="w8a8", target="generic"))
    first, last = neighbours(sim, "first"), neighbours(sim, "last")
    assert first["input"] and not first["output"] and [r["name"] for r in first["readers"]] == ["last"]
    assert last["output"] and not last["input"] and [r["name"] for r in last["feeds"]] == ["first"]
