"""The sweep gives what a full run of the changed graph in one session gives: every mode, every cell, any cut, any budget."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engine.analysis.sensitivity.budget import Budget
from engine.analysis.sensitivity.cumulative import cumulative
from engine.analysis.sensitivity.items import items_of, switched_off, switched_on
from engine.analysis.sensitivity.kinds import SCORES, Array, Item, ItemKind, Mode, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.graph import Model, from_proto, load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, model, weights

PRECISIONS = tuple(map(Precision.parse, ("w8a8", "w4a8")))
RECIPE = Recipe(target="generic")
RELATIVE = 1e-4
SAMPLES, RUN = 6, 2
Ready = tuple[QuantSim, list[Quantization], Dataset]


def prepared(net: Model, data: Dataset) -> tuple[QuantSim, list[Quantization]]:
    """A calibrated simulation, and everything on at each precision."""
    sim = QuantSim(net.clone(), RECIPE)
    apply_steps(sim, None)
    sim.calibrate(data)
    found = []
    for precision in PRECISIONS:
        sim.update(replace(RECIPE, precision=precision))
        found.append(sim.quantization)
    return sim, found


@pytest.fixture(scope="module")
def ready(sample: Path) -> Ready:
    net = load_model(sample / "model.onnx")
    data = load_data(sample / "calibration.npz", net.inputs)
    return *prepared(net, data.subset(64)), data.take(range(SAMPLES))


def outputs(chain: Chain, question: Question, items: tuple[Item, ...], on: list[Quantization], data: Dataset, run: int = RUN,
            budget: Budget = Budget()) -> Array:  # noqa: B008 (frozen)
    """The outputs of every cell: [items, precisions, samples, classes]."""
    table = Table(question, items)

    def keep(reference: Array, found: Array, samples: Array) -> dict[str, Array]:
        return {"kl": SCORES["kl"].parts(reference, found), "output": found.reshape(len(found), -1)}

    Sweep(chain, question, items, on, keep, run, budget).run(data, table, 0, len(data))
    return table.parts["output"]


def whole(chain: Chain, quantization: Quantization, data: Dataset, run: int = RUN) -> Array:
    """The output of a graph in one session."""
    name = chain.output_names[0]
    return np.concatenate([chain.run(quantization, data.batch(a, b))[name] for a, b in batches(len(data), run)]).reshape(len(data), -1)


def check(found: Array, sim: QuantSim, mode: Mode, items: tuple[Item, ...], on: list[Quantization], data: Dataset, exactly: bool) -> None:
    """Every cell against a full run."""
    switch = switched_on if mode == "one-on" else switched_off
    for i, item in enumerate(items):
        for p, quantization in enumerate(on):
            want = whole(Chain(sim.model, 10**6, 10**7), switch(quantization, item), data)
            if exactly:
                assert np.array_equal(found[i, p], want), item.name
            else:
                assert np.linalg.norm(found[i, p] - want) <= RELATIVE * np.linalg.norm(want), item.name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["layers", "ops", "groups", "blocks"])
@pytest.mark.parametrize("mode", ["one-on", "one-off"])
def test_every_cell_of_both_samples_is_a_full_run(ready: Ready, mode: Mode, kind: ItemKind) -> None:
    """To the bit on the transformer; on the CNN, where fusions differ across a cut, to 1e-4 of the output."""
    sim, on, data = ready
    items = items_of(sim, kind, "both")
    found = outputs(sim.chain, Question(PRECISIONS, mode, "both", kind, len(data)), items, on, data)
    check(found, sim, mode, items, on, data, exactly="vit" in str(sim.model.path))


def two_heads() -> Model:
    """A trunk that two heads read; the second head comes last."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["t"], name="trunk"),
        helper.make_node("Relu", ["t"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "a"], ["first"], name="first_head"),
        helper.make_node("Gemm", ["r", "b"], ["second"], name="second_head"),
    ]
    constants = {"w": weights(8, 16), "a": weights(16, 5, seed=1), "b": weights(16, 3, seed=2)}
    return model(nodes, {"x": ["batch", 8]}, {"first": ["batch", 5], "second": ["batch", 3]}, constants)


