"""AdaRound on whole graphs: any layer, any grid; never worse than nearest, the same bits again, whole or nothing."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.graph import Model, from_proto
from engine.ptq import StepReport
from engine.ptq.activations import following_activation
from engine.ptq.adaround import AdaRound
from engine.ptq.kept_layers import LayerCache
from engine.ptq.technique import apply_step, apply_steps
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, proto, weights

FEW = {"iterations": 150, "learning_rate": 0.05}


def conv(name: str, **more: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", ["x", "w"], ["h"], name=name, **more)


def single(node: onnx.NodeProto, shape: list[int | str], weight: np.ndarray, rank: int) -> Model:
    """One layer and a Relu."""
    relu = helper.make_node("Relu", ["h"], ["y"], name="relu")
    return from_proto(proto([node, relu], {"x": shape}, {"y": ["n", *[None] * (rank - 1)]}, {"w": weight}), "single")


LAYERS = {
    "conv": lambda: single(conv("l", pads=[1] * 4, strides=[2, 2]), ["n", 4, 9, 9], weights(6, 4, 3, 3), 4),
    "conv, uneven pads": lambda: single(conv("l", pads=[0, 1, 2, 1], dilations=[2, 1]), ["n", 2, 9, 9], weights(5, 2, 3, 3), 4),
    "grouped": lambda: single(conv("l", group=2), ["n", 4, 6, 6], weights(6, 2, 3, 3), 4),
    "depthwise": lambda: single(conv("l", group=6, auto_pad="SAME_UPPER"), ["n", 6, 7, 7], weights(6, 1, 5, 5), 4),
    "conv 1d": lambda: single(conv("l"), ["n", 3, 20], weights(4, 3, 5), 3),
    "conv 3d": lambda: single(conv("l"), ["n", 2, 4, 5, 4], weights(3, 2, 2, 2, 2), 5),
    "transposed": lambda: single(helper.make_node("ConvTranspose", ["x", "w"], ["h"], name="l", strides=[2, 2], pads=[1, 0, 0, 1]),
                                 ["n", 4, 5, 5], weights(4, 3, 3, 3), 4),
    "grouped transposed": lambda: single(helper.make_node("ConvTranspose", ["x", "w"], ["h"], name="l", group=2),
                                         ["n", 4, 4, 4], weights(4, 3, 2, 2), 4),
    "gemm": lambda: single(helper.make_node("Gemm", ["x", "w"], ["h"], name="l", transB=1, alpha=0.5), ["n", 24], weights(7, 24), 2),
    "gemm not transposed": lambda: single(helper.make_node("Gemm", ["x", "w"], ["h"], name="l"), ["n", 24], weights(7, 24).T.copy(), 2),
    "matmul": lambda: single(helper.make_node("MatMul", ["x", "w"], ["h"], name="l"), ["n", 5, 24], weights(8, 24).T.copy(), 3),
    "matmul, weight left": lambda: single(helper.make_node("MatMul", ["w", "x"], ["h"], name="l"), ["n", 24, 6], weights(8, 24), 3),
}


def data_for(model: Model, count: int = 48) -> Dataset:
    """Inputs whose values depend on each other, as those of real layers do."""
    rng = np.random.default_rng(1)
    shape = [d for d in model.inputs[0].shape[1:] if isinstance(d, int)]
    x = rng.normal(size=(count, *shape)) + rng.normal(size=(count, *[1] * len(shape))) * 2
    return Dataset("made", {"x": x.astype(np.float32)}).bind(model.inputs)


def sim_for(model: Model, data: Dataset, **recipe: Any) -> QuantSim:
    settings = {"mixdown": 1, "precision": "w4a16", "target": "generic"} | recipe
    sim = QuantSim(model.clone().with_sample(data.batch(0, 1)), Recipe.parse(settings))
    apply_steps(sim, data)
    sim.calibrate(data)
    return sim


def run(sim: QuantSim, data: Dataset, **options: Any) -> StepReport:
    return apply_step(sim, Step("adaround", FEW | options), data)


def noise(sim: QuantSim, reference: np.ndarray, data: Dataset) -> float:
    """Mean squared error of the output against the float model's, activations in float."""
    found = sim.chain.run(Quantization({}, sim.quantization.constants), data.batch(0, len(data)))
    return float(np.mean((next(iter(found.values())) - reference) ** 2))


