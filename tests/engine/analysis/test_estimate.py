"""The estimate against the exact sweep on other samples, and against arithmetic where it must be exact."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from engine.analysis.sensitivity.curvature import Signs, class_axis, probe
from engine.analysis.sensitivity.estimate import estimate, notes
from engine.analysis.sensitivity.items import items_of, switched_on
from engine.analysis.sensitivity.kinds import SCORES, Array, Item, Question, What
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.errors import Cancelled, UnsupportedOp
from engine.graph import Model, from_proto, load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests import graphs

RECIPE = Recipe(target="generic")
SAMPLES = 64  # of the calibration set for the estimate, and as many of the evaluation set for the exact scores
ASKED: tuple[tuple[What, str], ...] = (("weights", "w4a16"), ("weights", "w2a16"), ("activations", "w16a8"), ("activations", "w16a4"),
                                       ("both", "w4a8"))


def prepared(model: Model, data: Dataset, precisions: Sequence[str]) -> tuple[QuantSim, list[Quantization]]:
    sim = QuantSim(model.clone(), RECIPE)
    apply_steps(sim, None)
    sim.calibrate(data)
    return sim, derived(sim, precisions)


def derived(sim: QuantSim, precisions: Sequence[str]) -> list[Quantization]:
    found = []
    for text in precisions:
        sim.update(replace(RECIPE, precision=Precision.parse(text)))
        found.append(sim.quantization)
    return found


def asked(precisions: Sequence[str], what: What = "both", samples: int = SAMPLES, probes: int = 1, kind: str = "layers") -> Question:
    return Question(tuple(Precision.parse(p) for p in precisions), "estimate", what, kind, samples, probes=probes)  # type: ignore[arg-type]


def spearman(a: Array, b: Array) -> float:
    ranks = [np.argsort(np.argsort(x)) for x in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def exact(sim: QuantSim, question: Question, items: tuple[Item, ...], quantizations: list[Quantization], data: Dataset) -> Array:
    table = Table(question, items)
    sweep = Sweep(sim.chain, replace(question, mode="one-on"), items, quantizations, lambda a, b, n: {"kl": SCORES["kl"].parts(a, b)})
    sweep.run(data, table, 0, question.samples)
    return table.value("kl")


@pytest.fixture(scope="module")
def ready(sample: Path) -> tuple[QuantSim, Dataset, Dataset]:
    model = load_model(sample / "model.onnx")
    calibration, evaluation = (load_data(sample / f"{name}.npz", model.inputs) for name in ("calibration", "evaluation"))
    sim, _ = prepared(model, calibration.subset(128), [])
    return sim, calibration, evaluation


@pytest.mark.parametrize(("what", "precision"), ASKED)
def test_ranks_as_the_exact_sweep_on_other_samples(ready: tuple[QuantSim, Dataset, Dataset], what: What, precision: str) -> None:
    """64 calibration images against 64 evaluation images; four probes keep the rank."""
    sim, calibration, evaluation = ready
    quantizations = derived(sim, [precision])
    items = items_of(sim, "layers", what)
    question = asked([precision], what)
    truth = exact(sim, question, items, quantizations, evaluation)[:, 0]
    one, four = (estimate(sim, replace(question, probes=n), items, quantizations, calibration).value("kl")[:, 0] for n in (1, 4))
    assert len(items) > 15
    assert spearman(one, truth) >= 0.85
    assert spearman(four, truth) >= max(0.85, spearman(one, truth) - 0.04)
    some = truth > 0  # 8 bits hold a picture's bytes exactly
    assert 0.4 < np.median(four[some] / truth[some]) < 2.5, "the scale may be off, not lost"


@pytest.mark.parametrize("kind", ["ops", "blocks", "groups"])
def test_every_kind_of_item(ready: tuple[QuantSim, Dataset, Dataset], kind: str) -> None:
    sim, calibration, _ = ready
    quantizations = derived(sim, ["w4a4"])
    items = items_of(sim, kind, "both")  # type: ignore[arg-type]
    table = estimate(sim, asked(["w4a4"], samples=8, kind=kind), items, quantizations, calibration)
    values = table.value("kl")[:, 0]
    assert table.estimate and table.samples == 8 and np.isfinite(values).all()
    assert (values > 0).mean() > 0.9


def test_one_pass_gives_what_each_precision_gives_alone_with_intervals(ready: tuple[QuantSim, Dataset, Dataset]) -> None:
    sim, calibration, _ = ready
    precisions = ["w8a8", "w4a8", "w4a4"]
    quantizations = derived(sim, precisions)
    items = items_of(sim, "layers", "both")
    table = estimate(sim, asked(precisions, samples=16), items, quantizations, calibration)
    alone = estimate(sim, asked(precisions[1:2], samples=16), items, quantizations[1:2], calibration)
    both, one = table.parts["kl"][:, 1], alone.parts["kl"][:, 0]
    assert np.allclose(both, one, rtol=1e-3, atol=1e-4 * one.mean())  # sums in another order, some of them near zero
    low, high = table.interval("kl")
    assert (low <= table.value("kl")).all() and (table.value("kl") <= high).all() and (low < high).mean() > 0.9
    assert all(row["estimate"] is True for row in table.rows("kl"))


def linear_model() -> Model:
    """Two layers without anything between them, and an output of one number: half the squared error, F = I."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="first", transB=1),
             helper.make_node("Gemm", ["h", "v"], ["y"], name="last", transB=1)]
    constants = {"w": graphs.weights(6, 5), "b": np.ones(6, np.float32), "v": graphs.weights(1, 6, seed=1)}
    return graphs.model(nodes, {"x": ["batch", 5]}, {"y": ["batch", 1]}, constants)


