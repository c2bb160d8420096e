"""Kept cuts: the same bits as a full run whatever was edited before, within a budget, the most worth kept."""
from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

from engine.analysis.layer_noise import LayerNoise
from engine.data import Dataset, load_data
from engine.graph import Model, from_proto, load_model
from engine.recipe import Recipe
from engine.sim.chain import Chain, batches
from engine.sim.kept_cuts import HALF_LIFE, KeptCuts
from engine.sim.kept_run import Boundaries, KeptRun
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, proto, weights

BATCH = 8
Arrays = dict[str, np.ndarray]


class Desk:
    """Recipes on one graph, run from kept cuts and beside that in full."""

    def __init__(self, model: Model, data: Dataset, budget: int = 1 << 30, min_nodes: int | None = None) -> None:
        self.sim, self.data, self.kept = QuantSim(model, Recipe(target="generic")), data, KeptCuts(budget)
        if min_nodes is not None:
            self.sim.__dict__["chain"] = Chain(model, min_nodes, 2 * min_nodes)
        self.sim.calibrate(data.take(range(min(32, len(data)))))
        self.chain = self.sim.chain
        self.boundaries = Boundaries(self.chain)

    def run_of(self, quantization: Quantization) -> KeptRun:
        return KeptRun(self.chain, quantization, self.kept, self.boundaries, "here")

    def quantization(self, recipe: Recipe) -> Quantization:
        return self.sim.moved(recipe).quantization

    def measured(self, recipe: Recipe, count: int | None = None) -> Arrays:
        run = self.run_of(self.quantization(recipe))
        self.kept.begin(run.keys)
        parts = [run.run(span, partial(self.data.batch, *span)) for span in batches(count or len(self.data), BATCH)]
        assert self.kept.bytes <= self.kept.budget
        assert self.kept.bytes == sum(size for cut in self.kept._cuts.values() for _, size in cut.batches.values())
        return {name: np.concatenate([p[name] for p in parts]) for name in self.chain.output_names}

    def full(self, recipe: Recipe, count: int | None = None) -> Arrays:
        quantization = self.quantization(recipe)
        parts = [self.chain.run(quantization, self.data.batch(*span)) for span in batches(count or len(self.data), BATCH)]
        return {name: np.concatenate([p[name] for p in parts]) for name in self.chain.output_names}

    def check(self, recipe: Recipe, count: int | None = None) -> None:
        found, want = self.measured(recipe, count), self.full(recipe, count)
        for name, array in want.items():
            assert np.array_equal(found[name], array), name


def net_data(samples: int = 24) -> Dataset:
    return Dataset("toy", {"x": np.random.default_rng(0).normal(size=(samples, 3, 12, 12)).astype(np.float32)})


def skipping_net() -> onnx.ModelProto:
    """A net with an early tensor read at the end, a second input that scales in the middle and at the end, and an inner output."""
    raw = conv_net(6)
    graph = raw.graph
    pool = next(n for n in graph.node if n.name == "pool")
    at = list(graph.node).index(pool)
    pool.input[0] = "scaled"
    graph.node.insert(at, helper.make_node("Add", ["a5", "r0"], ["skip"], name="skip"))
    graph.node.insert(at + 1, helper.make_node("Mul", ["skip", "gate"], ["scaled"], name="scale"))
    graph.node.insert(0, helper.make_node("Sigmoid", ["m"], ["gate"], name="gate"))
    graph.input.append(helper.make_tensor_value_info("m", onnx.TensorProto.FLOAT, ["batch", 8, 1, 1]))
    graph.output.append(helper.make_tensor_value_info("a2", onnx.TensorProto.FLOAT, ["batch", 8, 12, 12]))
    return raw


def skipping_data() -> Dataset:
    rng = np.random.default_rng(1)
    x, m = (rng.normal(size=shape).astype(np.float32) for shape in ((20, 3, 12, 12), (20, 8, 1, 1)))
    return Dataset("toy", {"x": x, "m": m})


@pytest.mark.parametrize("name", ["fashion_mobilenet", "fashion_vit"])
def test_edits_and_undo_give_the_bits_of_a_full_run_on_the_samples(name: str) -> None:
    folder = Path(__file__).parents[3] / "sample_models" / name
    desk = Desk(load_model(folder / "model.onnx"), load_data(folder / "evaluation.npz").take(range(40)))
    rng, layers = np.random.default_rng(3), desk.sim.model.layers
    recipe, before = Recipe(target="generic"), []
    desk.check(recipe)
    for _ in range(12):
        before.append(recipe)
        recipe = recipe.with_layer(layers[rng.integers(len(layers))].name, str(rng.choice(["w4a8", "w8a16", "w3a4", "fp16"])))
        desk.check(recipe)
    for old in reversed(before):
        desk.check(old)
        assert desk.kept.counts.skipped == desk.kept.counts.whole, "going back runs nothing"


def test_the_later_the_edit_the_more_is_skipped() -> None:
    desk = Desk(from_proto(conv_net(12), "net"), net_data(), min_nodes=6)
    desk.measured(Recipe(target="generic"))
    shares = []
    for layer in (desk.sim.model.layers[i] for i in (0, 6, 12)):
        desk.check(Recipe(target="generic").with_layer(layer.name, "w4a8"))
        shares.append(desk.kept.counts.skipped / desk.kept.counts.whole)
    assert shares[0] == 0 and 0.3 < shares[1] < 0.7 and shares[2] > 0.8


