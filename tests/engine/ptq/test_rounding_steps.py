"""The steps `gptq`, `seq_mse` and `bias_correction` on whole networks: grids, gains, files, cancel, resume, what is left alone."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.export import export, verify
from engine.graph import Model, from_proto, load_model
from engine.progress import silent
from engine.ptq import StepReport
from engine.ptq.bias_correction import BiasCorrection, bias_correction
from engine.ptq.gptq import Gptq, gptq
from engine.ptq.kept_layers import LayerCache
from engine.ptq.seq_mse import SeqMse, seq_mse
from engine.ptq.technique import apply_steps
from engine.quant.precision import Int
from engine.recipe import BlockSize, Recipe, Step, WeightOptions
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.test_walk import branches, data_for, ready, state
from tests.graphs import conv_net, deep_net, proto, weights

STEPS: dict[str, Callable[..., StepReport]] = {
    "gptq": lambda sim, data, progress=silent: gptq(sim, data, Gptq(samples=64), progress),
    "seq_mse": lambda sim, data, progress=silent: seq_mse(sim, data, SeqMse(samples=64), progress),
    "bias_correction": lambda sim, data, progress=silent: bias_correction(sim, data, BiasCorrection(samples=64), progress),
}


def net(kind: str = "conv", seed: int = 0) -> tuple[Model, Dataset, Dataset]:
    """A network with calibration data and others to judge on."""
    model = from_proto({"conv": lambda: conv_net(4), "deep": lambda: deep_net(4), "branches": branches}[kind](), kind)
    return model, data_for(model, 64), data_for(model, 48)


def sqnr(sim: QuantSim, reference: QuantSim, data: Dataset) -> float:
    feeds = data.batch(0, len(data))
    (f,), (q,) = (list(found.values()) for found in (reference.chain.run(FLOAT, feeds), sim.run(feeds)))
    return float(10 * np.log10((f**2).sum() / ((f - q) ** 2).sum()))


def simulated(model: Model, data: Dataset, recipe: Recipe) -> QuantSim:
    sim = QuantSim(model.clone().with_sample(data.batch(0, 1)), recipe)
    apply_steps(QuantSim(sim.model, Recipe(target="generic")), data)
    sim.calibrate(data)
    return sim


@pytest.mark.parametrize("kind", ["conv", "deep", "branches"])
@pytest.mark.parametrize("precision", ["w2a8", "w4a8", "w8a16", "w5a16"])
def test_gptq_beats_nearest_on_other_data(kind: str, precision: str) -> None:
    model, data, other = net(kind)
    plain, sim = (ready(model, data, precision) for _ in range(2))
    report = STEPS["gptq"](sim, data)
    sim.calibrate(data)
    before, after = sqnr(plain, plain, other), sqnr(sim, plain, other)
    assert after > before + (0.2 if precision != "w8a16" else -0.5), (before, after)  # inputs are white noise: little to make up with
    assert len(report.layers) == len(model.layers) and all(layer.unit == "dB" for layer in report.layers)
    assert np.mean([layer.after - layer.before for layer in report.layers]) > 0  # type: ignore[operator]


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("symmetric", [True, "strict", False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8, 11, 16])
def test_weights_lie_on_their_grid(granularity: object, symmetric: object, bits: int) -> None:
    """Rounding what was rounded changes nothing; the plan's type, symmetry and granularity are the encoding's; codes are whole."""
    model, data, _ = net("branches")
    recipe = Recipe(precision=f"w{bits}a8", target="generic", weights=WeightOptions(granularity, symmetric))  # type: ignore[arg-type]
    sim = ready(model, data)
    sim.update(recipe)
    STEPS["gptq"](sim, data)
    sim.calibrate(data)
    assert set(sim.pinned) == {layer.weight for layer in model.layers}
    for layer in sim.model.layers:
        plan, used = sim.plan.weights[layer.weight], sim.quantization.constants[layer.weight]
        assert used.key() == sim.pinned[layer.weight].key() and used.dtype == plan.dtype == Int(bits)
        assert used.granularity == plan.granularity and used.grid is not None and used.grid.symmetry == plan.symmetry
        weight = torch.from_numpy(np.array(sim.model.constant(layer.weight)))
        assert torch.equal(used.fake_quantize(weight), weight)
        codes = used.quantize(weight)
        assert int(codes.min()) >= used.grid.qmin and int(codes.max()) <= used.grid.qmax


def test_blocks() -> None:
    nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first", transB=1),
             helper.make_node("Relu", ["h"], ["r"], name="relu"), helper.make_node("MatMul", ["r", "w2"], ["y"], name="second")]
    constants = {"w1": weights(16, 12), "b1": weights(16), "w2": weights(8, 16).T.copy()}
    model = from_proto(proto(nodes, {"x": ["n", 12]}, {"y": ["n", 8]}, constants), "blocks")
    data = data_for(model, 64)
    recipe = Recipe(precision="w3a16", target="generic", weights=WeightOptions(granularity=BlockSize(4)))
    sims = [QuantSim(model.clone().with_sample(data.batch(0, 1)), recipe) for _ in range(2)]
    for sim in sims:
        sim.calibrate(data)
    STEPS["gptq"](sims[1], data)
    sims[1].calibrate(data)
    assert sims[1].pinned["w1"].scale.shape == (16, 3) and sims[1].pinned["w2"].scale.shape == (4, 8)  # type: ignore[union-attr]
    for name, encoding in sims[1].pinned.items():
        weight = torch.from_numpy(np.array(sims[1].model.constant(name)))
        assert torch.equal(encoding.fake_quantize(weight), weight)
    assert sqnr(sims[1], sims[0], data_for(model, 40)) > sqnr(sims[0], sims[0], data_for(model, 40)) + 1


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("kind", ["deep", "branches"])
def test_same_input_same_result_and_another_seed_another_draw(name: str, kind: str) -> None:
    model, data, _ = net(kind)
    sims = [ready(model, data) for _ in range(2)]
    reports = [STEPS[name](sim, data) for sim in sims]
    assert state(sims[0]) == state(sims[1]) and reports[0] == reports[1]


@pytest.mark.parametrize("name", STEPS)
def test_cancel_and_resume(name: str, tmp_path: Path) -> None:
    """A cancelled step leaves the simulation as it was; run again it goes on from the layers that were done, to the same bits."""
    model, data, _ = net("deep")
    whole = ready(model, data)
    wanted = STEPS[name](whole, data)
    sim = ready(model, data)
    sim.kept = LayerCache(tmp_path)
    before, graph = state(sim), sim.model

    def cancel(fraction: float, message: str) -> None:
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        STEPS[name](sim, data, cancel)
    assert sim.model is graph and state(sim) == before
    done = len(list(tmp_path.glob("*.npz")))
    messages: list[str] = []
    again = STEPS[name](sim, data, lambda fraction, message: messages.append(message))
    assert 4 <= done < len(model.layers) and not any(model.layers[0].name in message for message in messages)
    assert state(sim) == state(whole) and again == wanted


def test_progress_tells_layers_and_never_falls() -> None:
    model, data, _ = net("deep")
    seen: list[tuple[float, str]] = []
    STEPS["gptq"](ready(model, data), data, lambda fraction, message: seen.append((fraction, message)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    for i, layer in enumerate(model.layers):
        assert any(f"GPTQ: {layer.name}" in message and f"({i + 1} of {len(model.layers)})" in message for _, message in seen)
    assert any("→" in message and "dB" in message for _, message in seen)


def test_a_fixed_encoding_stays_and_the_weight_lies_on_it() -> None:
    model, data, _ = net("conv")
    sim = ready(model, data)
    name = sim.model.layers[1].weight
    sim.freeze([name])
    frozen = sim.fixed[name]
    STEPS["gptq"](sim, data)
    sim.calibrate(data)
    weight = torch.from_numpy(np.array(sim.model.constant(name)))
    assert sim.quantization.constants[name].key() == frozen.key() and torch.equal(frozen.fake_quantize(weight), weight)


def test_pins_hold_for_the_bits_they_were_made_for_alone() -> None:
    model, data, _ = net("conv")
    sim = ready(model, data)
    STEPS["gptq"](sim, data)
    name = sim.model.layers[0].weight
    other = sim.moved(Recipe(precision="w8a8", target="generic"))
    assert sim.constants()[name].key() == sim.pinned[name].key() and other.constants()[name].dtype == Int(8)


def test_wide_layers_are_rounded_in_slices() -> None:
    """With 16 MiB a layer of 2,000 inputs is solved in three parts; the result lies on the grid and is better than nearest."""
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="wide", transB=1)]
    model = from_proto(proto(nodes, {"x": ["n", 2000]}, {"y": ["n", 4]}, {"w": weights(4, 2000)}), "wide")
    mix = np.random.default_rng(1).normal(size=(40, 2000)).astype(np.float32)

    def made(seed: int) -> Dataset:
        rows = np.random.default_rng(seed).normal(size=(128, 40)).astype(np.float32) @ mix
        return Dataset("made", {"x": rows.astype(np.float32)})
    data, other = made(2), made(3)
    plain, sim = (simulated(model, data, Recipe(precision="w3a16", target="generic")) for _ in range(2))
    report = gptq(sim, data, Gptq(memory_mb=16), silent)
    sim.calibrate(data)
    assert report.layers[0].before is None and sqnr(sim, plain, other) > sqnr(plain, plain, other) + 5


def test_seq_mse_sets_grids_and_nothing_else() -> None:
    model, data, _ = net("conv")
    sim = ready(model, data, "w3a8")
    values, statistics = {name: sim.model.constant(name).copy() for name in sim.model.graph.initializers}, sim.statistics
    graph = sim.model
    report = STEPS["seq_mse"](sim, data)
    assert sim.model is graph and sim.statistics is statistics
    assert all(np.array_equal(sim.model.constant(name), array) for name, array in values.items())
    assert set(sim.pinned) == {layer.weight for layer in sim.model.layers} == {n for n in sim.quantization.constants if n in sim.pinned}
    assert all(layer.after >= layer.before - 1e-3 for layer in report.layers)  # type: ignore[operator]
    assert any(layer.after > layer.before + 0.5 for layer in report.layers)  # type: ignore[operator]


def test_bias_correction_leaves_no_mean_error() -> None:
    """Of every layer's output, in the prefix as it is after the step, on the calibration data (the formula's own promise)."""
    model, data, _ = net("branches")
    sim = ready(model, data, "w3a8")
    feeds, before = data.batch(0, len(data)), sim.model
    names = [layer.output if layer.op_type != "MatMul" else "y" for layer in before.layers]
    wanted = sim.chain.run(FLOAT, feeds, names)
    activations = sim.quantization.activations
    bias_correction(sim, data, BiasCorrection(rows=10_000_000), silent)
    sim.calibrate(data)
    for name, encoding in activations.items():
        sim.override(name, encoding)  # the ranges that the step saw
    raw = QuantSim(sim.model, sim.recipe)
    for layer, name in zip(before.layers, names, strict=True):
        axes = (0, 2, 3) if layer.op_type != "MatMul" else (0, 1, 2)
        raw.statistics = sim.statistics
        for other, encoding in activations.items():
            if other != name:
                raw.override(other, encoding)
            else:
                raw.fixed.pop(other, None)
        found = unquantized(raw, name, feeds)
        power = np.sqrt((wanted[name] ** 2).mean())
        assert np.abs(found.mean(axes) - wanted[name].mean(axes)).max() < 2e-3 * power, layer.name


def unquantized(sim: QuantSim, name: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """A tensor of the quantized graph before its own quantizer."""
    from engine.sim.quantization import Quantization

    found = sim.quantization
    rest = {other: encoding for other, encoding in found.activations.items() if other != name}
    return sim.chain.run(Quantization(rest, found.constants), feeds, [name])[name]


def test_bias_correction_says_what_it_leaves() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="bare")]
    model = from_proto(proto(nodes, {"x": ["n", 6]}, {"y": ["n", 6]}, {"w": weights(6, 6)}), "bare")
    data = data_for(model, 16)
    sim = simulated(model, data, Recipe(precision="w4a8", target="generic"))
    report = STEPS["bias_correction"](sim, data)
    assert any("1 layers have no bias to correct (first: bare)" in line for line in report.warnings)
    STEPS["gptq"](sim, data)
    sim.calibrate(data)
    assert any("rounded by an earlier step" in line for line in STEPS["bias_correction"](sim, data).warnings)


def embedding() -> Model:
    nodes = [helper.make_node("Gather", ["table", "i"], ["e"], name="words"),
             helper.make_node("MatMul", ["e", "w"], ["h"], name="dense"), helper.make_node("Add", ["h", "b"], ["y"], name="bias")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("i", TensorProto.INT64, ["n", 7])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7, 5])],
                              [numpy_helper.from_array(a, n) for n, a in
                               {"table": weights(30, 8), "w": weights(5, 8).T.copy(), "b": weights(5)}.items()])
    return from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "embedding")


def test_embeddings_keep_plain_rounding() -> None:
    model = embedding()
    data = Dataset("made", {"i": np.random.default_rng(0).integers(0, 30, (40, 7))})
    sim = simulated(model, data, Recipe(precision="w4a8", target="generic"))
    report = STEPS["gptq"](sim, data)
    assert set(sim.pinned) == {"w"} and np.array_equal(sim.model.constant("table"), model.constant("table"))
    assert report.warnings == ("words: a Gather keeps plain rounding",)


def test_a_table_that_a_layer_shares_is_left_to_the_embedding() -> None:
    """What ran before with the plain rounding would else be another network than the one that was calibrated on."""
    nodes = [helper.make_node("Gather", ["table", "i"], ["e"], name="words"), helper.make_node("MatMul", ["e", "w"], ["h"], name="dense"),
             helper.make_node("MatMul", ["h", "table"], ["y"], name="head")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("i", TensorProto.INT64, ["n", 7])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7, 8])],
                              [numpy_helper.from_array(a, n) for n, a in
                               {"table": weights(30, 8), "w": weights(30, 8, seed=1).T.copy()}.items()])
    model = from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "tied")
    data = Dataset("made", {"i": np.random.default_rng(0).integers(0, 30, (40, 7))})
    sim = simulated(model, data, Recipe(precision="w4a8", target="generic"))
    report = STEPS["gptq"](sim, data)
    assert set(sim.pinned) == {"w"} and np.array_equal(sim.model.constant("table"), model.constant("table"))
    assert any("head shares its weight with words" in line for line in report.warnings)


@pytest.mark.parametrize("option", [{"samples": 0}, {"damping": -1.0}, {"clip_candidates": 2.5}, {"correct_bias": 1}, {"memory_mb": 1}])
def test_settings_are_checked(option: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(option))):
        Gptq(**option)  # type: ignore[arg-type]


def test_the_exported_file_runs_as_simulated(mobilenet: Path, tmp_path: Path) -> None:
    """The rounded weights come back from the file in ONNX Runtime: parity as for any recipe."""
    model = load_model(mobilenet / "model.onnx")
    calibration, evaluation = (load_data(mobilenet / f"{part}.npz").bind(model.inputs) for part in ("calibration", "evaluation"))
    recipe = Recipe(precision="w4a8", steps=(Step("fold_batch_norm"), Step("gptq", {"samples": 32})))
    sim = QuantSim(model.with_sample(calibration.batch(0, 1)), recipe)
    apply_steps(sim, calibration)
    sim.calibrate(calibration.subset(32), histograms=False)
    export(sim, tmp_path)
    found = verify(tmp_path, evaluation, samples=64)
    assert found.passed, found.sentence
    stored = onnx.load(tmp_path / "model_qdq.onnx")
    kinds = {t.data_type for t in stored.graph.initializer if t.name.endswith("__q")}
    assert TensorProto.INT4 in kinds


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision", "granularity", "points", "decibels"), [
    ("fashion_mobilenet", "w4a8", "per_channel", 0.5, 26.0), ("fashion_mobilenet", "w4a8", "per_tensor", 2.0, 21.0),
    ("fashion_mobilenet", "w3a8", "per_channel", 1.5, 21.0), ("fashion_vit", "w4a8", "per_channel", 1.0, 25.0)])
def test_accuracy_on_held_out_pictures(mobilenet: Path, name: str, precision: str, granularity: str, points: float,
                                       decibels: float) -> None:
    """Calibrated on 512 training pictures, judged on 2,000 others (points of top-1 lost, SQNR of the logits)."""
    folder = mobilenet.parent / name
    model = load_model(folder / "model.onnx")
    calibration, evaluation = (load_data(folder / f"{part}.npz").bind(model.inputs) for part in ("calibration", "evaluation"))
    calibration = calibration.subset(512)
    model = model.with_sample(calibration.batch(0, 1))
    recipe = Recipe(precision=precision, weights=WeightOptions(granularity=granularity))  # type: ignore[arg-type]
    sim = QuantSim(model, recipe)
    apply_steps(sim, calibration)
    runs = [evaluation.batch(i, i + 16) for i in range(0, 2000, 16)]
    floats = np.concatenate([next(iter(sim.chain.run(FLOAT, feeds).values())) for feeds in runs])
    gptq(sim, calibration, Gptq(), silent)
    sim.calibrate(calibration, histograms=False)
    found = np.concatenate([next(iter(sim.run(feeds).values())) for feeds in runs])
    labels = evaluation.labels[:len(found)]  # type: ignore[index]
    lost = 100 * float((floats.argmax(-1) == labels).mean() - (found.argmax(-1) == labels).mean())
    noise = 10 * np.log10(float((floats**2).sum() / ((floats - found) ** 2).sum()))
    assert lost <= points and noise >= decibels, (lost, noise)


@pytest.mark.parametrize("before", [("cle",), ("smooth_quant",), ("cle", "absorb_bias"), ("seq_mse",)])
def test_after_other_steps_it_aims_at_what_they_left(before: tuple[str, ...]) -> None:
    """The graph that the steps before left is the float one; its function is the first model's, so the gain holds against that."""
    model, data, other = net("deep")
    plain = ready(model, data)
    steps = tuple(Step(name) for name in ("fold_batch_norm", *before, "gptq"))
    sim = QuantSim(model.clone().with_sample(data.batch(0, 1)), Recipe(precision="w4a8", target="generic", steps=steps))
    sim.calibrate(data)
    reports = apply_steps(sim, data)
    sim.calibrate(data)
    assert [report.name for report in reports] == [step.name for step in steps]
    assert sqnr(sim, plain, other) > sqnr(plain, plain, other) + 0.2
    assert set(sim.pinned) == {layer.weight for layer in sim.model.layers}
