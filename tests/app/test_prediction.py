"""Predictions: the formula in Python and JavaScript, which curve is asked for and found, and the record of what came of them."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import playwright
import pytest

from app import curves, prediction, track_record

NODE = Path(playwright.__file__).parent / "driver" / "node"
STATIC = Path(__file__).parents[2] / "app" / "static"
FORMULA = """
import { readFileSync } from "node:fs";
const m = await import(process.argv[1]);
const given = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(given.map(([curve, all]) => all.map((precisions) => m.predicted(curve, precisions)))));
"""
PRECISIONS = ("fp16", "w8a16", "w8a8", "w4a8", "w4a16")


def random_curve(seed: int) -> dict[str, Any]:
    """A curve with the shape of a real one: rising knots, ties, an exact or estimated kind, sometimes too few points."""
    rng = np.random.default_rng(seed)
    names = ["*", "toString", "2", "1", *(f"block.{i}/conv" for i in range(rng.integers(1, 40)))]
    scores = {n: {p: float(10 ** rng.uniform(-8, -1)) for p in PRECISIONS if rng.random() > 0.02} for n in names}
    count = int(rng.integers(2, 25))
    columns = [np.sort(rng.normal(0, 0.02, count)) for _ in range(3)]
    sums = np.sort(rng.uniform(0, 3, count)) if seed % 3 else np.array([0.0, *np.sort(rng.uniform(0, 0.1, count - 1))])
    exact = seed % 2 == 0
    return {
        "kind": "exact" if exact else "estimate", "enough": seed % 7 != 0, "scores": scores, "points": [],
        "knots": np.stack([sums, columns[0], columns[0] - 0.01, columns[0] + 0.02], 1).tolist() if seed % 7 else [],
        "beyond": {"slope": float(rng.uniform(0, 2)), "cap": None if seed % 4 == 0 else 0.9},
        "noise": {"rows": {n: {p: v / 3 for p, v in row.items()} for n, row in scores.items()} if exact else {},
                  "per_score": None if exact or seed % 5 == 0 else 0.4},
        "fp32": {"value": 0.92},
    }


def random_mixture(curve: dict[str, Any], rng: np.random.Generator) -> dict[str, str]:
    """Effective precisions, with float layers, layers that have no scores, and now and then only float."""
    if rng.random() < 0.05:
        return dict.fromkeys(curve["scores"], "fp32")
    offered = (*PRECISIONS[: rng.integers(1, 6)], "fp32", "w8afp32")
    return {str(n): str(rng.choice(offered)) for n in rng.permutation([*curve["scores"], "unscored"])}


def test_python_and_javascript_predict_the_same() -> None:
    rng = np.random.default_rng(5)
    given = [(curve, [random_mixture(curve, rng) for _ in range(12)]) for curve in map(random_curve, range(60))]
    done = subprocess.run([str(NODE), "--input-type=module", "-e", FORMULA, (STATIC / "predict.js").as_uri()], input=json.dumps(given),
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    kinds = {"missing": 0, "beyond": 0, "inner": 0, "none": 0}
    for (curve, mixtures), answers in zip(given, json.loads(done.stdout), strict=True):
        for precisions, found in zip(mixtures, answers, strict=True):
            want = prediction.predict(curve, precisions)
            assert set(found["missing"]) == set(want.missing) and found["beyond"] == want.beyond and found["kind"] == want.kind
            for key in ("value", "low", "high", "sum", "sqnr_db"):
                mine = getattr(want, key)
                assert (found[key] is None) == (mine is None)
                assert mine is None or found[key] == pytest.approx(mine, rel=1e-12, abs=1e-12), key
            which = "missing" if want.missing else "none" if want.value is None else "beyond" if want.beyond else "inner"
            kinds[which] += 1
    assert min(kinds.values()) > 10, f"every case must have been met: {kinds}"


def curve(**other: Any) -> dict[str, Any]:
    """Two layers and the rest; half a point of drop per score up to 0.2."""
    scores = {"a": {"w8a8": 0.01, "w4a8": 0.1}, "b": {"w8a8": 0.03, "w4a8": 0.05}, "*": {"w8a8": 0.002}}
    return {"kind": "exact", "enough": True, "scores": scores, "points": [],
            "knots": [[0, 0, 0, 0], [0.1, 0.05, 0.04, 0.07], [0.2, 0.1, 0.08, 0.13]],
            "beyond": {"slope": 1.0, "cap": 0.5}, "noise": {"rows": {}, "per_score": 0.5}, "fp32": {"value": 0.9}} | other


def test_the_sum_is_of_effective_precisions_and_float_counts_nothing() -> None:
    said = prediction.predict(curve(), {"a": "w8a8", "b": "fp32", "*": "w8a8"})
    assert said.sum == pytest.approx(0.012) and said.value == pytest.approx(0.006) and said.score == pytest.approx(0.894)
    assert said.low is not None and said.high is not None and said.low < said.value < said.high and not said.beyond
    assert said.kind == "exact" and said.sqnr_db == pytest.approx(-10 * np.log10(0.006))
    nothing = prediction.predict(curve(), {"a": "fp32", "b": "w8afp32"})
    assert (nothing.value, nothing.low, nothing.high, nothing.sqnr_db) == (0.0, 0.0, 0.0, 200.0)


def test_a_layer_without_a_score_is_named_and_nothing_is_predicted() -> None:
    said = prediction.predict(curve(), {"a": "w3a8", "b": "w8a8"})
    assert said.missing == ("a",) and said.value is None and said.sqnr_db is None


def test_beyond_what_was_measured_the_drop_stays_and_the_interval_widens_up_to_the_cap() -> None:
    scores = {"a": {"w2a8": 0.3, "w1a8": 9.0}}
    near, far = (prediction.predict(curve(scores=scores), {"a": p}) for p in ("w2a8", "w1a8"))
    assert near.beyond and near.value == 0.1 and near.low == 0.08 and near.high == pytest.approx(0.23)
    assert far.value == 0.1 and far.high == 0.5


def test_with_too_few_points_only_sqnr_is_predicted() -> None:
    said = prediction.predict(curve(enough=False, knots=[]), {"a": "w8a8"})
    assert said.value is None and said.sqnr_db == pytest.approx(-10 * np.log10(0.005))


class Store:
    """What a client keeps: results by verb and arguments, runs with their reports."""

    home = "nowhere"

    def __init__(self) -> None:
        self.results: list[tuple[str, dict[str, Any], Any]] = []
        self.reports: dict[int, tuple[str, float, dict[str, Any]]] = {}

    def latest(self, project: str, verb: str, recipe: str | None = None, **args: Any) -> Any:
        asked = args | ({} if recipe is None else {"recipe": recipe})
        return next((value for v, a, value in reversed(self.results) if v == verb and a == asked), None)

    def add(self, kind: str, created: float, report: dict[str, Any]) -> None:
        self.reports[len(self.reports) + 1] = (kind, created, report)

    def runs(self, project: str, verb: str) -> list[Any]:
        return [SimpleNamespace(id=n, created=at) for n, (kind, at, _) in self.reports.items() if kind == verb]

    def report(self, run: int) -> Any:
        return self.reports[run][2]


def bench(doc: dict[str, Any] | None = None, jobs: tuple[Any, ...] = ()) -> Any:
    """A project with data, its model read."""
    project = SimpleNamespace(id="p", evaluation="e.npz", calibration="c.npz")
    return SimpleNamespace(project=project, doc=doc or {"mixdown": 1}, jobs=jobs, stopped="", model={"layers": []})


def asked_exact(found: Any, samples: int) -> dict[str, Any]:
    """The question of the page Sensitivity, answered in full."""
    return curves.ask.arguments(found, curves.View(mode="one-on"), samples=samples, racing=False)


def test_the_estimate_is_fitted_first_and_again_after_measurements_and_after_an_exact_sweep() -> None:
    store, found = Store(), bench()
    first = curves.automatic(store, found)
    assert first is not None and first["kind"] == "estimate" and first["measurements"] == 0
    store.results.append(("curve", first, curve(kind="estimate")))
    assert curves.automatic(store, found) is None
    assert curves.curve_for(store, found)["kind"] == "estimate"  # type: ignore[index]
    for _ in range(4):
        store.add("measure", 1.0, {})
    again = curves.automatic(store, found)
    assert again == first | {"measurements": 3}
    assert curves.curve_for(store, found) is not None, "until the new fit is there the old one serves"
    store.results.append(("sensitivity", asked_exact(found, 128), {"scores": []}))
    exact = curves.automatic(store, found)
    assert exact is not None and exact["kind"] == "exact" and exact["score_samples"] == 128
    store.results.append(("curve", exact, curve()))
    assert curves.curve_for(store, found)["kind"] == "exact"  # type: ignore[index]
    assert curves.automatic(store, found) is None


def test_an_edit_of_a_layer_keeps_the_curve_and_another_precision_is_scored_too() -> None:
    store = Store()
    plain = curves.arguments(bench())
    store.results.append(("curve", plain, curve()))
    assert curves.curve_for(store, bench({"mixdown": 1, "layers": {"a": "w4a8"}, "bypass": ["b"]})) is not None
    other = bench({"mixdown": 1, "layers": {"a": {"precision": "w3a8"}}})
    assert curves.arguments(other)["precisions"] == [*plain["precisions"], "w3a8"]
    assert curves.curve_for(store, other) is not None, "the curve without it serves until the new one is there"
    assert curves.automatic(store, other) == curves.arguments(other)
    assert curves.curve_for(store, bench({"mixdown": 1, "calibration": {"method": "mse"}})) is None


def test_the_check_of_sums_asks_for_the_recipe_on_the_desk_and_the_scores_of_its_curve() -> None:
    found = bench({"mixdown": 1, "candidates": ["w8a8", "w4a8"]})
    found.recipe = "mixdown: 1\nprecision: w4a8\n"
    asked = curves.additivity(found, curve(score={"samples": 128}))
    assert asked["recipe"] == found.recipe and asked["precisions"] == ["w8a8", "w4a8"]
    assert asked["kind"] == "exact" and asked["score_samples"] == 128


def test_what_was_tried_or_runs_is_not_started_again() -> None:
    asked = curves.arguments(bench())
    for state in ("failed", "cancelled", "running", "queued"):
        job = SimpleNamespace(verb="curve", args=asked, state=state, partial=None)
        assert curves.automatic(Store(), bench(jobs=(job,))) is None
    assert curves.automatic(Store(), bench({"mixdown": 1, "candidates": ["fp32"]})) is None


def test_the_scores_are_the_curves_else_those_of_the_page() -> None:
    store, found = Store(), bench()
    assert curves.scores_for(store, found, None) is None
    rows = [{"layer": "a", "precision": "w8a8", "metric": m, "value": v} for m, v in (("kl", 0.5), ("mse", 9.0))]
    store.results.append(("sensitivity", asked_exact(found, 64), {"scores": rows}))
    assert curves.scores_for(store, found, None) == ("exact", {"a": {"w8a8": 0.5}})
    job = SimpleNamespace(verb="curve", args=curves.arguments(found), state="running", partial=curve(kind="estimate", enough=False))
    assert curves.scores_for(store, bench(jobs=(job,)), None)[0] == "estimate"  # type: ignore[index]


def report(precision: str, drop: float, **recipe: Any) -> dict[str, Any]:
    """A measured report."""
    return {"recipe": {"mixdown": 1, "precision": "w8a8", **recipe}, "layers": [{"name": "a", "precision": precision}], "samples": 2000,
            "drop": {"value": drop}, "seconds": 1.0}


def test_the_track_record_compares_with_the_curve_that_was_there_before() -> None:
    track_record._facts.clear()
    track_record._pairs.clear()
    store = Store()
    scored = {"scores": {"a": {"w8a8": 0.1, "w4a8": 0.2}}, "recipe": {"mixdown": 1, "precision": "w4a8"}, "seconds": 1.0}
    store.add("measure", 5.0, report("w8a8", 0.9))  # before any curve
    store.add("curve", 10.0, curve(**scored))
    store.add("measure", 10.5, report("w8a8", 0.9))  # begun before the curve was there
    store.add("measure", 20.0, report("w8a8", 0.06))
    store.add("measure", 30.0, report("w4a8", 0.14))
    store.add("measure", 40.0, report("w4a8", 0.14, calibration={"method": "mse"}))  # another curve's
    store.add("curve", 50.0, curve(**scored, points=[{"sum": 0.1}]))
    store.add("measure", 60.0, report("w8a8", 0.05))  # fitted to it: no prediction
    found = track_record.track_record(store, bench())
    assert [round(p.error, 6) for p in found.pairs] == [-0.04, -0.01]
    assert found.median == pytest.approx(0.025) and found.worst == pytest.approx(0.04) and found.inside == 1
    assert found.words() == "The last 2 predictions were 2.50 points off at the median, 4.00 at worst; 1 of 2 inside the interval."
    latest = track_record.track_record(store, bench(), last=1)
    assert latest.words() == "The last prediction was 4.00 points off; 0 of 1 inside the interval."
    assert track_record.Track().words() == "No prediction has been measured yet."