def values(n: int, *shape: int) -> Array:
    return np.random.default_rng(3).normal(size=(n, *shape)).astype(np.float32)


def test_a_linear_model_is_estimated_exactly_sample_by_sample() -> None:
    """With one output number every probe is exact: <v, dz>² = dz²; an item's tensors add before they are squared."""
    data = Dataset("toy", {"x": values(9, 5)})
    sim, quantizations = prepared(linear_model(), data, ["w4a8", "w3a4"])
    name, chain = sim.model.outputs[0].name, Chain(sim.model)
    for item in (Item("first", ("first",), ("w",), ()), Item("last", ("last",), ("v",), ()), Item("input", (), (), ("x",)),
                 Item("weights", (), ("w",), ("h",))):
        table = estimate(sim, asked(["w4a8", "w3a4"], samples=9), (item,), quantizations, data)
        for p, quantization in enumerate(quantizations):
            feeds = data.batch(0, 9)
            only = switched_on(quantization, item)
            found = chain.run(only, feeds)[name]
            if item.name == "weights":  # both at once: the rounding of h is taken where the float h lies, so add the two effects
                w, h = (chain.run(switched_on(quantization, Item("", (), *pair)), feeds)[name] for pair in ((("w",), ()), ((), ("h",))))
                found = w + h - chain.run(FLOAT, feeds)[name]
            want = 0.5 * ((found - chain.run(FLOAT, feeds)[name]) ** 2).sum(1)
            assert np.allclose(table.parts["kl"][0, p], want, rtol=2e-3, atol=1e-9), item.name


