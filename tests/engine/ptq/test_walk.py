"""What a walk gives each layer is what running the whole graph gives it; what it leaves behind is whole or nothing."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from engine.data import Dataset, load_data
from engine.errors import Cancelled
from engine.graph import Model, from_proto, load_model
from engine.ptq import apply_steps
from engine.ptq.kept_layers import LayerCache
from engine.ptq.walk import LayerStep, LayerWalk
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, deep_net, proto, weights

RNG = np.random.default_rng(5)


def data_for(model: Model, count: int) -> Dataset:
    arrays = {i.name: RNG.normal(size=(count, *(d if isinstance(d, int) else 4 for d in i.shape[1:]))).astype(np.float32)
              for i in model.inputs}
    return Dataset("made", arrays).bind(model.inputs)


def ready(model: Model, data: Dataset, precision: str = "w4a8", target: str = "generic") -> QuantSim:
    """A simulation with batch norms folded and ranges known."""
    sim = QuantSim(model.with_sample(data.batch(0, 1)), Recipe(precision=precision, target=target))
    apply_steps(sim, data)
    sim.calibrate(data)
    return sim


def branches() -> onnx.ModelProto:
    """Two inputs, a residual around a layer, a concat, a transposed convolution, a layer whose input is read again at the end."""
    nodes = [
        helper.make_node("Conv", ["a", "w1"], ["h1"], name="c1", pads=[1] * 4),
        helper.make_node("Conv", ["b", "w2"], ["h2"], name="c2", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("ConvTranspose", ["h2", "w3"], ["h3"], name="c3", strides=[2, 2]),
        helper.make_node("Relu", ["h1"], ["r1"], name="r"),
        helper.make_node("Concat", ["r1", "h3"], ["cat"], name="cat", axis=1),
        helper.make_node("Conv", ["cat", "w4"], ["h4"], name="c4"),
        helper.make_node("Add", ["h4", "r1"], ["s"], name="add"),
        helper.make_node("Mul", ["s", "b"], ["m"], name="mul"),
        helper.make_node("Transpose", ["m"], ["t"], name="t", perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "w5"], ["mm"], name="mm"),
        helper.make_node("Add", ["mm", "b5"], ["y"], name="bias"),
    ]
    constants = {"w1": weights(4, 2, 3, 3), "w2": weights(3, 1, 3, 3), "w3": weights(3, 4, 2, 2), "w4": weights(4, 8, 1, 1),
                 "w5": weights(5, 4).T.copy(), "b5": weights(5)}
    return proto(nodes, {"a": ["n", 2, 8, 8], "b": ["n", 1, 8, 8]}, {"y": ["n", 8, 8, 5]}, constants)


MODELS = {"conv": lambda: conv_net(4), "deep": lambda: deep_net(4), "branches": branches}


@pytest.fixture(params=sorted(MODELS))
def made(request: pytest.FixtureRequest) -> tuple[QuantSim, Dataset]:
    model = from_proto(MODELS[request.param](), request.param)
    data = data_for(model, 9)
    return ready(model, data), data


def nearest(step: LayerStep) -> torch.Tensor:
    return step.encoding.fake_quantize(step.weight)


def source(model: Model, step: LayerStep) -> str:
    return next(str(v.name) for v in model.nodes[step.layer.name].inputs if v is not None and v.const_value is None)


def test_values_are_those_of_whole_runs(made: tuple[QuantSim, Dataset]) -> None:
    """Within rounding: whole runs may fuse nodes across the places where a walk stops."""
    sim, data = made
    before, float_chain, feeds = sim.model, Chain(sim.model), data.batch(0, len(data))
    walk = LayerWalk(sim, data, "test")
    seen = 0
    for step in walk:
        x = source(walk.model, step)
        batches = list(step.batches())
        assert [(b.start, b.stop) for b in batches] == walk.spans and batches[-1].stop == len(data)
        whole = float_chain.run(FLOAT, feeds, [x, step.layer.output])
        now = Quantization(walk.quantized.quantization.activations, walk.quantized.quantization.constants)
        changed = Chain(walk.model).run(now, feeds, [x])
        for name, got, wanted in (("x_float", [b.x_float for b in batches], whole[x]), ("x", [b.x for b in batches], changed[x]),
                                  ("y", [b.y_float for b in batches], whole[step.layer.output])):
            np.testing.assert_allclose(torch.cat(got).numpy(), wanted, atol=1e-4 * np.ptp(wanted), rtol=0, err_msg=name)
        step.put(nearest(step) + step.encoding.expand(step.weight.shape)[0] * 0, step.encoding,
                 step.bias + 0.01 if step.can_bias else None)
        seen += 1
    assert seen == len(before.layers) and sim.model is walk.model and before is not sim.model
    assert set(sim.pinned) == {layer.weight for layer in before.layers}


def test_transformers_are_bit_equal(mobilenet: Path) -> None:
    """With basic optimizations a piece computes what the whole graph computes, bit by bit."""
    sample = mobilenet.parent / "fashion_vit"
    model = load_model(sample / "model.onnx")
    data = load_data(sample / "calibration.npz").bind(model.inputs).take(range(6))
    sim = ready(model, data, "w4a8", "htp_v73")
    chain, feeds = Chain(sim.model), data.batch(0, 6)
    names = [str(n.inputs[0].name) for n in sim.model.graph if n.op_type in ("MatMul", "Gemm", "Conv")]
    names += [layer.output for layer in sim.model.layers]
    whole = chain.run(FLOAT, feeds, names)
    walk = LayerWalk(sim, data, "test", biases=False)
    quantized = Chain(walk.model).run(walk.sim.quantization, feeds, names)
    for step in walk:
        x = source(walk.model, step)
        batches = list(step.batches())
        assert np.array_equal(torch.cat([b.y_float for b in batches]), whole[step.layer.output])
        assert np.array_equal(torch.cat([b.x_float for b in batches]), whole[x])
        assert np.array_equal(torch.cat([b.x for b in batches]), quantized[x])


def test_a_second_look_gives_the_same(made: tuple[QuantSim, Dataset]) -> None:
    sim, data = made
    for step in LayerWalk(sim, data, "test"):
        first = [(b.x.clone(), b.y_float.clone()) for b in step.batches()]
        for again, (x, y) in zip(step.batches(), first, strict=True):
            assert torch.equal(again.x, x) and torch.equal(again.y_float, y)
        if step.index % 2:
            step.put(nearest(step), step.encoding)


def test_layers_may_be_left_out(made: tuple[QuantSim, Dataset]) -> None:
    """A layer whose batches nobody asks for changes nothing for those behind it."""
    sim, data = made
    every = [[b.x.clone() for b in step.batches()] for step in LayerWalk(sim, data, "test")]
    for step in LayerWalk(sim, data, "test"):
        if step.index % 3 == 2:
            assert all(torch.equal(b.x, wanted) for b, wanted in zip(step.batches(), every[step.index], strict=True))
        elif step.index % 3 == 0:
            next(iter(step.batches()))  # one batch of many


def test_cancel_leaves_the_simulation_as_it_was(made: tuple[QuantSim, Dataset]) -> None:
    sim, data = made
    model, values = sim.model, {name: sim.model.constant(name).copy() for name in sim.model.graph.initializers}
    quantization, calls = sim.quantization, 0

    def cancel(fraction: float, message: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(sim, data, cancel)
    assert sim.model is model and sim.quantization is quantization and not sim.pinned
    assert all(np.array_equal(model.constant(name), array) for name, array in values.items())
    assert list(values) == list(model.graph.initializers)


def run(sim: QuantSim, data: Dataset, progress: object = None) -> dict[str, bool]:
    """Rounds every layer by the sign of its mean input: a result that depends on what the walk gives. Layer → kept from earlier."""
    kept = {}
    walk = LayerWalk(sim, data, "test", *([] if progress is None else [progress]))  # type: ignore[arg-type]
    for step in walk:
        kept[step.layer.name] = step.kept is not None
        if step.kept is not None:
            continue
        shift = float(sum(b.x.double().mean() for b in step.batches()))
        step.put(step.encoding.fake_quantize(step.weight + shift), step.encoding,
                 step.bias + shift if step.can_bias else None, {"shift": shift})
    return kept


def state(sim: QuantSim) -> dict[str, bytes]:
    found = {name: sim.model.constant(name).tobytes() for name in sim.model.graph.initializers}
    return found | {f"pin {name}": encoding.key().encode() for name, encoding in sim.pinned.items()}


def test_a_killed_run_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    model = from_proto(deep_net(4), "deep")
    data = data_for(model, 9)
    whole = ready(model, data)
    run(whole, data)

    class Killed(BaseException):
        """Nothing catches it."""

    def kill(fraction: float, message: str) -> None:
        if fraction > 0.5:
            raise Killed

    first = ready(model, data)
    first.kept = LayerCache(tmp_path)
    with pytest.raises(Killed):
        run(first, data, kill)
    again = ready(model, data)
    again.kept = LayerCache(tmp_path)
    kept = run(again, data)
    assert 3 <= sum(kept.values()) < len(kept) and state(again) == state(whole)
    third = ready(model, data)
    third.kept = LayerCache(tmp_path)
    assert all(run(third, data).values()) and state(third) == state(whole)


def test_an_edit_of_a_late_layer_keeps_the_early_ones(tmp_path: Path) -> None:
    model = from_proto(deep_net(4), "deep")
    data = data_for(model, 9)
    sim = ready(model, data)
    sim.kept = LayerCache(tmp_path)
    run(sim, data)
    late = model.layers[-3].name
    edited = QuantSim(model.with_sample(data.batch(0, 1)), Recipe(precision="w4a8", target="generic", layers={late: "w8a8"}))
    edited.calibrate(data)
    edited.kept = LayerCache(tmp_path)
    kept = list(run(edited, data).values())
    assert all(kept[:-4]) and not any(kept[-3:])


def test_broken_files_count_as_absent(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    cache.put("a", {"x": np.arange(3)})
    assert np.array_equal(cache.get("a")["x"], np.arange(3)) and cache.get("b") is None  # type: ignore[index]
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    assert cache.get("a") is None
    (tmp_path / "c.npz").write_bytes(b"")
    assert cache.get("c") is None and not list(tmp_path.glob("*.tmp"))
    small = LayerCache(tmp_path / "small", max_bytes=5000)
    for i in range(8):
        small.put(str(i), {"x": np.zeros(300)})
    assert 0 < len(list((tmp_path / "small").iterdir())) < 8 and small.get("7") is not None


def peaks(blocks: int, budget: int) -> Iterator[int]:
    model = from_proto(deep_net(blocks), "deep")
    data = data_for(model, 9)
    sim = ready(model, data)
    walk = LayerWalk(sim, data, "test", budget_bytes=budget)
    for step in walk:
        for _ in step.batches():
            yield walk.shelf.bytes
        step.put(nearest(step), step.encoding)
    assert walk.shelf.bytes == walk.shelf.spilled == 0
    yield walk.shelf.peak


def test_memory_is_flat_in_depth_and_within_its_budget() -> None:
    few, many = max(peaks(2, 1 << 30)), max(peaks(12, 1 << 30))
    assert few == many
    assert max(peaks(3, few // 3)) <= few // 3


def test_values_from_files_are_the_same() -> None:
    model = from_proto(deep_net(3), "deep")
    data = data_for(model, 9)
    sims = [ready(model, data) for _ in range(2)]
    for sim, budget in zip(sims, (1 << 30, 1000), strict=True):
        walk = LayerWalk(sim, data, "test", budget_bytes=budget)
        for step in walk:
            shift = float(sum(b.x.double().mean() for b in step.batches()))
            step.put(step.encoding.fake_quantize(step.weight + shift), step.encoding)
    assert state(sims[0]) == state(sims[1])


def test_what_is_skipped_is_said() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="first"), helper.make_node("Relu", ["h"], ["r"], name="relu"),
             helper.make_node("MatMul", ["r", "w"], ["y"], name="second"),
             helper.make_node("Gemm", ["y", "w2", "x"], ["z"], name="moving")]
    model = from_proto(proto(nodes, {"x": ["n", 6]}, {"z": ["n", 6]}, {"w": weights(6, 6), "w2": weights(6, 6, seed=1)}), "shared")
    data = Dataset("made", {"x": RNG.normal(size=(8, 6)).astype(np.float32)})
    walk = LayerWalk(ready(model, data), data, "test")
    assert [step.layer.name for step in walk] == ["first"]
    assert any("second shares its weight with first" in line for line in walk.skipped)
    assert any("moving: its bias is made by other nodes" in line for line in walk.skipped)
