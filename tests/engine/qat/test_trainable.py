"""The simulation as a torch module: what it computes is what ONNX Runtime computes, before training and after."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper
from torch.nn import functional

from engine import Recipe, load_data, load_model
from engine.data import Dataset
from engine.graph import from_proto
from engine.ptq import apply_steps
from engine.qat import Qat, train
from engine.quant.encoding import Encoding
from engine.sim.quantizer_module import Numbers, Quantizer
from engine.sim.quantsim import QuantSim
from engine.sim.trainable import QuantModule, trainable
from tests.graphs import conv_net, model, weights

SAMPLE = "sample_models/fashion_mobilenet"


def tiny(precision: str = "w4a4", target: str = "generic") -> tuple[QuantSim, Dataset]:
    data = Dataset("tiny", {"x": np.random.default_rng(0).normal(size=(64, 3, 12, 12)).astype(np.float32)})
    sim = QuantSim(from_proto(conv_net(3), "net"), Recipe(precision=precision, target=target))  # type: ignore[arg-type]
    apply_steps(sim, data)
    sim.calibrate(data)
    return sim, data


def trained(sim: QuantSim, data: Dataset, steps: int = 5, ranges: str = "lsq") -> QuantModule:
    """A user's own loop in six lines."""
    module = QuantModule(sim, ranges=ranges)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(module.groups(1e-2, 1e-2))
    inputs = {name: torch.from_numpy(array) for name, array in data.batch(0, 64).items()}
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(module(**inputs)["logits"], torch.arange(64) % 10))
        optimizer.step()
    return module


def test_a_trained_network_gives_the_codes_of_onnx_runtime() -> None:
    net = load_model(f"{SAMPLE}/model.onnx")
    data = load_data(f"{SAMPLE}/calibration.npz").bind(net.inputs).take(range(64))
    sim = QuantSim(net, Recipe(precision="w4a4", target="generic"))  # type: ignore[arg-type]
    apply_steps(sim, data)
    sim.calibrate(data)
    feeds = data.batch(0, 64)
    reference = sim.run(feeds)["logits"]
    with torch.no_grad():
        got = QuantModule(sim).run({name: torch.from_numpy(array) for name, array in feeds.items()})["logits"].numpy()
    scale = sim.quantization.activations["logits"].scale
    assert scale is not None
    lsb = np.abs(got - reference) / float(scale)
    assert lsb.max() <= 2 and (lsb < 0.5).mean() > 0.99  # sums in another order flip a rounding now and then


@pytest.mark.parametrize("ranges", ["lsq", "pact", "fixed"])
@pytest.mark.parametrize("target", ["generic", "htp_v73"])
def test_training_simulation_and_onnx_runtime_agree_after_training(ranges: str, target: str) -> None:
    sim, data = tiny("w8a8", target)
    module = trained(sim, data, ranges=ranges)
    feeds = data.batch(0, 64)
    with torch.no_grad():
        wanted = module(**{name: torch.from_numpy(array) for name, array in feeds.items()})["logits"].numpy()
    before = sim.run(feeds)["logits"]
    module.commit(sim)
    got = sim.run(feeds)["logits"]
    scale = sim.quantization.activations["logits"].scale
    assert scale is not None and np.abs(got - wanted).max() <= 1.5 * float(scale)
    assert np.abs(before - wanted).max() > 4 * float(scale), "training must have changed the network"


def test_the_committed_encodings_are_the_trained_ones_bit_by_bit() -> None:
    sim, data = tiny("w4a8")
    module = trained(sim, data)
    start = {name: encoding.key() for name, encoding in {**sim.quantization.activations, **sim.quantization.constants}.items()}
    module.commit(sim)
    found: dict[str, Encoding] = {**sim.quantization.activations, **sim.quantization.constants}
    wanted = module.encodings()
    assert {name: e.key() for name, e in found.items()} == {name: e.key() for name, e in wanted.items()}
    assert sum(start[name] != e.key() for name, e in wanted.items()) > len(wanted) // 2, "most ranges must have learned"
    for name, array in module.constants().items():
        assert np.array_equal(sim.model.constant(name), array)


def test_fixed_ranges_stay_and_other_recipes_keep_what_still_fits() -> None:
    sim, data = tiny("w4a8")
    start = {name: encoding.key() for name, encoding in sim.quantization.activations.items()}
    module = trained(sim, data, ranges="fixed")
    assert {name: e.key() for name, e in module.encodings().items() if name in start} == start
    module = trained(sim, data)
    module.commit(sim)
    learned = module.encodings()
    weight = sim.model.layers[0].weight
    other = sim.moved(Recipe(precision="w8a8", target="generic"))  # type: ignore[arg-type]
    assert other.quantization.constants[weight].key() != learned[weight].key(), "another width is another grid"
    assert other.quantization.activations["logits"].key() == learned["logits"].key(), "activations have the same type as in training"


def test_statistics_bounds_and_sizes_are_not_trained() -> None:
    proto = conv_net(2)
    names = set(trainable(from_proto(proto, "net").graph))
    assert {"w0", "g0", "b0", "fc"} <= names and not {"m0", "v0"} & names