@pytest.mark.parametrize("mode", ["gram", "faithful"])
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_any_layer_ends_on_its_grid_and_nearer_to_the_float_output(kind: str, mode: str) -> None:
    model = LAYERS[kind]()
    data = data_for(model)
    sim = sim_for(model, data)
    before = sim.quantization.constants["w"]
    reference = next(iter(sim.chain.run(FLOAT, data.batch(0, len(data))).values()))
    nearest = noise(sim, reference, data)
    (change,) = run(sim, data, mode=mode).layers
    weight = torch.from_numpy(sim.model.constant("w").copy())
    assert sim.pinned["w"].key() == before.key()
    assert torch.equal(before.fake_quantize(weight), weight)
    steps = (weight - torch.from_numpy(model.constant("w").copy())).abs() / before.expand(weight.shape)[0]
    assert float(steps.max()) < 1.0 + 1e-4  # the point below or above
    assert change.before is not None and change.after is not None and change.after > change.before
    sim.calibrate(data)
    assert noise(sim, reference, data) < nearest


@pytest.mark.parametrize("recipe", [
    {"precision": "w2a16"}, {"precision": "w3a8"}, {"precision": "w8a8"}, {"weights": {"granularity": "per_tensor"}},
    {"weights": {"granularity": {"per_block": 8}}}, {"weights": {"symmetric": False}}, {"weights": {"symmetric": "strict"}},
    {"calibration": {"weights": "mse"}},
], ids=str)
@pytest.mark.parametrize("mode", ["gram", "faithful"])
def test_any_grid(recipe: dict[str, Any], mode: str) -> None:
    model = LAYERS["gemm"]()
    data = data_for(model)
    sim = sim_for(model, data, **recipe)
    encoding = sim.quantization.constants["w"]
    (change,) = run(sim, data, mode=mode).layers
    weight = torch.from_numpy(sim.model.constant("w").copy())
    assert sim.constants()["w"].key() == encoding.key()
    assert torch.equal(encoding.fake_quantize(weight), weight)
    assert change.before is not None and change.after is not None and change.after >= change.before


def test_a_chain_of_layers_with_quantized_activations_gains() -> None:
    model = from_proto(conv_net(3), "net")
    data = data_for(model, 32)
    sim = sim_for(model, data, precision="w3a8")
    reference = next(iter(sim.chain.run(FLOAT, data.batch(0, len(data))).values()))
    nearest = noise(sim, reference, data)
    for mode in ("gram", "faithful"):
        other = sim_for(model, data, precision="w3a8")
        report = run(other, data, mode=mode)
        assert len(report.layers) == 4 and not report.warnings
        other.calibrate(data)
        assert noise(other, reference, data) < nearest / 2