@pytest.fixture(scope="module")
def toy() -> Ready:
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(SAMPLES, 3, 12, 12)).astype(np.float32)})
    return *prepared(from_proto(conv_net(), "net"), data), data


@pytest.mark.parametrize("mode", ["one-on", "one-off"])
@pytest.mark.parametrize("kind", ["ops", "groups"])
@pytest.mark.parametrize("nodes", [(1, 1), (1, 2), (2, 3), (3, 8), (100, 200)])
def test_cuts_through_several_live_tensors(toy: Ready, mode: Mode, kind: ItemKind, nodes: tuple[int, int]) -> None:
    """Segments of one to three nodes end inside of residual blocks, where the shortcut is live beside the branch."""
    sim, on, data = toy
    chain = Chain(sim.model, *nodes)
    if nodes[1] < 3:
        assert any(len(segment.live) > 1 for segment in chain.segments)
    items = items_of(sim, kind, "both")
    check(outputs(chain, Question(PRECISIONS, mode, "both", kind, SAMPLES), items, on, data), sim, mode, items, on, data, exactly=False)


@pytest.mark.parametrize("mode", ["one-on", "one-off"])
@pytest.mark.parametrize("budget", [Budget(0, 0, 0), Budget(0, 1 << 30, 1 << 30), Budget(4000, 3000, 1 << 16), Budget(1 << 30, 1 << 30, 0)])
def test_a_budget_changes_when_things_run_and_no_number(toy: Ready, mode: Mode, budget: Budget) -> None:
    sim, on, data = toy
    items, question = items_of(sim, "ops", "both"), Question(PRECISIONS, mode, "both", "ops", SAMPLES)
    chain = Chain(sim.model, 2)
    plenty = outputs(chain, question, items, on, data, 1)
    assert np.array_equal(outputs(chain, question, items, on, data, 1, budget), plenty)


@pytest.mark.parametrize("exactly", [True, False])
def test_cumulative_is_a_full_run_read_at_every_item(ready: Ready, toy: Ready, exactly: bool) -> None:
    """One dual pass for all items and precisions against a graph in one session, item by item."""
    sim, on, data = ready if exactly else toy
    items = tuple(item for item in items_of(sim, "layers", "both") if item.output)
    table = cumulative(sim.chain, Question(PRECISIONS, "cumulative", "both", "layers", len(data)), items, on, data, batch=RUN)
    for i, item in enumerate(items[::4]):
        for p, quantization in enumerate(on):
            chain, name = Chain(sim.model, 10**6, 10**7), str(item.output)
            runs = [[chain.run(q, data.batch(a, b), [name])[name] for a, b in batches(len(data), RUN)] for q in (FLOAT, quantization)]
            want = SCORES["sqnr_db"].parts(*(np.concatenate(run) for run in runs))
            assert np.allclose(table.parts["sqnr_db"][4 * i, p], want, rtol=1e-2), item.name


def test_items_of_another_head_leave_the_first_output_as_it_is() -> None:
    """Two heads: what feeds the second alone changes nothing in the first."""
    net = two_heads()
    data = Dataset("toy", {"x": np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)})
    sim, on = prepared(net, data)
    items = items_of(sim, "layers", "weights")
    found = outputs(Chain(sim.model, 1, 1), Question(PRECISIONS, "one-on", "weights", "layers", 4), items, on, data)
    check(found, sim, "one-on", items, on, data, exactly=False)
    reference = whole(sim.chain, FLOAT, data)
    changed = {item.name: not np.array_equal(found[i, 1], reference) for i, item in enumerate(items)}
    assert changed == {"trunk": True, "first_head": True, "second_head": False}
