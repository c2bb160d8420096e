"""Folding keeps the float function: error at most 1e-4 of the output's range."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from engine.data import Dataset
from engine.errors import BadInput
from engine.graph import Model, from_proto
from engine.graph.notes import PREFIX, without_notes
from engine.ptq import apply_steps, registered
from engine.ptq.kept_norms import KEY, kept_norm
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, proto, weights

RNG = np.random.default_rng(3)


def norm(channels: int, tag: str = "") -> dict[str, np.ndarray]:
    return {
        f"g{tag}": RNG.uniform(0.5, 2, channels).astype(np.float32),
        f"b{tag}": RNG.normal(size=channels).astype(np.float32),
        f"m{tag}": RNG.normal(size=channels).astype(np.float32),
        f"v{tag}": RNG.uniform(0.1, 2, channels).astype(np.float32),
    }


def bn(source: str, target: str, tag: str = "") -> onnx.NodeProto:
    return helper.make_node("BatchNormalization", [source, f"g{tag}", f"b{tag}", f"m{tag}", f"v{tag}"], [target], name=f"bn{tag}")


def folded(model: Model) -> tuple[QuantSim, tuple[str, ...], tuple[str, ...]]:
    sim = QuantSim(model.clone(), Recipe(target="generic"))
    (report,) = apply_steps(sim, None)
    return sim, report.changes, report.warnings


def same(before: Model, after: Model, shape: tuple[int, ...]) -> None:
    feeds = {before.inputs[0].name: RNG.normal(size=shape).astype(np.float32)}
    a, b = Chain(before).run(FLOAT, feeds), Chain(after).run(FLOAT, feeds)
    for name in a:
        assert np.abs(a[name] - b[name]).max() <= 1e-4 * np.ptp(a[name])


CASES = {
    "conv": (
        lambda: proto(
            [helper.make_node("Conv", ["x", "w", "c"], ["h"], name="l", pads=[1] * 4), bn("h", "y")],
            {"x": ["n", 3, 6, 6]},
            {"y": ["n", 8, 6, 6]},
            {"w": weights(8, 3, 3, 3), "c": weights(8), **norm(8)},
        ),
        (2, 3, 6, 6),
    ),
    "depthwise": (
        lambda: proto(
            [helper.make_node("Conv", ["x", "w"], ["h"], name="l", group=6), bn("h", "y")],
            {"x": ["n", 6, 6, 6]},
            {"y": ["n", 6, 4, 4]},
            {"w": weights(6, 1, 3, 3), **norm(6)},
        ),
        (2, 6, 6, 6),
    ),
    "conv transpose": (
        lambda: proto(
            [helper.make_node("ConvTranspose", ["x", "w"], ["h"], name="l", strides=[2, 2]), bn("h", "y")],
            {"x": ["n", 4, 3, 3]},
            {"y": None},
            {"w": weights(4, 5, 2, 2), **norm(5)},
        ),
        (2, 4, 3, 3),
    ),
    "grouped conv transpose": (
        lambda: proto(
            [helper.make_node("ConvTranspose", ["x", "w"], ["h"], name="l", group=2), bn("h", "y")],
            {"x": ["n", 4, 3, 3]},
            {"y": None},
            {"w": weights(4, 3, 2, 2), **norm(6)},
        ),
        (2, 4, 3, 3),
    ),
    "gemm": (
        lambda: proto(
            [helper.make_node("Gemm", ["x", "w", "c"], ["h"], name="l", transB=1, alpha=0.5), bn("h", "y")],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(5, 4), "c": weights(5), **norm(5)},
        ),
        (3, 4),
    ),
    "matmul": (
        lambda: proto(
            [helper.make_node("MatMul", ["x", "w"], ["h"], name="l"), bn("h", "y")],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(4, 5), **norm(5)},
        ),
        (3, 4),
    ),
    "forward into conv": (
        lambda: proto(
            [bn("x", "h"), helper.make_node("Conv", ["h", "w"], ["y"], name="l", group=2)],
            {"x": ["n", 4, 5, 5]},
            {"y": ["n", 6, 3, 3]},
            {"w": weights(6, 2, 3, 3), **norm(4)},
        ),
        (2, 4, 5, 5),
    ),
    "matmul with a bias": (
        lambda: proto(
            [helper.make_node("MatMul", ["x", "w"], ["p"], name="l"), helper.make_node("Add", ["p", "c"], ["h"]), bn("h", "y")],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(4, 5), "c": weights(5), **norm(5)},
        ),
        (3, 4),
    ),
    "gemm whose bias counts half": (
        lambda: proto(
            [helper.make_node("Gemm", ["x", "w", "c"], ["h"], name="l", beta=0.5), bn("h", "y")],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(4, 5), "c": weights(5), **norm(5)},
        ),
        (3, 4),
    ),
    "forward into a depthwise conv": (
        lambda: proto(
            [bn("x", "h"), helper.make_node("Conv", ["h", "w"], ["y"], name="l", group=4)],
            {"x": ["n", 4, 5, 5]},
            {"y": ["n", 8, 3, 3]},
            {"w": weights(8, 1, 3, 3), **norm(4)},
        ),
        (2, 4, 5, 5),
    ),
    "forward into a padded conv, without a shift": (
        lambda: proto(
            [bn("x", "h"), helper.make_node("Conv", ["h", "w"], ["y"], name="l", pads=[1] * 4)],
            {"x": ["n", 4, 5, 5]},
            {"y": ["n", 6, 5, 5]},
            {"w": weights(6, 4, 3, 3), **norm(4), "b": np.zeros(4, np.float32), "m": np.zeros(4, np.float32)},
        ),
        (2, 4, 5, 5),
    ),
    "forward into matmul": (
        lambda: proto(
            [bn("x", "h"), helper.make_node("MatMul", ["h", "w"], ["y"], name="l")],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(4, 5), **norm(4)},
        ),
        (3, 4),
    ),
    "forward into gemm": (
        lambda: proto(
            [bn("x", "h"), helper.make_node("Gemm", ["h", "w", "c"], ["y"], name="l", alpha=2.0)],
            {"x": ["n", 4]},
            {"y": ["n", 5]},
            {"w": weights(4, 5), "c": weights(5), **norm(4)},
        ),
        (3, 4),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_neighbour(name: str) -> None:
    make, shape = CASES[name]
    before = from_proto(make(), name)
    sim, changes, warnings = folded(before)
    assert changes == ("bn folded into l",)
    assert warnings == ()
    assert not any(n.op_type == "BatchNormalization" for n in sim.model.graph)
    assert [o.name for o in sim.model.outputs] == ["y"]
    same(before, sim.model, shape)


def test_residual_net_and_the_original_is_untouched() -> None:
    before = from_proto(conv_net(), "net")
    kept = before.constant("w0").copy()
    sim, changes, _ = folded(before)
    assert len(changes) == 6
    same(before, sim.model, (2, 3, 12, 12))
    assert np.array_equal(before.constant("w0"), kept)
    assert [x.name for x in sim.model.layers] == [x.name for x in before.layers]


def test_one_norm_into_all_its_readers() -> None:
    nodes = [bn("x", "h"), helper.make_node("Conv", ["h", "w"], ["a"], name="l"), helper.make_node("Conv", ["h", "k"], ["a2"], name="k"),
             helper.make_node("Add", ["a", "a2"], ["y"])]
    constants = {"w": weights(6, 4, 3, 3), "k": weights(6, 4, 3, 3, seed=1), **norm(4)}
    made = proto(nodes, {"x": ["n", 4, 5, 5]}, {"y": ["n", 6, 3, 3]}, constants)
    before = from_proto(made, "two")
    sim, changes, _ = folded(before)
    assert changes == ("bn folded into l, k",)
    same(before, sim.model, (2, 4, 5, 5))


def test_what_the_norm_said_of_its_output_is_kept_and_not_exported() -> None:
    make, _ = CASES["conv"]
    before = from_proto(make(), "net")
    sim, _, _ = folded(before)
    kept = kept_norm(sim.model.nodes["l"])
    assert kept is not None
    assert np.array_equal(kept[0], before.constant("b")) and np.array_equal(kept[1], np.abs(before.constant("g")))
    assert any(entry.key.startswith(PREFIX) for node in sim.model.proto.graph.node for entry in node.metadata_props)
    assert not any(entry.key.startswith(PREFIX) for node in without_notes(sim.model.proto).graph.node for entry in node.metadata_props)
    sim.model.nodes["l"].metadata_props[KEY] = "no base64!"
    assert kept_norm(sim.model.nodes["l"]) is None


STAYS = {
    "padding before a forward fold": (
        [bn("x", "h"), helper.make_node("Conv", ["h", "w"], ["y"], name="l", pads=[1] * 4)],
        {"w": weights(4, 4, 3, 3)},
    ),
    "the layer's output is read twice": (
        [helper.make_node("Conv", ["x", "w"], ["h"], name="l", pads=[1] * 4), bn("h", "n"), helper.make_node("Add", ["n", "h"], ["y"])],
        {"w": weights(4, 4, 3, 3)},
    ),
    "the weight is shared": (
        [
            helper.make_node("Conv", ["x", "w"], ["h"], name="l", pads=[1] * 4),
            bn("h", "n"),
            helper.make_node("Conv", ["n", "w"], ["y"], name="l2", pads=[1] * 4),
        ],
        {"w": weights(4, 4, 3, 3)},
    ),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_cannot_fold_stays_with_a_warning(name: str) -> None:
    nodes, constants = STAYS[name]
    before = from_proto(proto(nodes, {"x": ["n", 4, 6, 6]}, {"y": ["n", 4, 6, 6]}, {**constants, **norm(4)}), name)
    sim, changes, warnings = folded(before)
    assert changes == ()
    assert "bn stays" in warnings[0]
    same(before, sim.model, (2, 4, 6, 6))


def test_a_step_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"no step 'fold_batchnorm' in this version.*fold_batch_norm"):
        registered("fold_batchnorm")


def test_folding_the_samples(sample_model: Model, evaluation: Dataset) -> None:
    sim, _, warnings = folded(sample_model)
    assert warnings == ()
    feeds = evaluation.batch(0, 64)
    name = sample_model.outputs[0].name
    a, b = Chain(sample_model).run(FLOAT, feeds)[name], Chain(sim.model).run(FLOAT, feeds)[name]
    assert np.abs(a - b).max() <= 1e-4 * np.ptp(a)
