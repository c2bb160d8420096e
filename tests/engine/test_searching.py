"""The search of a session on the bundled samples, and the verb: what is promised is measured on samples nothing was chosen by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.mixed.mix import unpacked
from engine.mixed.space import Space
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.searching import Searching, search_asked
from engine.session import Session

ROOT = Path(__file__).parents[2]
CANDIDATES = ("w8a16", "w8a8", "w4a8")
FEW = {"points": 3, "rounds": 4, "score_samples": 32}


def made(sample: Path, samples: int = 400, cache: Path | None = None) -> Session:
    evaluation = load_data(sample / "evaluation.npz").take(range(samples))
    return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"), cache=cache)


@pytest.fixture(scope="module")
def session(sample: Path) -> Session:
    return made(sample)


@pytest.fixture(scope="module")
def found(session: Session) -> dict[str, Any]:
    return session.search_report(CANDIDATES, max_drop=0.05, **FEW)


def test_the_answer_has_a_measured_front_a_choice_and_a_promise(session: Session, found: dict[str, Any]) -> None:
    assert {"pareto", "chosen", "promise", "certifies", "kept", "frontiers", "layers", "spent", "words"} <= set(found)
    for point in found["pareto"]:
        assert {"recipe", "value", "size_bytes", "bops", "measured", "kl", "drop", "predicted_kl", "boundaries"} <= set(point)
        assert point["measured"] is True
        resolved = session.resolve(Recipe.parse(point["recipe"]))
        assert resolved["cost"]["size_bytes"] == point["size_bytes"]
        assert resolved["cost"]["bops"] == point["bops"]
        assert resolved["boundaries"] == point["boundaries"]
        assert {x["name"]: x["precision"] for x in resolved["layers"]} == point["layers"]
        assert all(x["legal"] for x in resolved["layers"])
    costs, kls = [p["bops"] for p in found["pareto"]], [p["kl"] for p in found["pareto"]]
    assert costs == sorted(costs)
    assert kls == sorted(kls, reverse=True)
    assert found["chosen"]["recipe"] in [p["recipe"] for p in found["pareto"]]
    assert json.dumps(found)


def test_every_recipe_that_was_measured_can_be_made_again(session: Session, found: dict[str, Any]) -> None:
    legend = found["mix"]
    assert legend["layers"] == [layer.name for layer in session.model.layers]
    assert len(found["tried"]) > len(found["pareto"])
    for point in found["tried"]:
        layers = unpacked(point["mix"], legend)
        cost = session.resolve(Recipe(precision=Precision.parse(point["base"])).with_layers(dict(layers)))["cost"]
        assert (cost["size_bytes"], cost["bops"]) == (point["size_bytes"], point["bops"])
    tried = {(p["base"], p["mix"]): p["kl"] for p in found["tried"]}
    for point in found["pareto"]:
        again = [kl for (base, mix), kl in tried.items() if base == point["base"]
                 and {n: str(p) for n, p in unpacked(mix, legend).items()} == point["layers"]]
        assert again == [point["kl"]]


@pytest.mark.parametrize("wrong", ["", "z", "a-1", "a999999", "a2", "A"])
def test_a_mix_of_other_layers_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="a mix"):
        unpacked(wrong, {"layers": ["c0", "c1", "c2"], "precisions": ["w8a8", "w4a8"]})


def test_the_promise_is_measured_on_the_half_that_nothing_was_chosen_by(session: Session, found: dict[str, Any]) -> None:
    assert session.evaluation is not None
    half = session.evaluation.take(range(200, 400))
    alone = Session(session.model, half, session.calibration)
    report = alone.measure(Recipe.parse(found["chosen"]["recipe"]))
    assert report["drop"]["value"] == pytest.approx(found["promise"]["drop"]["value"], abs=1e-9)
    assert report["sqnr_db"] == pytest.approx(found["promise"]["sqnr_db"], abs=1e-3)
    assert found["promise"]["samples"] == found["validated_on"] == 200
    assert found["kept"] == (found["promise"]["drop"]["value"] <= 0.05)


def test_a_holdout_replaces_the_unused_half(session: Session) -> None:
    assert session.calibration is not None
    holdout = session.calibration.take(range(64))
    found = session.search_report(CANDIDATES, holdout=holdout, max_size=0.5, **FEW)
    assert found["promise"]["samples"] == 64
    assert found["chosen"]["size_bytes"] <= 0.5 * 4 * session.open()["totals"]["params"]


def test_the_api_takes_scores_and_gives_a_recipe(session: Session) -> None:
    scores = session.sensitivity(["w8a8", "w4a8"])
    recipe = session.search(scores, max_bops=0.055, **FEW)
    assert session.resolve(recipe)["cost"]["bops"] <= 0.055 * session.resolve(recipe)["cost"]["fp32_bops"]
    with pytest.raises(BadInput, match="one-off"):
        session.search(session.sensitivity(["w8a8", "w4a8"]) | {"mode": "one-off"}, max_bops=0.05)
    with pytest.raises(BadInput, match="None of the"):
        session.search(scores, max_drop=-0.9, **FEW)


def test_moves_of_the_frontier_lead_to_recipes_of_the_same_cost(session: Session) -> None:
    found = session.frontier(CANDIDATES, max_drop=0.01, score_samples=32)
    for frontier in found["frontiers"]:
        layers = dict(frontier["start"]["layers"])
        for move in frontier["moves"]:
            layers |= move["layers"]
        recipe = Recipe(precision=frontier["base"]).with_layers(dict(layers))
        cost = session.resolve(recipe)["cost"]
        last = frontier["moves"][-1]
        assert (cost["size_bytes"], cost["bops"]) == (last["size_bytes"], last["bops"])
        scores = [m["score"] for m in frontier["moves"]]
        assert scores == sorted(scores, reverse=True)


def test_bypassed_and_kept_layers_are_respected(session: Session) -> None:
    first, second = (layer.name for layer in session.model.layers[:2])
    recipe = Recipe(bypass=(first,)).with_layers({second: "w8a16"})
    found = session.search_report(CANDIDATES, recipe, max_size=0.5, keep=True, **FEW)
    assert found["chosen"]["layers"][first] == "fp32"
    assert found["chosen"]["layers"][second] == "w8a16"
    rows = {row["name"]: row for row in found["layers"]}
    assert rows[first]["fixed"] == "bypassed"
    assert rows[second]["fixed"]


def test_stopped_it_goes_on_where_it_was(mobilenet: Path, tmp_path: Path) -> None:
    whole = made(mobilenet, 120, tmp_path).search_report(CANDIDATES, max_drop=0.05, **FEW)

    def stop(fraction: float, message: str) -> None:
        if message.startswith("Repair"):
            raise Cancelled("enough")

    other, seen = tmp_path / "other", []
    with pytest.raises(Cancelled):
        made(mobilenet, 120, other).search_report(CANDIDATES, progress=stop, partial=seen.append, max_drop=0.05, **FEW)
    again = made(mobilenet, 120, other).search_report(CANDIDATES, max_drop=0.05, **FEW)
    assert again["spent"]["known"] >= 5
    assert again["chosen"] == whole["chosen"]
    assert again["promise"] == whole["promise"]


def test_mixed_scores_take_the_largest_exactly(session: Session) -> None:
    rows: dict[str, Any] = {}
    for kind in ("estimate", "exact", "mixed"):
        searching = Searching(session, Recipe(), search_asked(("w8a8", "w4a8"), kind=kind, max_size=0.5, score_samples=32))
        searching.prepare(None)
        rows[kind] = _scores(searching.spaces[0])
    exact, mixed, estimate = (rows[k] for k in ("exact", "mixed", "estimate"))
    same = np.isclose(mixed, exact, rtol=1e-6)
    assert same.any()
    assert not same.all()
    top = np.unravel_index(np.argmax(estimate), estimate.shape)
    assert same[top]


def _scores(space: Space) -> np.ndarray:
    return np.array(space.table[:, :2, 0])


@pytest.mark.parametrize("method", ["amp", "amp_reverse", "lite"])
def test_other_procedures_have_the_same_interface(mobilenet: Path, method: str) -> None:
    found = made(mobilenet, 64).search_report(CANDIDATES, max_drop=0.5, method=method, score_samples=16)
    assert found["chosen"] is not None
    assert all(("AMP" in p["why"] or "lite" in p["why"]) for p in found["pareto"])


@pytest.mark.parametrize(("given", "says"), [
    ({}, "no target"), ({"max_drop": 0.1, "judge": "hope"}, "hope"), ({"max_size": 0.01}, "least possible"),
    ({"max_latency_us": 5.0}, "--latency"), ({"max_drop": 0.1, "rounds": -1}, "rounds")])
def test_what_cannot_be_asked_is_said(session: Session, given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        session.search_report(CANDIDATES, score_samples=32, **given)


def test_it_needs_two_candidates_and_evaluation_data(session: Session) -> None:
    with pytest.raises(BadInput, match="two precisions"):
        session.search_report(["w8a8"], max_drop=0.1)
    with pytest.raises(BadInput, match="evaluation data"):
        Session(session.model, None, session.calibration).search_report(CANDIDATES, max_drop=0.1)
    assert session.evaluation is not None
    few: Callable[[int], Dataset] = lambda n: session.evaluation.take(range(n))  # type: ignore[union-attr]  # noqa: E731
    with pytest.raises(BadInput, match="at least 4"):
        Session(session.model, few(3), session.calibration).search_report(CANDIDATES, max_drop=0.1)


def test_what_it_takes_ranks_moves_that_are_whole_recipes(mobilenet: Path) -> None:
    session = made(mobilenet, 256)
    seen: list[dict[str, Any]] = []
    found = session.takes(Recipe(precision="w4a8"), CANDIDATES, 0.005, partial=seen.append, steps=["cle"])  # type: ignore[arg-type]
    moves = found["moves"]
    assert {"bits", "method", "step"} == {m["kind"] for m in moves}
    assert found["complete"]
    assert seen
    known = [m for m in moves if m["kl"] is not None]
    assert [m["reaches"] for m in known] == sorted((m["reaches"] for m in known), reverse=True)
    bits = [m for m in known if m["kind"] == "bits"]
    assert all(m["known"] == "predicted" and m["gain"] > 0 and m["size_bytes"] >= 0 for m in bits)
    whole = session.resolve(Recipe(precision="w4a8"))  # type: ignore[arg-type]
    before = {x["name"]: x for x in whole["layers"]}
    for move in bits[:3]:
        resolved = session.resolve(Recipe.parse(move["recipe"]))
        assert resolved["cost"]["size_bytes"] == whole["cost"]["size_bytes"] + move["size_bytes"]
        changed = {f"layers.{x['name']}" for x in resolved["layers"] if x["precision"] != before[x["name"]]["precision"]}
        assert changed == {c["key"] for c in move["changes"]}
    tried = next(m for m in known if m["kind"] == "step")
    assert tried["known"] == "measured"
    assert tried["seconds"] > 0
    assert "cle" in str(tried["recipe"]["steps"])
    long = {m["title"].split(" ")[0]: m for m in moves if m["known"] == "estimate"}
    assert set(long) == {"learned", "training"}
    assert all(m["seconds"] > 0 and m["size_bytes"] == 0 for m in long.values())
    rounding = Recipe.parse(long["learned"]["recipe"])
    match = str((rounding.steps or ())[-1].options["match"]).split(",")
    assert (rounding.steps or ())[-1].name == "adaround"
    assert len(match) == 3
    assert set(match) <= set(before)
    assert (Recipe.parse(long["training"]["recipe"]).steps or ())[-1].name == "qat"


@pytest.mark.slow
def test_what_a_brief_run_estimates_is_what_the_whole_one_gives_or_less(mobilenet: Path) -> None:
    session = made(mobilenet, 256)
    found = session.takes(Recipe(precision="w4a8"), CANDIDATES, 0.005, steps=[])  # type: ignore[arg-type]
    move = next(m for m in found["moves"] if m["title"].startswith("learned"))
    assert session.evaluation is not None
    half = session.evaluation.take(range(found["now"]["samples"]))
    alone = Session(session.model, half, session.calibration)
    before, after = (alone.measure(r) for r in (Recipe(precision="w4a8"), Recipe.parse(move["recipe"])))  # type: ignore[arg-type]
    assert before["kl"] == pytest.approx(found["now"]["kl"], rel=1e-6)
    assert 0.5 * move["gain"] < before["kl"] - after["kl"] < 2 * move["gain"]


@pytest.mark.slow
@pytest.mark.parametrize("with_steps", [False, True])
def test_steps_that_look_at_bits_run_on_the_choice_or_on_every_recipe(mobilenet: Path, with_steps: bool) -> None:
    session = made(mobilenet, 200)
    recipe = Recipe.parse({"mixdown": 1, "steps": ["fold_batch_norm", "gptq"], "calibration": {"samples": 64}})
    found = session.search_report(("w8a8", "w4a8"), recipe, max_size=0.31, with_steps=with_steps, points=2, rounds=2, score_samples=32)
    chosen = Recipe.parse(found["chosen"]["recipe"])
    assert [s.name for s in chosen.steps or ()] == ["fold_batch_norm", "gptq"]
    assert any("gptq" in note for note in found["notes"]) != with_steps
    assert session.evaluation is not None
    alone = Session(session.model, session.evaluation.take(range(100)), session.calibration).measure(chosen)
    same = alone["sqnr_db"] == pytest.approx(found["chosen"]["sqnr_db"], abs=0.5)
    assert same == with_steps


@pytest.mark.slow
def test_the_promise_of_the_command_line_holds_in_onnx_runtime(mobilenet: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MIXDOWN_HOME": str(tmp_path / "home")}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "engine", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=200, check=False)

    data = ["--evaluation", mobilenet / "evaluation.npz", "--calibration", mobilenet / "calibration.npz"]
    asked = ["--precisions", "w8a16,w8a8,w4a8", "--max-drop", 0.01, "--out", "r.yaml", "--json", "s.json"]
    searched = run("search", mobilenet / "model.onnx", *data, *asked)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    promise = json.loads((tmp_path / "s.json").read_text())["promise"]
    assert promise["drop"]["value"] <= 0.01
    quantized = run("quantize", "r.yaml", *data, "--out", "out", "--json", "q.json")
    assert quantized.returncode == 0, quantized.stdout + quantized.stderr
    assert json.loads((tmp_path / "q.json").read_text())["report"]["drop"]["value"] <= 0.01
    assert run("verify", "out", "--evaluation", mobilenet / "evaluation.npz").returncode == 0
    missed = run("search", mobilenet / "model.onnx", *data, "--precisions", "w8a8,w4a8", "--max-drop", -0.5, "--rounds", 1, "--points", 1)
    assert missed.returncode == 1
    assert "None of the" in missed.stdout