def bending_model() -> Model:
    """A layer, an activation that cuts, and a layer that is linear: only the activation bends."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="first", transB=1),
             helper.make_node("Clip", ["h", "low", "high"], ["c"], name="clip"),
             helper.make_node("Gemm", ["c", "v"], ["y"], name="last", transB=1)]
    constants = {"w": 3 * graphs.weights(6, 5), "b": np.ones(6, np.float32), "v": graphs.weights(1, 6, seed=1),
                 "low": np.float32(0), "high": np.float32(2)}
    return graphs.model(nodes, {"x": ["batch", 5]}, {"y": ["batch", 1]}, constants)


def test_a_coarse_weight_is_followed_through_its_activation() -> None:
    """At 2 bits the estimate is exact where only the activation bends; at 4 bits the change is taken as linear before it."""
    data = Dataset("toy", {"x": values(24, 5)})
    sim, quantizations = prepared(bending_model(), data, ["w2a16", "w4a16"])
    item = Item("first", ("first",), ("w",), ())
    table = estimate(sim, asked(["w2a16", "w4a16"], "weights", 24), (item,), quantizations, data)
    feeds, chain = data.batch(0, 24), Chain(sim.model)
    truth = [0.5 * ((chain.run(switched_on(q, item), feeds)["y"] - chain.run(FLOAT, feeds)["y"]) ** 2).sum(1) for q in quantizations]
    assert np.allclose(table.parts["kl"][0, 0], truth[0], rtol=2e-3, atol=1e-6)
    assert not np.allclose(table.parts["kl"][0, 1], truth[1], rtol=0.1, atol=1e-6), "the toy bends at 4 bits too, or tests nothing"
    assert table.value("kl")[0, 1] == pytest.approx(truth[1].mean(), rel=0.5)


def test_only_the_samples_that_say_most_are_differentiated(ready: tuple[QuantSim, Dataset, Dataset]) -> None:
    """A part of 256 stands for all of them: the level of many estimates of few samples, and their order."""
    sim, calibration, _ = ready
    quantizations = derived(sim, ["w4a8"])
    items = items_of(sim, "layers", "both")
    some = estimate(sim, asked(["w4a8"], samples=256, probes=4), items, quantizations, calibration)
    alone = [calibration.take(range(first, first + 16)) for first in range(0, 256, 16)]
    parts = [estimate(sim, asked(["w4a8"], samples=16, probes=4), items, quantizations, d).value("kl")[:, 0] for d in alone]
    value, whole = some.value("kl")[:, 0], np.mean(parts, axis=0)
    assert 32 <= some.samples <= 64 and (some.count() == some.samples).all()
    assert spearman(value, whole) > 0.9
    assert np.median(value / whole) == pytest.approx(1.0, abs=0.3)


def test_many_probes_reach_the_squared_error_of_many_outputs() -> None:
    """F = I on five axes of output: the mean over probes tends to half the squared error."""
    shape = helper.make_node("Reshape", ["h", "shape"], ["y"], name="reshape")
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"], name="fc", transB=1), shape]
    net = graphs.model(nodes, {"x": ["batch", 5]}, {"y": ["batch", 2, 2, 2, 1]},
                       {"w": graphs.weights(8, 5), "shape": np.array([-1, 2, 2, 2, 1], np.int64)})
    data = Dataset("toy", {"x": values(16, 5)})
    sim, quantizations = prepared(net, data, ["w4a16"])
    items = items_of(sim, "layers", "weights")
    feeds, chain = data.batch(0, 16), Chain(sim.model)
    want = 0.5 * ((chain.run(switched_on(quantizations[0], items[0]), feeds)["y"] - chain.run(FLOAT, feeds)["y"]) ** 2).sum()
    table = estimate(sim, asked(["w4a16"], "weights", 16, probes=400), items, quantizations, data)
    assert table.parts["kl"].sum() == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("shape", [(3, 10), (2, 4, 6), (2, 5, 2, 2), (3, 1), (2, 3, 2, 2, 2)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_probes_have_the_curvature_of_the_exact_score(shape: tuple[int, ...], probabilities: bool) -> None:
    """E[<v, dz>²] / 2 against the exact score of a small change."""
    rng = torch.Generator().manual_seed(0)
    z, dz = torch.randn(shape, generator=rng), 1e-2 * torch.randn(shape, generator=rng)
    axis = class_axis(shape)
    a, b = (z, z + dz) if axis is None or not probabilities else (z.softmax(axis), (z + dz).softmax(axis))
    directions = torch.stack([probe(a, xi) for xi in Signs(0, 4000).draw(shape)])
    along = (directions * (b - a)).reshape(4000, shape[0], -1).sum(2)
    want = SCORES["kl"].parts(a.double().numpy(), b.double().numpy())
    assert np.allclose(0.5 * along.square().mean(0).numpy(), want, rtol=0.12)


def test_signs_do_not_depend_on_the_batches() -> None:
    together, apart = Signs(5, 2), Signs(5, 2)
    whole = together.draw((4, 3))
    parts = torch.cat([apart.draw((1, 3)), apart.draw((3, 3))], 1)
    assert torch.equal(whole, parts)


def test_samples_along_another_axis_are_told_apart() -> None:
    """A tensor with the samples second: batches of one keep the scores per sample."""
    nodes = [helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[1, 0, 2]),
             helper.make_node("MatMul", ["t", "w"], ["m"], name="fc"),
             helper.make_node("Transpose", ["m"], ["y"], name="back", perm=[1, 0, 2])]
    net = graphs.model(nodes, {"x": ["batch", 3, 5]}, {"y": ["batch", 3, 4]}, {"w": graphs.weights(5, 4)})
    data = Dataset("toy", {"x": values(6, 3, 5)})
    sim, quantizations = prepared(net, data, ["w4a8"])
    items = items_of(sim, "layers", "both")
    whole = estimate(sim, asked(["w4a8"], samples=6), items, quantizations, data)
    assert np.isfinite(whole.parts["kl"]).all()
    # The second sample alone gives what it gave among the others, but for its signs: the squares of many agree.
    many = [estimate(sim, asked(["w4a8"], samples=n, probes=300), items, quantizations, d).parts["kl"][0, 0, -1]
            for n, d in ((2, data), (1, data.take([1])))]
    assert many[0] == pytest.approx(many[1], rel=0.3)


def embedding_model() -> Model:
    """Integer ids, a table, a mean over positions, class scores; positions come from a table read once for all samples."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["words"], name="words"),
             helper.make_node("Gather", ["places", "at"], ["where"], name="where"),
             helper.make_node("Add", ["words", "where"], ["sum"], name="add"),
             helper.make_node("ReduceMean", ["sum", "axes"], ["mean"], name="pool", keepdims=0),
             helper.make_node("Gemm", ["mean", "fc"], ["logits"], name="classifier", transB=1)]
    proto = graphs.proto(nodes, {"ids": ["batch", 4], "at": [1, 4]}, {"logits": ["batch", 6]},
                         {"table": graphs.weights(20, 8), "places": graphs.weights(4, 8, seed=2), "fc": 3 * graphs.weights(6, 8, seed=1),
                          "axes": np.array([1], np.int64)})
    for value in proto.graph.input:
        value.type.tensor_type.elem_type = 7  # INT64
    return from_proto(proto, "embedding")


