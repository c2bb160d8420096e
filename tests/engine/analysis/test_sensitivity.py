"""Answers: confidence, the cache, and what the command line says of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.sensitivity.confidence import ranking
from engine.analysis.sensitivity.kinds import Item, Question
from engine.analysis.sensitivity.table import Table
from engine.cli import main
from engine.data import load_data
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session

W4A8, W8A8 = Precision.parse("w4a8"), Precision.parse("w8a8")


def table(means: list[float], noise: float, samples: int, mode: str = "one-on", seed: int = 0) -> Table:
    """Items with known mean scores and a per-sample noise that all share half of."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=samples)
    items = tuple(Item(f"l{i}", (), (f"w{i}",), ()) for i in range(len(means)))
    found = Table(Question((W4A8,), mode, samples=samples), items)  # type: ignore[arg-type]
    for i, mean in enumerate(means):
        found.put(i, 0, 0, {"kl": mean + noise * (shared + 0.5 * rng.normal(size=samples))})
    return found


def test_a_clear_order_is_settled_and_equal_items_are_tied() -> None:
    found = ranking(table([8.0, 4.0, 2.0, 1.0], 0.1, 64), 0)
    assert [r.item for r in found.ranks] == ["l0", "l1", "l2", "l3"]
    assert all(r.low == r.high == r.rank for r in found.ranks)
    assert "settle the order of all items" in found.words()
    tied = ranking(table([8.0, 1.0, 1.0, 1.0], 0.5, 32), 0)
    assert len(tied.ties) == 1
    assert tied.ranks[0].high == 1
    assert "the worst item, l0; the next 3 are tied" in tied.words()


def test_pure_noise_is_called_noise() -> None:
    found = ranking(table([1.0] * 12, 1.0, 24), 0)
    assert found.noise
    assert "is noise" in found.words()


def test_one_off_ranks_the_other_way_round() -> None:
    assert [r.item for r in ranking(table([3.0, 1.0, 2.0], 0.01, 16, "one-off"), 0).ranks] == ["l1", "l2", "l0"]


@pytest.fixture(scope="module")
def session(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(
        load_model(mobilenet / "model.onnx"),
        load_data(mobilenet / "evaluation.npz").take(range(64)),
        load_data(mobilenet / "calibration.npz"),
        cache=tmp_path_factory.mktemp("cache"),
    )


def test_the_same_question_twice_costs_nothing_and_one_layer_only_itself(session: Session) -> None:
    question = Question((W4A8,), samples=16)
    first = session.sensitivity(question, Recipe())
    assert first["cached_cells"] == 0
    again = session.sensitivity(question, Recipe())
    cells = len(session.model.layers)
    assert again["cached_cells"] == cells
    assert again["scores"] == first["scores"]
    name = session.model.layers[2].name
    changed = session.sensitivity(question, Recipe().set(f'layers."{name}".weights.granularity', "per_tensor"))
    assert changed["cached_cells"] >= cells - 1


def test_more_samples_go_on_from_fewer(session: Session) -> None:
    few = session.sensitivity(Question((W8A8,), samples=8), Recipe(precision="w8a16"))  # type: ignore[arg-type]
    assert {r["samples"] for r in few["scores"]} == {8}


def test_stopping_keeps_what_is_there(session: Session) -> None:
    def stop(fraction: float, message: str) -> None:
        if fraction > 0.6:
            raise Cancelled("enough")

    question = Question((Precision.parse("w2a8"),), samples=64)
    recipe = Recipe(target="generic")
    with pytest.raises(Cancelled):
        session.sensitivity(question, recipe, progress=stop)
    assert session.sensitivity(question, recipe)["cached_cells"] > 0


def test_every_score_states_unit_and_direction(session: Session) -> None:
    found = session.sensitivity(Question((W4A8,), samples=32))
    assert set(found["kinds"]) == {"kl", "sqnr_db", "mse", "cosine", "agreement", "metric_drop"}
    assert all(k["unit"] and k["doc"] for k in found["kinds"].values())
    drops = [r for r in found["scores"] if r["metric"] == "metric_drop"]
    assert all(r["below_resolution"] == (r["ci95"][0] <= 0 <= r["ci95"][1]) for r in drops)
    assert any(r["below_resolution"] for r in drops)


def test_modes_without_data(mobilenet: Path) -> None:
    bare = Session(load_model(mobilenet / "model.onnx"))
    found = bare.sensitivity(Question((W4A8, W8A8), "data-free"))
    assert all(r["ci95"] is None for r in found["scores"])
    values = {(r["layer"], r["precision"]): r["value"] for r in found["scores"]}
    assert all(values[name, "w8a8"] > values[name, "w4a8"] + 15 for name, _ in values)
    with pytest.raises(BadInput, match="data-free"):
        bare.sensitivity(Question((W4A8,), "one-on"))


def test_cumulative_reads_at_every_layer(session: Session) -> None:
    found = session.sensitivity(Question((W4A8,), "cumulative", samples=16))
    measured = {x["name"]: x["sqnr_db"] for x in session.measure(Recipe(precision="w4a8"))["layers"]}  # type: ignore[arg-type]
    for row in (r for r in found["scores"] if r["metric"] == "sqnr_db"):
        assert row["value"] == pytest.approx(measured[row["layer"]], abs=1.5), "other images, the same network"


def test_command_line(mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MIXDOWN_HOME", str(tmp_path / "home"))
    command = [
        "sensitivity",
        str(mobilenet / "model.onnx"),
        "--calibration",
        str(mobilenet / "calibration.npz"),
        "--precisions",
        "w8a8,w4a8",
        "--samples",
        "16",
        "--json",
        str(tmp_path / "s.json"),
        "-q",
        "--resume",
    ]
    assert main(command) == 0
    first = json.loads((tmp_path / "s.json").read_text())
    assert "lower is better" in capsys.readouterr().out
    assert main(command) == 0
    second = json.loads((tmp_path / "s.json").read_text())
    assert second["cached_cells"] > 0
    assert second["scores"] == first["scores"]
    assert {"layer", "precision", "mode", "metric", "value", "ci95", "estimate"} <= set(first["scores"][0])
    assert main([*command, "--precisions", "w8"]) == 2