@pytest.mark.parametrize("mode", ["gram", "faithful"])
def test_memory_is_kept_to_by_drawing_positions_or_slicing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no room to speak of the result is worse or equal, never wrong."""
    model = LAYERS["conv"]()
    data = data_for(model)
    sim = sim_for(model, data)
    encoding = sim.quantization.constants["w"]
    config = AdaRound(mode=mode, memory_mb=16, **FEW)
    object.__setattr__(config, "memory_mb", 0)  # below what a person may ask for
    from engine.ptq.adaround import adaround

    (change,) = adaround(sim, data, config).layers
    weight = torch.from_numpy(sim.model.constant("w").copy())
    assert torch.equal(encoding.fake_quantize(weight), weight)
    assert change.before is not None and change.after is not None and change.after >= change.before


def weights_of(sim: QuantSim) -> dict[str, np.ndarray]:
    return {layer.weight: sim.model.constant(layer.weight).copy() for layer in sim.model.layers}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("mode", ["gram", "faithful"])
def test_cancelled_it_leaves_everything_and_goes_on_to_the_same_bits(mode: str, tmp_path: Path) -> None:
    model = from_proto(conv_net(3), "net")
    data = data_for(model, 12)
    whole = sim_for(model, data, precision="w4a8")
    run(whole, data, mode=mode)
    again = sim_for(model, data, precision="w4a8")
    run(again, data, mode=mode)
    assert same(weights_of(whole), weights_of(again))

    stopped = sim_for(model, data, precision="w4a8")
    stopped.kept = LayerCache(tmp_path)
    graph, before = stopped.model, weights_of(stopped)

    def until_the_third(fraction: float, message: str) -> None:
        if "(3 of 4)" in message:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        apply_step(stopped, Step("adaround", FEW | {"mode": mode}), data, until_the_third)
    assert stopped.model is graph and same(weights_of(stopped), before) and not stopped.pinned
    assert len(list(tmp_path.glob("*.npz"))) == 2

    told: list[str] = []
    report = apply_step(stopped, Step("adaround", FEW | {"mode": mode}), data, lambda fraction, message: told.append(message))
    assert same(weights_of(stopped), weights_of(whole)) and len(report.layers) == 4
    assert not any("(1 of 4)" in message for message in told)


def test_only_the_layers_that_are_named_are_rounded_otherwise() -> None:
    model = from_proto(conv_net(3), "net")
    data = data_for(model)
    whole, some = sim_for(model, data), sim_for(model, data)
    names = [x.layer for x in run(whole, data).layers]
    report = run(some, data, match=f"{names[0]}, nothing*")
    assert [x.layer for x in report.layers] == [names[0]] and len(names) > 1
    before, after = sim_for(model, data).model.graph.initializers, some.model.graph.initializers
    weights_of = {x.name: x.weight for x in some.model.layers}
    changed = [n for n in names if not np.array_equal(before[weights_of[n]].const_value.numpy(), after[weights_of[n]].const_value.numpy())]
    assert changed == [names[0]]
    with pytest.raises(BadInput, match="met by match 'nope'"):
        run(sim_for(model, data), data, match="nope")


def test_it_asks_for_data_and_for_sensible_options() -> None:
    model = LAYERS["gemm"]()
    sim = sim_for(model, data_for(model))
    with pytest.raises(BadInput, match="adaround needs calibration data"):
        apply_step(sim, Step("adaround"), None)
    with pytest.raises(BadInput, match=r"AdaRound.mode is 'fast': expected one of gram, faithful"):
        AdaRound(mode="fast")
    with pytest.raises(BadInput, match=r"AdaRound.iterations is 0: expected at least 1"):
        AdaRound(iterations=0)


def test_weights_that_stay_float_are_left_alone() -> None:
    model = LAYERS["gemm"]()
    data = data_for(model)
    sim = sim_for(model, data, precision="fp16")
    graph = sim.model
    report = run(sim, data)
    assert not report.layers and sim.model is graph


@pytest.mark.parametrize(("nodes", "wanted"), [
    ([helper.make_node("Relu", ["h"], ["y"])], lambda x: x.relu()),
    ([helper.make_node("Clip", ["h", "low", "high"], ["y"])], lambda x: x.clamp(0, 6)),
    ([helper.make_node("LeakyRelu", ["h"], ["y"], alpha=0.2)], lambda x: torch.where(x > 0, x, 0.2 * x)),
    ([helper.make_node("Sigmoid", ["h"], ["s"]), helper.make_node("Mul", ["h", "s"], ["y"])], lambda x: x),  # two readers
    ([helper.make_node("Add", ["h", "row"], ["b"]), helper.make_node("Relu", ["b"], ["y"])], lambda x: x.relu()),
    ([helper.make_node("PRelu", ["h", "row"], ["y"])], lambda x: x),  # differs from channel to channel
    ([helper.make_node("Softmax", ["h"], ["y"])], lambda x: x),
], ids=lambda value: "" if callable(value) else " ".join(node.op_type for node in value))
def test_the_activation_behind_a_layer(nodes: list[onnx.NodeProto], wanted: Any) -> None:
    layer = helper.make_node("MatMul", ["x", "w"], ["h"], name="l")
    constants = {"w": weights(3, 4).T.copy(), "row": weights(3), "low": np.float32(0), "high": np.float32(6)}
    model = from_proto(proto([layer, *nodes], {"x": ["n", 4]}, {"y": ["n", 3]}, constants), "behind")
    x = torch.linspace(-9, 9, 21)
    assert torch.allclose(following_activation(model.nodes["l"])(x), wanted(x))
