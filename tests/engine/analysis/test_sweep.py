"""The sweep against brute force: every cell is what a full run of the changed graph gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.sensitivity.items import items_of, switched_off, switched_on
from engine.analysis.sensitivity.kinds import SCORES, Array, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.graph import Model, from_proto, load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net

PRECISIONS = (Precision.parse("w8a8"), Precision.parse("w4a8"))


def parts(reference: Array, found: Array, first: int) -> dict[str, Array]:
    return {kind.name: kind.parts(reference, found) for kind in SCORES.values()}


def prepared(model: Model, data: Dataset) -> tuple[QuantSim, list[Quantization]]:
    sim = QuantSim(model.clone(), Recipe(target="generic"))
    apply_steps(sim, None)
    sim.calibrate(data)
    found = []
    for precision in PRECISIONS:
        sim.update(replace(Recipe(target="generic"), precision=precision))
        found.append(sim.quantization)
    return sim, found


@pytest.fixture(scope="module")
def ready(sample: Path) -> tuple[QuantSim, list[Quantization], Dataset]:
    model = load_model(sample / "model.onnx")
    data = load_data(sample / "calibration.npz", model.inputs)
    return *prepared(model, data.subset(32)), data.take(range(6))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("one-on", "layers"), ("one-on", "ops"), ("one-on", "groups"), ("one-on", "blocks"), ("one-off", "layers"), ("one-off", "ops")],
)
def test_every_cell_is_a_full_run(ready: tuple[QuantSim, list[Quantization], Dataset], mode: str, kind: str) -> None:
    """Outputs agree to 1e-5 of their range (bit-equal where no fusion crosses a cut); KL follows from them."""
    sim, quantizations, data = ready
    items = items_of(sim, kind, "both")  # type: ignore[arg-type]
    question = Question(PRECISIONS, mode, "both", kind, len(data))  # type: ignore[arg-type]
    outputs: list[Array] = []
    table = Table(question, items)
    sweep = Sweep(sim.chain, question, items, quantizations, lambda a, b, n: outputs.append(b) or parts(a, b, n))  # type: ignore[func-returns-value]
    sweep.run(data, table, 0, len(data))
    assert np.isfinite(table.parts["kl"]).all()
    chain, name = Chain(sim.model), sim.model.outputs[0].name
    feeds = data.batch(0, len(data))
    reference = chain.run(FLOAT, feeds)[name]
    switch = switched_on if mode == "one-on" else switched_off
    for i in range(0, len(items), 5):
        for p, quantization in enumerate(quantizations):
            found = chain.run(switch(quantization, items[i]), feeds)[name]
            want = SCORES["mse"].parts(reference, found)
            assert np.allclose(table.parts["mse"][i, p], want, rtol=1e-3, atol=1e-9 * np.ptp(reference) ** 2), items[i].name


def test_segments_cut_through_several_tensors_and_any_batch() -> None:
    net = from_proto(conv_net(), "net")
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(5, 3, 12, 12)).astype(np.float32)})
    sim, quantizations = prepared(net, data)
    items = items_of(sim, "ops", "both")
    tables = []
    for min_nodes, batch in ((1, 1), (2, 2), (3, 5), (100, 4)):
        question = Question(PRECISIONS, "one-on", "both", "ops", 5)
        table = Table(question, items)
        Sweep(Chain(sim.model, min_nodes), question, items, quantizations, parts, batch).run(data, table, 0, 5)
        tables.append(table.parts["kl"])
    for other in tables[1:]:
        assert np.allclose(tables[0], other, rtol=1e-3, atol=1e-10)


def test_equal_changes_run_once(ready: tuple[QuantSim, list[Quantization], Dataset]) -> None:
    sim, quantizations, data = ready
    items = items_of(sim, "layers", "activations")
    question = Question(PRECISIONS, "one-on", "activations", "layers", 2)
    calls = []
    table = Table(question, items)
    Sweep(sim.chain, question, items, quantizations, lambda a, b, n: calls.append(n) or parts(a, b, n), 2).run(data, table, 0, 2)  # type: ignore[func-returns-value]
    assert len(calls) < len(items) + 1, "activations have 8 bits at both precisions: one run serves both"
    assert np.array_equal(table.parts["kl"][:, 0], table.parts["kl"][:, 1])


def test_only_wanted_cells_are_run(ready: tuple[QuantSim, list[Quantization], Dataset]) -> None:
    sim, quantizations, data = ready
    items = items_of(sim, "layers", "weights")
    question = Question(PRECISIONS, "one-on", "weights", "layers", 4)
    table = Table(question, items)
    Sweep(sim.chain, question, items, quantizations, parts).run(data, table, 0, 4, wants=lambda i, p: i == 2 and p == 1)
    assert table.count().sum() == 4
    assert table.count()[2, 1] == 4


def test_values_and_intervals_by_hand() -> None:
    question = Question(PRECISIONS[:1], samples=4)
    table = Table(
        question,
        items_of(prepared(from_proto(conv_net(2), "n"), Dataset("t", {"x": np.ones((2, 3, 12, 12), np.float32)}))[0], "layers", "both"),
    )
    table.put(0, 0, 0, {"kl": np.asarray([1.0, 2.0, 3.0, 6.0]), "sqnr_db": np.asarray([[10.0, 1.0]] * 4)})
    assert table.value("kl")[0, 0] == 3.0
    assert table.value("sqnr_db")[0, 0] == pytest.approx(10.0)
    assert np.isnan(table.value("kl")[1, 0])
    low, high = table.interval("kl")
    assert 1.0 <= low[0, 0] < 3.0 < high[0, 0] <= 6.0
    (row,) = table.rows("kl")
    assert (row["samples"], row["estimate"], row["higher_is_better"]) == (4, False, False)


def test_blocks_are_modules_that_hold_several_layers(sample: Path) -> None:
    sim = QuantSim(load_model(sample / "model.onnx"), Recipe(target="generic"))
    blocks = {item.name: item.layers for item in items_of(sim, "blocks", "both")}
    assert sorted(x for layers in blocks.values() for x in layers) == sorted(layer.name for layer in sim.model.layers)
    name, members = ("features.2", 3) if sample.name == "fashion_mobilenet" else ("blocks.0.attention", 4)
    assert len(blocks[name]) == members
    assert "classifier" in blocks
    assert 3 < len(blocks) < len(sim.model.layers)
