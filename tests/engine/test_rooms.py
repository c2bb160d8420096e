"""Rooms: which recipes share a stepped graph, what an edit repeats, and what survives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import rooms as rooms_module
from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.graph import Model, from_proto
from engine.progress import Progress
from engine.ptq import technique as registry
from engine.ptq.technique import LayerChange, StepReport, setting, technique
from engine.recipe import Recipe
from engine.rooms import Rooms
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net

RAN: list[str] = []


@dataclass(frozen=True)
class Shrunk:
    """A small real step: every weight rounded to nearest on a narrower grid."""

    share: float = setting(0.9, "Share of the range, 0 to 1.", 0.1, 1.0)


def shrunk(sim: QuantSim, data: Samples | None, config: Shrunk, progress: Progress) -> StepReport:
    """Rounds each layer on a grid of a share of its range, and pins that grid."""
    RAN.append("rounded")
    work, found = sim.copy(), sim.quantization
    assert found.activations, "a step that looks at the precision has ranges"
    for i, layer in enumerate(sim.model.layers):
        progress(i / len(sim.model.layers), layer.name)
        usual = found.constants[layer.weight]
        narrow = registry.replace(usual, scale=usual.scale * config.share)  # type: ignore[attr-defined,operator]
        work.model.set_constant(layer.weight, narrow.fake_quantize(torch.from_numpy(np.array(sim.model.constant(layer.weight)))).numpy())
        work.pin(layer.weight, narrow)
    sim.take(work)
    return StepReport("qat", ("all",), layers=(LayerChange("conv0", 1.0, 2.0),))


@dataclass(frozen=True)
class Scaled:
    """Another one: looks at the weights alone."""

    factor: float = setting(2.0, "Factor.", 0.1, 10.0)


def scaled(sim: QuantSim, data: Samples | None, config: Scaled, progress: Progress) -> StepReport:
    """Scales the last layer's weight."""
    RAN.append("cle")
    model = sim.model.clone()
    name = model.layers[-1].weight
    model.set_constant(name, model.constant(name) * np.float32(config.factor))
    sim.model = model
    sim.graph_changed()
    return StepReport("cle", ("last",))


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))
    monkeypatch.setattr(registry, "_BY_CONFIG", dict(registry._BY_CONFIG))
    monkeypatch.setattr(rooms_module, "WORTH_KEEPING", 0.0)
    # Under names that a recipe knows; the registry is a copy for this test.
    technique("qat", Shrunk, looks_at="precision")(shrunk)
    technique("cle", Scaled, looks_at="graph")(scaled)
    RAN.clear()


@pytest.fixture(scope="module")
def net() -> Model:
    return from_proto(conv_net(), "net")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset("toy", {"x": np.random.default_rng(0).normal(size=(16, 3, 12, 12)).astype(np.float32)})


def recipe(*steps: str, precision: str = "w4a8", **more: object) -> Recipe:
    return Recipe(precision=precision, target="generic", steps=steps, **more)  # type: ignore[arg-type]


def outputs(sim: QuantSim, data: Dataset) -> np.ndarray:
    return next(iter(sim.run(data.batch(0, 4)).values()))


def test_an_edit_of_bits_repeats_no_step_that_looks_at_the_graph_alone(net: Model, data: Dataset) -> None:
    rooms = Rooms(net, data)
    first = rooms.room(recipe("fold_batch_norm", "cle"))
    assert rooms.room(recipe("fold_batch_norm", "cle", precision="w8a16")) is first
    assert RAN == ["cle"] and rooms.runs == 2


def test_one_more_step_costs_that_step_alone(net: Model, data: Dataset) -> None:
    rooms = Rooms(net, data)
    rooms.room(recipe("cle"))
    rooms.room(recipe("cle", "qat"))
    rooms.room(recipe("cle", "qat", "cle"))
    assert RAN == ["cle", "rounded", "cle"]
    assert [r.name for r in rooms.room(recipe("cle", "qat", "cle")).reports] == ["cle", "qat", "cle"]


