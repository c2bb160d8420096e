"""The ladder: it keeps what helps, leaves out what harms, stops at the goal, and is exactly the lines it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import Model, load_model
from engine.ptq.auto_settings import Auto
from engine.ptq.judge import Judge
from engine.ptq.ladder import rungs
from engine.ptq.technique import StepReport
from engine.recipe import Recipe
from engine.rooms import Rooms
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim

SAMPLES = 192


@pytest.fixture(scope="module")
def net(mobilenet: Path) -> Model:
    return load_model(mobilenet / "model.onnx")


@pytest.fixture(scope="module")
def data(mobilenet: Path) -> Dataset:
    return load_data(mobilenet / "calibration.npz").take(range(SAMPLES))


def recipe(*steps: Any, precision: str = "w4a8") -> Recipe:
    return Recipe.parse({"mixdown": 1, "precision": precision, "steps": list(steps), "calibration": {"samples": 64}})


def ran(net: Model, data: Dataset, precision: str = "w4a8", **options: Any) -> tuple[QuantSim, StepReport]:
    wanted = recipe({"auto": options} if options else "auto", precision=precision)
    room = Rooms(net, data).room(wanted)
    return room.calibrated(wanted), room.reports[-1]


@pytest.fixture(scope="module")
def found(net: Model, data: Dataset) -> tuple[QuantSim, StepReport]:
    return ran(net, data, goal=0.0, allow="fold_batch_norm, cle, smooth_quant, absorb_bias, gptq")


def loss(sim: QuantSim, net: Model, mobilenet: Path) -> float:
    """KL from the float model on samples that nothing has seen."""
    unseen = load_data(mobilenet / "evaluation.npz").take(range(300))
    judge = Judge(QuantSim(net.clone(), recipe()), unseen)
    return judge.of(sim).loss


def test_it_wins_on_samples_that_it_has_not_seen(found: Any, net: Model, data: Dataset, mobilenet: Path) -> None:
    sim, report = found
    plain = recipe("fold_batch_norm")
    before = Rooms(net, data).room(plain).calibrated(plain)
    assert loss(sim, net, mobilenet) < 0.3 * loss(before, net, mobilenet)
    assert report.instead is not None and report.instead[-1] == "gptq"


def test_the_lines_it_writes_give_the_same_network_bit_for_bit(found: Any, net: Model, data: Dataset) -> None:
    sim, report = found
    lines = recipe(*report.instead)
    other = Rooms(net, data).room(lines).calibrated(lines)
    assert {n: e.key() for n, e in sim.quantization.constants.items()} == {n: e.key() for n, e in other.quantization.constants.items()}
    feeds = data.batch(0, 16)
    a, b = (next(iter(s.run(feeds).values())) for s in (sim, other))
    assert np.array_equal(a, b)


def test_the_same_recipe_decides_the_same(found: Any, net: Model, data: Dataset) -> None:
    _, again = ran(net, data, goal=0.0, allow="fold_batch_norm, cle, smooth_quant, absorb_bias, gptq")
    strip = [{k: v for k, v in one.items() if k not in ("seconds", "words")} for one in again.tried]
    assert strip == [{k: v for k, v in one.items() if k not in ("seconds", "words")} for one in found[1].tried]
    assert again.instead == found[1].instead


def test_every_decision_is_a_line_and_only_what_helps_is_kept(found: Any) -> None:
    _, report = found
    text = "\n".join(report.changes)
    for name in ("fold_batch_norm", "cle", "smooth_quant", "absorb_bias", "gptq"):
        assert f"{name}: " in text
    assert "weights alone make" in text and "kept: " in text
    best = report.tried[0]["kl"]
    for trial in report.tried[1:]:
        if trial["kept"] and trial["steps"] != ["fold_batch_norm"]:
            assert trial["kl"] < best
        elif not trial["kept"]:
            assert trial["kl"] > 0.98 * best
        best = min(best, trial["kl"]) if trial["kept"] else best


def test_it_stops_at_the_goal(net: Model, data: Dataset) -> None:
    _, report = ran(net, data, precision="w8a8", goal=5.0)
    assert report.instead == ("fold_batch_norm",)
    assert any("not tried, the goal is met" in line for line in report.changes)


def test_what_is_not_allowed_is_not_tried(net: Model, data: Dataset) -> None:
    _, report = ran(net, data, goal=0.0, allow="fold_batch_norm, cle")
    assert all(set(one["steps"]) <= {"fold_batch_norm", "cle"} for one in report.tried)
    assert not any("gptq" in line for line in report.changes)


def test_time_ends_it_with_the_best_so_far(net: Model, data: Dataset) -> None:
    _, report = ran(net, data, goal=0.0, seconds=0.01)
    assert any("stopped after 0.01 s" in line for line in report.changes)
    assert len(report.tried) >= 1


def test_where_weights_are_float_no_rounding_is_tried(net: Model, data: Dataset) -> None:
    _, report = ran(net, data, precision="wfp16a4", goal=0.0, allow="fold_batch_norm, gptq")
    assert any("rounding is not tried" in line for line in report.changes)


def test_stopped_in_the_middle_it_leaves_everything_as_it_was(net: Model, data: Dataset) -> None:
    rooms, wanted = Rooms(net, data), recipe({"auto": {"goal": 0.0, "allow": "fold_batch_norm, gptq"}})

    def stop(fraction: float, message: str) -> None:
        if message.startswith("GPTQ") and "(3 of" in message:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rooms.room(wanted, stop)
    ground = rooms.room(recipe())
    assert ground.reports == () and ground.sim.pinned == {}
    feeds = data.batch(0, 4)
    assert np.array_equal(*(next(iter(QuantSim(m.clone(), wanted).chain.run(FLOAT, feeds).values())) for m in (net, ground.sim.model)))


def test_bad_settings_and_too_little_data_are_said(net: Model, data: Dataset) -> None:
    with pytest.raises(BadInput, match="expected all, or some of"):
        Auto(allow="cle, magic")
    with pytest.raises(BadInput, match="at least 32; there are 8"):
        ran(net, data.take(range(8)))


def test_rungs_are_tried_once_with_what_may_be_tried() -> None:
    assert rungs(("gptq", "adaround")) == [("gptq",), ("adaround",)]
    assert rungs(("seq_mse",)) == [("seq_mse",)]
    assert rungs(()) == []