@pytest.mark.parametrize("min_nodes", [1, 2, 3, 5])
def test_cuts_with_several_live_tensors_side_inputs_and_early_outputs(min_nodes: int) -> None:
    desk = Desk(from_proto(skipping_net(), "net"), skipping_data(), min_nodes=min_nodes)
    assert any(len(segment.live) > 1 for segment in desk.chain.segments) and desk.boundaries.side >= {"gate", "m"}
    recipe = Recipe(target="generic")
    desk.check(recipe)
    for layer in (*desk.sim.model.layers, *reversed(desk.sim.model.layers)):
        recipe = recipe.with_layer(layer.name, "w4a8" if recipe.layer(layer.name) is None else None)
        desk.check(recipe)
    recipe = recipe.set("tensors.m.type", "a4")  # the side alone changes
    desk.check(recipe)


@pytest.mark.parametrize("budget", [0, 1000, 100_000, 300_000, 2_000_000])
def test_any_budget_gives_the_same_bits(budget: int) -> None:
    desk = Desk(from_proto(conv_net(8), "net"), net_data(), budget, min_nodes=4)
    recipe = Recipe(target="generic")
    for i in (7, 2, 5, 0, 5, 3):
        recipe = recipe.with_layer(f"conv{i}", "w4a8" if recipe.layer(f"conv{i}") is None else None)
        desk.check(recipe)


def value(size: int) -> dict[str, ort.OrtValue]:
    return {"t": ort.OrtValue.ortvalue_from_numpy(np.zeros(size, np.uint8))}


def kept(store: KeptCuts, key: str) -> list[int]:
    return [i for i in range(10) if store.get(key, (i, i + 1)) is not None]


def test_the_most_work_for_a_byte_is_kept_and_of_a_cut_its_first_samples() -> None:
    store = KeptCuts(1000)
    store.begin(())
    for i in range(10):  # batch by batch, as a run comes by
        store.put("poor", (i, i + 1), value(100), 100)
        store.put("rich", (i, i + 1), value(50), 200)
    assert (kept(store, "rich"), kept(store, "poor")) == (list(range(10)), list(range(5)))
    assert store.bytes == 1000


def test_what_is_larger_than_the_budget_drives_nothing_out() -> None:
    store = KeptCuts(1000)
    store.begin(())
    store.put("small", (0, 1), value(900), 1)
    store.put("big", (0, 1), value(1001), 1e9)
    assert store.get("small", (0, 1)) is not None and store.get("big", (0, 1)) is None


def test_what_is_not_used_ages() -> None:
    store = KeptCuts(100)
    store.begin(())
    store.put("old", (0, 1), value(100), 300)
    store.begin(("old",))
    store.put("new", (0, 1), value(100), 200)
    assert store.get("new", (0, 1)) is None, "worth less, and the old one was just used"
    for _ in range(HALF_LIFE):
        store.begin(())
    store.put("new", (0, 1), value(100), 200)
    assert store.get("new", (0, 1)) is not None and store.get("old", (0, 1)) is None


def test_noise_at_the_layers_is_remembered_where_nothing_changed() -> None:
    desk = Desk(from_proto(conv_net(8), "net"), net_data(), min_nodes=4)
    outputs = {layer.name: layer.output for layer in desk.sim.model.layers}
    lasting = LayerNoise()
    recipe = Recipe(target="generic")
    for i in (None, 7, 2, 5, 0, 5, 2, 7, 0):
        if i is not None:
            recipe = recipe.with_layer(f"conv{i}", "w4a8" if recipe.layer(f"conv{i}") is None else None)
        runs, told = (desk.run_of(desk.quantization(recipe)), desk.run_of(FLOAT)), list[str]()
        fresh = LayerNoise().sqnr(*runs, desk.data, BATCH, outputs)
        found = lasting.sqnr(*runs, desk.data, BATCH, outputs, lambda fraction, message, told=told: told.append(message))
        assert found == fresh and min(found.values()) > 5
    assert not told, "the first recipe again: all is remembered"


def test_noise_is_that_of_the_definition() -> None:
    desk = Desk(from_proto(conv_net(4), "net"), net_data(), min_nodes=3)
    quantization = desk.quantization(Recipe(target="generic"))
    outputs = {layer.name: layer.output for layer in desk.sim.model.layers}
    found = LayerNoise().sqnr(desk.run_of(quantization), desk.run_of(FLOAT), desk.data, BATCH, outputs)
    feeds = desk.data.batch(0, len(desk.data))
    before, after = desk.chain.run(FLOAT, feeds, outputs.values()), desk.chain.run(quantization, feeds, outputs.values())
    for layer, tensor in outputs.items():
        a, b = before[tensor].astype(np.float64), after[tensor].astype(np.float64)
        assert found[layer] == pytest.approx(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()), abs=0.2)


def test_graphs_of_one_layer_and_of_none() -> None:
    one = proto([helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")], {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": weights(4, 3)})
    none = proto([helper.make_node("Relu", ["x"], ["y"], name="relu")], {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)})
    for raw in (one, none):
        desk = Desk(from_proto(raw, "tiny"), data)
        for recipe in (Recipe(target="generic"), Recipe(precision="w4a8", target="generic"), Recipe(target="generic")):  # type: ignore[arg-type]
            desk.check(recipe)