def test_a_rounded_graph_belongs_to_what_the_recipe_resolves_to_and_to_nothing_else(net: Model, data: Dataset) -> None:
    rooms, layer = Rooms(net, data), net.layers[0].name
    first = rooms.room(recipe("qat"))
    same = recipe("qat", candidates=("w4a8", "w8a8")).with_layer(layer, "w4a8")
    assert rooms.room(same) is first, "another text that resolves to the same"
    assert rooms.room(recipe("qat").with_layer(layer, "w8a8")) is not first
    assert rooms.room(recipe("qat").set("calibration.samples", 8)) is not first
    assert rooms.room(recipe("qat").set("calibration.method", "mse")) is not first
    assert RAN == ["rounded"] * 4


def test_pins_are_used_and_move_to_other_precisions_only_where_they_fit(net: Model, data: Dataset) -> None:
    rooms = Rooms(net, data)
    wanted = recipe("qat")
    sim = rooms.room(wanted).calibrated(wanted)
    assert set(sim.pinned) == {layer.weight for layer in net.layers}
    assert all(sim.quantization.constants[name] is encoding for name, encoding in sim.pinned.items())


def test_a_restart_goes_on_from_disk_with_the_same_numbers(net: Model, data: Dataset, tmp_path: Path) -> None:
    wanted = recipe("fold_batch_norm", "cle", "qat")
    before = Rooms(net, data, tmp_path).room(wanted)
    RAN.clear()
    again = Rooms(net, data, tmp_path)
    after = again.room(wanted)
    assert RAN == [] and again.runs == 0
    assert [r.to_json() for r in after.reports] == [r.to_json() for r in before.reports]
    a, b = before.calibrated(wanted), after.calibrated(wanted)
    assert {n: e.key() for n, e in a.quantization.constants.items()} == {n: e.key() for n, e in b.quantization.constants.items()}
    assert np.array_equal(outputs(a, data), outputs(b, data))


def test_a_damaged_file_is_made_again(net: Model, data: Dataset, tmp_path: Path) -> None:
    wanted = recipe("cle", "qat")
    first = Rooms(net, data, tmp_path).room(wanted).calibrated(wanted)
    for file in (tmp_path / "steps").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:200])
    RAN.clear()
    again = Rooms(net, data, tmp_path).room(wanted).calibrated(wanted)
    assert RAN == ["cle", "rounded"]
    assert np.array_equal(outputs(first, data), outputs(again, data))


def test_a_step_that_is_stopped_leaves_the_stack_as_it_was(net: Model, data: Dataset) -> None:
    rooms, wanted = Rooms(net, data), recipe("cle", "qat")
    below = rooms.room(recipe("cle"))
    weights = [np.array(below.sim.model.constant(layer.weight)) for layer in below.sim.model.layers]

    def stop(fraction: float, message: str) -> None:
        if message == net.layers[-1].name:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rooms.room(wanted, stop)
    assert all(np.array_equal(w, below.sim.model.constant(x.weight)) for w, x in zip(weights, below.sim.model.layers, strict=True))
    assert below.sim.pinned == {}
    assert len(rooms.room(wanted).reports) == 2


def test_what_follows_from_the_recipe_alone_waits_for_no_rounding(net: Model, data: Dataset) -> None:
    rooms, wanted = Rooms(net, data), recipe("cle", "qat")
    assert [r.name for r in rooms.sketch(wanted).reports] == ["cle"] and RAN == ["cle"]
    assert not rooms.at_hand(wanted)
    full = rooms.room(wanted)
    assert rooms.sketch(wanted) is full and rooms.at_hand(wanted)


def test_a_step_without_the_data_it_needs_says_so(net: Model) -> None:
    with pytest.raises(BadInput, match="calibration data"):
        Rooms(net, None).room(recipe("qat"))


def test_few_rooms_are_kept_and_none_of_the_present_stack_goes(net: Model, data: Dataset) -> None:
    rooms = Rooms(net, data)
    for bits in range(2, 14):
        rooms.room(recipe("cle", "qat", precision=f"w{bits}a8"))
    assert len(rooms._rooms) <= rooms_module.MAX_ROOMS
    assert RAN.count("cle") == 1