def test_integer_inputs_and_tables() -> None:
    ids = np.random.default_rng(0).integers(0, 20, (64, 4))
    data = Dataset("toy", {"ids": ids, "at": np.arange(4)[None]}, shared=frozenset({"at"}), passed=frozenset({"at"}))
    sim, quantizations = prepared(embedding_model(), data, ["w4a8"])
    items = items_of(sim, "layers", "weights")
    table = estimate(sim, asked(["w4a8"], "weights", 64, probes=64), items, quantizations, data)
    truth = exact(sim, asked(["w4a8"], "weights", 64), items, quantizations, data)[:, 0]
    assert [i.name for i in items] == ["words", "where", "classifier"]
    assert np.allclose(table.value("kl")[:, 0], truth, rtol=0.35)


def test_an_estimate_too_large_for_its_model_says_so(ready: tuple[QuantSim, Dataset, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    sim, calibration, _ = ready
    quantizations = derived(sim, ["w4a8"])
    items = items_of(sim, "layers", "both")
    usual = estimate(sim, asked(["w4a8"], samples=16), items, quantizations, calibration)
    assert notes(usual) == [] and not any(row["rough"] for row in usual.rows("kl"))
    monkeypatch.setattr("engine.analysis.sensitivity.estimate.FAR", float(np.median(usual.value("kl"))))
    strict = estimate(sim, asked(["w4a8"], samples=16), items, quantizations, calibration)
    rough = [row for row in strict.rows("kl") if row["rough"]]
    assert len(rough) == len(items) // 2 and min(row["value"] for row in rough) > strict.far
    assert f"{len(rough)} of {len(items)} estimates exceed" in notes(strict)[0]


def test_squared_errors_have_no_bound() -> None:
    """Half the squared error of an output that is no class score is second order itself, however large."""
    data = Dataset("toy", {"x": 1000 * values(9, 5)})
    sim, quantizations = prepared(linear_model(), data, ["w2a8"])
    table = estimate(sim, asked(["w2a8"], "weights", 9), items_of(sim, "layers", "weights"), quantizations, data)
    assert table.value("kl").max() > 1 and notes(table) == []


def test_what_torch_cannot_differentiate_is_said() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"], name="conv"),
             helper.make_node("MaxRoiPool", ["h", "rois"], ["y"], name="strange", pooled_shape=[1, 1])]
    net = graphs.model(nodes, {"x": ["batch", 3, 4, 4]}, {"y": ["batch", 2, 1, 1]},
                       {"w": graphs.weights(2, 3, 1, 1), "rois": np.array([[0, 0, 0, 2, 2]], np.float32)})
    data = Dataset("toy", {"x": values(1, 3, 4, 4)})
    sim, quantizations = prepared(net, data, ["w4a8"])
    with pytest.raises(UnsupportedOp, match=r"cannot be differentiated: .*strange.*still be simulated, swept"):
        estimate(sim, asked(["w4a8"], samples=4), items_of(sim, "layers", "both"), quantizations, data)


def test_cancel(ready: tuple[QuantSim, Dataset, Dataset]) -> None:
    sim, calibration, _ = ready
    seen = []

    def stop(fraction: float, message: str) -> None:
        seen.append((fraction, message))
        if fraction > 0:
            raise Cancelled("stopped")

    quantizations = derived(sim, ["w4a8"])
    with pytest.raises(Cancelled):
        estimate(sim, asked(["w4a8"], samples=128), items_of(sim, "layers", "both"), quantizations, calibration, stop)
    assert "say most: 0 of 128" in seen[0][1] and 0 < seen[-1][0] < 1


def test_the_same_question_has_the_same_answer(ready: tuple[QuantSim, Dataset, Dataset]) -> None:
    sim, calibration, _ = ready
    quantizations = derived(sim, ["w4a8"])
    items = items_of(sim, "layers", "both")
    a, b = (estimate(sim, asked(["w4a8"], samples=6), items, quantizations, calibration).parts["kl"] for _ in range(2))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("op", ["Gemm", "MatMul", "pointwise"])
def test_a_weight_gradient_for_all_encodings_is_a_forward_pass_for_each(op: str, transposed: int) -> None:
    """Several precisions share one product; each alone takes the other way."""
    shape: list[int | str] = ["batch", 5, 3, 3] if op == "pointwise" else ["batch", 6, 5]
    weight = graphs.weights(4, 5, 1, 1) if op == "pointwise" else graphs.weights(*((4, 5) if transposed and op == "Gemm" else (5, 4)))
    before = [helper.make_node("Reshape", ["x", "rows"], ["r"], name="rows")] if op == "Gemm" else []
    inner = {"Gemm": helper.make_node("Gemm", ["r", "w", "b"], ["m"], name="fc", transB=transposed),
             "MatMul": helper.make_node("MatMul", ["x", "w"], ["m"], name="fc"),
             "pointwise": helper.make_node("Conv", ["x", "w", "b"], ["m"], name="fc")}[op]
    nodes = [*before, inner, helper.make_node("Reshape", ["m", "flat"], ["y"], name="flatten")]
    width = 36 if op == "pointwise" else 24
    net = graphs.model(nodes, {"x": shape}, {"y": ["batch", width]},
                       {"w": weight, "b": np.ones(4, np.float32), "rows": np.array([-1, 5], np.int64),
                        "flat": np.array([-1, width], np.int64)})
    data = Dataset("toy", {"x": values(7, *(int(d) for d in shape[1:]))})
    precisions = ["w8a8", "w4a8", "w2a8"]
    sim, quantizations = prepared(net, data, precisions)
    items = items_of(sim, "layers", "weights")
    together = estimate(sim, asked(precisions, "weights", 7), items, quantizations, data)
    for p, quantization in enumerate(quantizations):
        alone = estimate(sim, asked(precisions[p:p + 1], "weights", 7), items, [quantization], data)
        assert (alone.parts["kl"] > 0).all()
        assert np.allclose(together.parts["kl"][:, p], alone.parts["kl"][:, 0], rtol=1e-3, atol=1e-4 * alone.parts["kl"].mean())
