"""The chain against the whole graph in one session: the same numbers, from any start, with one session re-made per change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from engine.data import Dataset, load_data
from engine.errors import BadInput
from engine.graph import Model, from_proto, load_model
from engine.quant.encoding import Encoding, encode_range
from engine.quant.grid import Grid
from engine.quant.precision import BF16, FP16
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from engine.sim.torch_executor import TorchExecutor
from tests.graphs import conv_net


def single(proto: onnx.ModelProto, feeds: dict[str, np.ndarray], level: ort.GraphOptimizationLevel) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    return ort.InferenceSession(proto.SerializeToString(), options).run(None, feeds)


@pytest.fixture(scope="module")
def net() -> Model:
    return from_proto(conv_net(), "net")


@pytest.fixture(scope="module")
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(4, 3, 12, 12)).astype(np.float32)}


def quantized(net: Model, data: Dataset, precision: str = "w8a8", target: str = "generic") -> QuantSim:
    sim = QuantSim(net, Recipe(precision=precision, target=target))  # type: ignore[arg-type]
    sim.calibrate(data)
    return sim


@pytest.fixture(scope="module")
def data(feeds: dict[str, np.ndarray]) -> Dataset:
    return Dataset("toy", feeds)


@pytest.mark.parametrize("min_nodes", [1, 4, 8, 1000])
def test_float_chain_is_the_graph(net: Model, feeds: dict[str, np.ndarray], min_nodes: int) -> None:
    chain = Chain(net, min_nodes)
    want = single(net.proto, feeds, chain.level)[0]
    assert np.abs(chain.run(FLOAT, feeds)["logits"] - want).max() <= 1e-5 * np.ptp(want)


def test_chain_is_bit_equal_on_a_transformer() -> None:
    """Basic optimizations and inferred shapes in every segment: no fusion differs across a cut."""
    folder = Path(__file__).parents[3] / "sample_models" / "fashion_vit"
    vit = load_model(folder / "model.onnx")
    feeds = load_data(folder / "evaluation.npz").batch(0, 16)
    chain = Chain(vit)
    assert len(chain.segments) > 3
    want = single(vit.proto, feeds, chain.level)[0]
    assert np.array_equal(chain.run(FLOAT, feeds)[vit.outputs[0].name], want)


def test_a_run_from_kept_tensors_has_the_same_bits(net: Model, feeds: dict[str, np.ndarray], data: Dataset) -> None:
    quantization = quantized(net, data).quantization
    chain = Chain(net, 4)
    whole = chain.run(quantization, feeds, [])["logits"]
    for start in range(1, len(chain.segments)):
        kept = chain.run(quantization, feeds, chain.needs(start))
        given = {name: ort.OrtValue.ortvalue_from_numpy(kept[name]) for name in chain.needs(start)}
        assert np.array_equal(chain.run_from(start, quantization, given, frozenset({"logits"}))["logits"].numpy(), whole)


def test_a_change_makes_one_session_again_and_going_back_none(net: Model, feeds: dict[str, np.ndarray], data: Dataset) -> None:
    sim = quantized(net, data)
    sim.run(feeds)
    made = len(sim.chain._sessions)
    before = sim.recipe
    sim.update(before.with_layer("conv3", "w4a8"))
    sim.run(feeds)
    assert len(sim.chain._sessions) == made + 1
    sim.update(before)
    sim.run(feeds)
    assert len(sim.chain._sessions) == made + 1


def test_touched_names_the_first_segment_that_differs(net: Model, data: Dataset) -> None:
    sim = quantized(net, data)
    before = sim.quantization
    sim.update(sim.recipe.with_layer("classifier", "w4a8"))
    assert sim.chain.touched(before, before) is None
    index = sim.chain.touched(before, sim.quantization)
    assert index is not None
    assert "classifier" in sim.chain.segments[index].nodes


@pytest.mark.parametrize("precision", ["w8a8", "w4a8", "w8a16", "w4a4", "w6a10", "w16a16", "fp16", "bf16"])
def test_the_two_executors_agree(net: Model, feeds: dict[str, np.ndarray], data: Dataset, precision: str) -> None:
    """Both run the same rounding; sums in another order may move a value across a rounding border, so 8-bit
    activations agree to 40 dB and 16-bit ones and floats to 60 dB on this untrained net."""
    sim = quantized(net, data, precision)
    a = sim.run(feeds)["logits"]
    b = TorchExecutor(net).run(sim.quantization, feeds)["logits"]
    noise = float(((a - b) ** 2).sum())
    assert noise == 0 or 10 * np.log10(float((a**2).sum()) / noise) >= (25 if precision == "w4a4" else 40)


def test_float_executors_agree_on_the_samples(sample_model: Model, evaluation: Dataset) -> None:
    feeds = evaluation.batch(0, 32)
    name = sample_model.outputs[0].name
    a, b = Chain(sample_model).run(FLOAT, feeds)[name], TorchExecutor(sample_model).run(FLOAT, feeds)[name]
    assert np.abs(a - b).max() <= 1e-4 * np.ptp(a)


@pytest.mark.parametrize(
    ("bits", "symmetry"),
    [
        (2, "asymmetric"),
        (3, "symmetric"),
        (4, "asymmetric"),
        (5, "strict"),
        (8, "asymmetric"),
        (8, "strict"),
        (8, "unsigned"),
        (12, "asymmetric"),
        (16, "symmetric"),
    ],
)
def test_every_grid_rounds_in_onnx_runtime_as_in_torch(net: Model, feeds: dict[str, np.ndarray], bits: int, symmetry: str) -> None:
    low = 0.0 if symmetry == "unsigned" else -1.3
    encoding = encode_range(low, 2.1, Grid(bits, symmetry))  # type: ignore[arg-type]
    chain = Chain(net)
    seen = chain.run(Quantization({"x": encoding}), feeds, ["x"])["x"]
    assert np.array_equal(seen, encoding.fake_quantize(torch.from_numpy(feeds["x"])).numpy())


@pytest.mark.parametrize("dtype", [FP16, BF16])
def test_float_types_are_cast_and_back_and_not_optimized_away(net: Model, feeds: dict[str, np.ndarray], dtype: object) -> None:
    encoding = Encoding(dtype)  # type: ignore[arg-type]
    seen = Chain(net).run(Quantization({"x": encoding}), feeds, ["x"])["x"]
    assert np.array_equal(seen, encoding.fake_quantize(torch.from_numpy(feeds["x"])).numpy())
    assert not np.array_equal(seen, feeds["x"])


def test_fp16_weight_overflow_names_the_tensor(net: Model) -> None:
    big = net.clone()
    big.set_constant("w0", net.constant("w0") * 1e6)
    with pytest.raises(BadInput, match="w0"):
        Chain(big).run(Quantization({}, {"w0": Encoding(FP16)}), {"x": np.zeros((1, 3, 12, 12), np.float32)})


def test_an_op_without_torch_kernel_still_simulates() -> None:
    from onnx import helper

    from engine.errors import UnsupportedOp
    from tests.graphs import proto, weights

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"),
        helper.make_node("SampleOp", ["h"], ["y"], name="odd", domain="com.microsoft"),
    ]
    raw = proto(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": weights(4, 4)})
    raw.opset_import.add(domain="com.microsoft", version=1)
    net = from_proto(raw, "odd")
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)})
    assert np.isfinite(quantized(net, data).run(data.batch(0, 8))["y"]).all()
    with pytest.raises(UnsupportedOp, match="odd"):
        TorchExecutor(net)