def test_groups_decay_matrices_alone() -> None:
    sim, _ = tiny()
    module = QuantModule(sim)
    groups = module.groups(1e-3, 1e-4, 0.1)
    assert [g["weight_decay"] for g in groups] == [0.1, 0.0, 0.0] and [g["lr"] for g in groups] == [1e-3, 1e-3, 1e-4]
    assert all(p.dim() > 1 for p in groups[0]["params"]) and all(p.dim() <= 1 for p in groups[1]["params"])
    counted = {id(p) for g in groups for p in g["params"]}
    assert counted == {id(p) for p in module.parameters() if p.requires_grad}


def test_tied_tensors_share_a_quantizer() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="left"), helper.make_node("Conv", ["x", "v"], ["b"], name="right"),
             helper.make_node("Concat", ["a", "b"], ["y"], name="both", axis=1)]
    net = model(nodes, {"x": ["n", 2, 4, 4]}, {"y": ["n", 6, 4, 4]}, {"w": weights(3, 2, 1, 1), "v": weights(3, 2, 1, 1, seed=1)})
    sim = QuantSim(net, Recipe(precision="w8a8", target="htp_v73"))  # type: ignore[arg-type]
    sim.calibrate(Dataset("d", {"x": np.random.default_rng(0).normal(size=(8, 2, 4, 4)).astype(np.float32)}))
    tied = [names for names in _groups(sim).values() if len(names) > 1]
    module = QuantModule(sim)
    of = module.encodings()
    assert tied and all(len({of[name].key() for name in names}) == 1 for names in tied)
    with torch.no_grad():
        for parameter in module.quantizers.parameters():
            parameter.mul_(1.1)
    of = module.encodings()
    assert all(len({of[name].key() for name in names}) == 1 for names in tied)


@pytest.mark.parametrize("large", [False, True])
def test_an_int32_bias_is_the_same_number_in_training_evaluation_and_file(large: bool) -> None:
    """`large`: biases that would overflow at the weight's own scale, which is then enlarged in training too."""
    data = Dataset("tiny", {"x": np.random.default_rng(0).normal(size=(64, 3, 12, 12)).astype(np.float32)})
    sim = QuantSim(from_proto(conv_net(3), "net"), Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w8a8", "bias": "int32"}))
    apply_steps(sim, data)
    layer = next(la for la in sim.model.layers if la.bias)
    assert layer.bias
    if large:
        sim.model.set_constant(layer.weight, sim.model.constant(layer.weight) * np.float32(1e-9))
        sim.model.set_constant(layer.bias, np.full_like(sim.model.constant(layer.bias), 3000.0))
        sim.graph_changed()
    sim.calibrate(data)
    own = sim.moved(sim.recipe.set("bias", "float")).quantization.constants[layer.weight]
    assert (sim.quantization.constants[layer.weight].key() != own.key()) == large, "the scale is enlarged where it must be"
    module, feeds = trained(sim, data), data.batch(0, 64)
    with torch.no_grad():
        seen = module.run({"x": torch.from_numpy(feeds["x"])}, [la.bias for la in sim.model.layers if la.bias])
    wanted, constants = module.encodings(), module.constants()
    module.commit(sim)
    assert {n: e.key() for n, e in {**sim.quantization.activations, **sim.quantization.constants}.items()} == \
        {n: e.key() for n, e in wanted.items()}
    assert len(sim.quantization.biases) >= 3
    for name, encoding in sim.quantization.biases.items():
        bias = torch.from_numpy(constants[name])
        assert torch.equal(seen[name], encoding.fake_quantize(bias)), "bit by bit"
        assert large or not torch.equal(seen[name], bias), "it was rounded"
    step = float(sim.quantization.activations["logits"].scale)  # type: ignore[arg-type]
    assert np.abs(sim.run(feeds)["logits"] - seen["logits"].numpy()).max() <= 1.5 * step


def _groups(sim: QuantSim) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, plan in sim.plan.activations.items():
        if plan.tied and name in sim.quantization.activations:
            found.setdefault(plan.tied, []).append(name)
    return found


def test_half_precision_leaves_the_quantizers_in_float32_and_exports_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.dtype, torch.dtype, bool]] = []
    plain = Quantizer.__call__

    def watched(self: Quantizer, x: torch.Tensor, numbers: Numbers | None) -> torch.Tensor:
        y = plain(self, x, numbers)
        seen.append((x.dtype, y.dtype, torch.equal(y, self.encoding(numbers).fake_quantize(x.detach().float()))))
        return y

    losses = []
    for autocast in ("off", "bf16"):
        sim, data = tiny("w4a8")
        seen.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Quantizer, "__call__", watched)
            found = train(sim, data, Qat(epochs=2, batch=16, learning_rate=3e-3, range_rate=3e-3, autocast=autocast))
        losses.append([e.loss for e in found.epochs])
        assert found.best and all(y == torch.float32 and exact for _, y, exact in seen)
        assert (torch.bfloat16 in {x for x, _, _ in seen}) == (autocast == "bf16"), "matrix products ran in half precision"
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.2)
    module, feeds = QuantModule(sim), data.batch(0, 64)
    with torch.no_grad():
        wanted = module(x=torch.from_numpy(feeds["x"]))["logits"].numpy()
    step = float(sim.quantization.activations["logits"].scale)  # type: ignore[arg-type]
    assert np.abs(sim.run(feeds)["logits"] - wanted).max() <= 1.5 * step
