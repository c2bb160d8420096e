"""Statistics measured again under quantization: exactly those of the quantized graph, in order, nothing else touched."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import load_data
from engine.errors import BadInput, Cancelled
from engine.graph import from_proto, load_model
from engine.ptq import apply_steps
from engine.ptq.bn_reestimation import moments
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.session import Session
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.equivalence_nets import data
from tests.graphs import conv_net


def recipe(*steps: str, precision: str = "w4a8") -> Recipe:
    return Recipe(target="generic", steps=tuple(Step(name) for name in steps), precision=Precision.parse(precision))


def test_each_norm_has_the_statistics_of_what_it_reads_now() -> None:
    """Run the changed graph with the old encodings: every norm's input has the mean and variance that the norm holds."""
    model = from_proto(conv_net(3), "net")
    samples = data(model, 32)
    sim = QuantSim(model.clone(), recipe("bn_reestimation"))
    sim.calibrate(samples)
    encodings = sim.quantization
    (report,) = apply_steps(sim, samples)
    found = sim.chain.run(encodings, samples.batch(0, 32), [f"c{i}" for i in range(3)])
    for i in range(3):
        norm = sim.model.nodes[f"bn{i}"]
        mean, variance = (sim.model.constant(str(norm.inputs[k].name)) for k in (3, 4))  # type: ignore[union-attr]
        assert mean == pytest.approx(found[f"c{i}"].mean(axis=(0, 2, 3)), abs=1e-4)
        assert variance == pytest.approx(found[f"c{i}"].var(axis=(0, 2, 3)), rel=1e-3)
        for k in (1, 2):
            assert np.array_equal(sim.model.constant(str(norm.inputs[k].name)), model.constant("gb"[k - 1] + str(i)))  # type: ignore[union-attr]
    assert np.array_equal(sim.model.constant("w1"), model.constant("w1"))
    assert len(report.changes) == 4 and not report.equivalent and all(c.before > 0.0 == c.after for c in report.layers)  # type: ignore[operator]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 99))
def test_moments_of_parts_are_those_of_the_whole(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(1000.0, 1.0, (size, 3, 2, 2)).astype(np.float32) for size in sizes]
    mean, variance = moments(iter(parts))
    whole = np.concatenate(parts).astype(np.float64)
    assert mean == pytest.approx(whole.mean(axis=(0, 2, 3)), rel=1e-12)
    assert variance == pytest.approx(whole.var(axis=(0, 2, 3)), rel=1e-6, abs=1e-12)


def test_when_all_are_folded_it_says_so() -> None:
    model = from_proto(conv_net(2), "net")
    sim = QuantSim(model, recipe("fold_batch_norm", "bn_reestimation"))
    reports = apply_steps(sim, data(model))
    assert reports[-1].changes == () and "before fold_batch_norm" in reports[-1].warnings[0]


def test_without_data_it_asks_for_them_and_a_cancel_leaves_all_as_it_was() -> None:
    model = from_proto(conv_net(3), "net")
    sim = QuantSim(model, recipe("bn_reestimation"))
    with pytest.raises(BadInput, match="calibration data"):
        apply_steps(sim, None)

    def stop(fraction: float, message: str) -> None:
        if "bn2" in message:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        apply_steps(sim, data(model), stop)
    assert sim.model is model and np.array_equal(model.constant("m0"), from_proto(conv_net(3), "net").constant("m0"))


def test_a_constant_channel_keeps_its_statistics() -> None:
    model = from_proto(conv_net(2), "net")
    weight = model.constant("w0").copy()
    weight[2] = 0.0
    model.set_constant("w0", weight)
    sim = QuantSim(model.clone(), recipe("bn_reestimation"))
    apply_steps(sim, data(model))
    norm = sim.model.nodes["bn0"]
    assert sim.model.constant(str(norm.inputs[4].name))[2] == model.constant("v0")[2]  # type: ignore[union-attr]


def test_it_wins_back_most_of_what_four_bits_cost(mobilenet: Path) -> None:
    session = Session(load_model(mobilenet / "model.onnx"), load_data(mobilenet / "evaluation.npz").subset(1000, 0),
                      load_data(mobilenet / "calibration.npz"))
    plain = session.measure(recipe("fold_batch_norm"))
    better = session.measure(recipe("bn_reestimation", "fold_batch_norm"))
    assert better["sqnr_db"] > plain["sqnr_db"] + 3.0
    assert better["drop"]["value"] < 0.5 * plain["drop"]["value"]
