"""Predictions on real networks: which scores are summed, what is measured, and whether it all comes true."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engine.analysis.prediction.additivity import Additivity, check
from engine.analysis.prediction.additivity_words import ratios, words
from engine.analysis.prediction.curve import Point
from engine.analysis.prediction.measured import Earlier, Measured, bare, earlier, merged
from engine.analysis.prediction.mixtures import mixtures, uniform
from engine.analysis.prediction.scores import REST, Scores, closure, effective
from engine.analysis.sensitivity.kinds import Question
from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.predicting import Ask
from engine.progress import silent
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session
from engine.sim.quantsim import QuantSim
from engine.worker import VERBS
from tests.graphs import model, weights

NAMES = ("fp16", "w8a16", "w8a8", "w4a8")
CANDIDATES = tuple(Precision.parse(p) for p in NAMES)
SMALL: dict[str, Any] = {"score_samples": 8, "samples": 96, "mixtures": 4}


def make(sample: Path, cache: Path | None = None) -> Session:
    evaluation = load_data(sample / "evaluation.npz").take(range(400))
    return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"), cache=cache)


@pytest.fixture(scope="module")
def session(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return make(sample, tmp_path_factory.mktemp("cache"))


def test_scores_are_taken_at_every_mixture_of_the_integer_widths() -> None:
    assert [str(p) for p in closure(CANDIDATES)] == [*NAMES, "w4a16"]
    assert closure([Precision.parse("fp32")]) == ()


def test_a_sum_is_of_one_kind_and_float_layers_count_nothing() -> None:
    scores = Scores("exact", {"a": {"w8a8": 1.0, "w4a8": 3.0}, REST: {"w8a8": 0.5}}, {}, 8)
    assert scores.total({"a": "w4a8", REST: "w8a8", "unscored": "w8a8"}) == 3.5
    assert scores.total({"a": "w8afp32", REST: "fp32"}) == 0.0
    assert scores.missing({"a": "w3a8", REST: "w8a8", "unscored": "w9a9"}) == ["a"]


def test_the_scores_of_layers_are_those_of_the_sweep_and_the_rest_is_what_no_layer_reads(session: Session) -> None:
    found = session._predictions(silent).scores(Recipe(), Ask(CANDIDATES, "exact", 8))
    answer = session.sensitivity(Question(CANDIDATES, samples=8), Recipe())
    for row in answer["scores"]:
        if row["metric"] == "kl":
            assert found.values[row["layer"]][row["precision"]] == pytest.approx(row["value"], rel=1e-9)
    assert answer["cached_cells"] == len(session.model.layers) * len(CANDIDATES), "the sweep finds them in the cache"
    assert found.values[REST]["w8a8"] > found.values[REST]["w8a16"] > 0
    assert set(found.noise) == set(found.values)


def test_mixtures_are_seeded_legal_and_spread(session: Session) -> None:
    scores = session._predictions(silent).scores(Recipe(), Ask(CANDIDATES, "estimate", 8))
    room = session._room(Recipe(), silent)
    sim = room.enter(Recipe())
    made = [mixtures(sim, Recipe(), scores, CANDIDATES, 12, seed) for seed in (0, 0, 1)]
    texts = [[recipe.to_yaml() for _, recipe in entries] for entries in made]
    assert texts[0] == texts[1] != texts[2] and len(set(texts[0])) == len(texts[0]) >= 10
    sums = []
    for _, recipe in made[0]:
        sim = room.enter(recipe)
        assert not [entry for entry in sim.plan.illegal() if entry.precision == entry.requested], "none is asked for"
        sums.append(scores.total(effective(sim)))
    top = max(scores.total(dict.fromkeys(scores.values, p)) for p in NAMES)
    roots = np.sort(np.sqrt(np.array(sums) / top))
    assert roots[0] < 0.3 and roots[-1] > 0.7 and np.diff(roots).max() < 0.35
    assert 0.3 < np.sqrt(sums[0] / top) < 0.7, "the middle comes first"
    assert [label for label, _ in uniform(Recipe(), CANDIDATES)] == [f"uniform {p}" for p in NAMES]


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in result.items() if k != "seconds"}


@pytest.mark.parametrize("kind", ["estimate", "exact"])
def test_a_curve_grows_is_kept_and_predicts(session: Session, kind: str) -> None:
    parts: list[dict[str, Any]] = []
    result = session.curve(Recipe(), NAMES, kind=kind, partial=parts.append, **SMALL)
    assert result["kind"] == kind and result["enough"] and result["complete"] and result["metric"] == "top1"
    assert result["points"][0]["label"] == "float" and len(result["points"]) == 1 + 4 + 4
    assert all(p["samples"] == 96 for p in result["points"][1:])
    assert not parts[0]["enough"] and not parts[0]["knots"] and parts[-1]["enough"] and not parts[-1]["complete"]
    counts = [len(p["points"]) for p in parts]
    assert counts == sorted(counts)
    uniform4 = next(p for p in result["points"] if p["label"] == "uniform w4a8")
    assert uniform4["sum"] == pytest.approx(sum(row["w4a8"] for row in result["scores"].values()))
    json.dumps(result, allow_nan=False)
    assert bool(result["noise"]["rows"]) == (kind == "exact") and (result["noise"]["per_score"] is None) == (kind == "exact")


def test_what_was_measured_is_not_run_again_and_a_stopped_job_goes_on(sample: Path, tmp_path: Path) -> None:
    def watch(ran: list[str], stop: str = "") -> Callable[[float, str], None]:
        def progress(fraction: float, message: str) -> None:
            if "sample" in message and message.split(":")[0].startswith(("uniform", "mixture")):
                ran.append(message.split(":")[0])
            if stop and message.startswith(stop):
                raise Cancelled("cancelled")
        return progress

    ran: list[str] = []
    with pytest.raises(Cancelled):
        make(sample, tmp_path).curve(Recipe(), NAMES, progress=watch(ran, "mixture 2"), **SMALL)
    assert "uniform w4a8" in ran
    again: list[str] = []
    first = make(sample, tmp_path).curve(Recipe(), NAMES, progress=watch(again), **SMALL)
    assert set(again) == {"mixture 2", "mixture 3", "mixture 4"}
    last: list[str] = []
    second = make(sample, tmp_path).curve(Recipe(), NAMES, progress=watch(last), **SMALL)
    assert not last and without_times(first) == without_times(second)
    for file in (tmp_path / "curve").glob("*.json"):
        file.write_text("{damaged")
    assert without_times(make(sample, tmp_path).curve(Recipe(), NAMES, **SMALL)) == without_times(first)


def test_every_measurement_joins_the_curve(session: Session) -> None:
    mixed = Recipe(candidates=CANDIDATES[1:]).with_layers({session.model.layers[3].name: "w4a8", session.model.layers[5].name: "fp16"})
    reports = {7: session.measure(mixed), 8: session.measure(replace(mixed, calibration=replace(mixed.calibration, samples=64)))}
    session.reports = lambda: [(n, lambda r=r: r) for n, r in reports.items()]  # type: ignore[misc]
    try:
        result = session.curve(Recipe(), NAMES, **SMALL)
    finally:
        session.reports = tuple
    own = [p for p in result["points"] if p["label"] == "measured on 400 samples"]
    assert len(own) == 1, "the other one had other ranges: its sum would be of other scores"
    assert own[0]["samples"] == 400 and own[0]["drop"] == pytest.approx(reports[7]["drop"]["value"])
    sums = result["scores"]
    expected = sum(sums[r["name"]].get(r["precision"], 0.0) for r in reports[7]["layers"] if r["name"] in sums) + sums[REST]["w8a8"]
    assert own[0]["sum"] == pytest.approx(expected)


def test_reports_of_other_models_data_or_shapes_are_left_out(session: Session) -> None:
    report = session.measure(Recipe())
    found = earlier(report)
    assert isinstance(found, Earlier) and found.serves(Recipe(precision=CANDIDATES[3]), session.content())
    assert not found.serves(Recipe(), ("other", *session.content()[1:])) and not found.serves(Recipe(target="generic"), session.content())
    for damage in ({"content": None}, {"recipe": {"mixdown": 9}}, {"layers": [3]}, {"drop": {}}):
        assert earlier({**report, **damage}) is None
    assert earlier(None) is None and earlier({"an": "older one"}) is None
    assert bare(Recipe(precision=CANDIDATES[3], bypass=("x",))) == Recipe()


def test_of_two_measurements_of_one_recipe_the_one_on_more_samples_stays() -> None:
    small, large = (Measured(f"on {n}", {"a": "w8a8"}, n / 1e6, None, n, joint) for n, joint in ((512, 0.25), (2000, None)))
    for entries in ([small, large], [large, small]):
        (one,) = merged(entries)
        assert one.samples == 2000 and one.joint == 0.25, "what only the smaller one knows is kept"


def chain_of_two(scale: float) -> Session:
    """Two products, the first with weights of that size, on random samples."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="first"), helper.make_node("Relu", ["h"], ["r"], name="relu"),
             helper.make_node("MatMul", ["r", "v"], ["y"], name="second")]
    graph = model(nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, {"w": weights(8, 6) * scale, "v": weights(6, 4, seed=1) / scale})
    data = Dataset("d", {"x": np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)}, np.arange(64) % 4)
    return Session(graph, data, data)


def test_a_candidate_that_cannot_hold_the_weights_is_told_and_the_others_make_the_curve() -> None:
    plain, wide = (chain_of_two(s).curve(Recipe(target="generic"), ["fp16", "w8a8", "w4a8"], samples=64) for s in (1.0, 1e6))
    assert plain["enough"] and not plain["skipped"] and "fp16" in plain["scores"]["first"]
    assert wide["enough"] and [s["label"] for s in wide["skipped"]] == ["fp16"] and "weight w has" in wide["skipped"][0]["reason"]
    assert "fp16" not in wide["scores"]["first"], "nothing is made up for it"


def test_a_recipe_that_cannot_be_run_gives_no_point(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    predicting = session._predictions(silent)
    run = type(predicting.bench()).measure

    def measure(bench: Any, label: str, *rest: Any) -> Measured:
        if label == "mixture 2":
            raise BadInput("tensor t overflows")
        return run(bench, label, *rest)

    monkeypatch.setattr(type(predicting.bench()), "measure", measure)
    result = session.curve(Recipe(), NAMES, **SMALL)
    assert result["skipped"] == [{"label": "mixture 2", "reason": "tensor t overflows"}] and len(result["points"]) == 8


def test_the_worker_takes_the_verb_and_refuses_what_it_does_not_know(session: Session) -> None:
    class Reporter:
        def __call__(self, fraction: float, message: str) -> None: ...

        def partial(self, value: dict[str, Any]) -> None: ...

    args = {"recipe": Recipe().to_yaml(), "precisions": list(NAMES), "kind": "estimate", "measurements": 3, **SMALL}
    assert VERBS["curve"](session, args, Reporter())["enough"]  # type: ignore[arg-type]
    for wrong in ({"kind": "guess"}, {"samples": "many"}, {"samples": 0}, {"precisions": "w8a8"}, {"precisions": ["fp32"]},
                  {"precisions": ["x"]}):
        with pytest.raises(BadInput):
            VERBS["curve"](session, args | wrong, Reporter())  # type: ignore[arg-type]


def two_branches(side: int = 6) -> tuple[QuantSim, Dataset]:
    """Two products of one input whose outputs lie side by side: their errors never meet, and they share what they read."""
    nodes = [helper.make_node("MatMul", ["x", "wa"], ["a"], name="left"), helper.make_node("MatMul", ["x", "wb"], ["b"], name="right"),
             helper.make_node("Concat", ["a", "b"], ["y"], axis=4, name="side_by_side")]
    graph = model(nodes, {"x": ["n", 1, 1, 2, 8]}, {"y": ["n", 1, 1, 2, 2 * side]},
                  {"wa": weights(8, side, seed=1), "wb": weights(8, side, seed=2)})
    data = Dataset("d", {"x": np.random.default_rng(3).normal(size=(32, 1, 1, 2, 8)).astype(np.float32)})
    sim = QuantSim(graph, Recipe(target="generic", precision=Precision.parse("w4afp32")))
    sim.calibrate(data)
    return sim, data


def test_errors_that_never_meet_add_exactly() -> None:
    sim, data = two_branches()
    found = check(sim, data)
    assert found.layers == 2 and found.ratio == pytest.approx(1.0, abs=1e-6) and found.joint > 0
    assert found.ci95 is not None and found.ci95[0] == pytest.approx(1.0, abs=1e-6) == found.ci95[1]
    assert [set(p.layers) for p in found.pairs] == [{"left", "right"}]
    assert found.pairs[0].below_resolution or abs(found.pairs[0].excess) < 1e-9


def test_a_tensor_that_two_layers_read_is_counted_twice_and_the_pair_says_so() -> None:
    sim, data = two_branches()
    sim.update(replace(sim.recipe, precision=Precision.parse("w16a4"), tensors=()))
    found = check(sim, data)
    (pair,) = (p for p in found.pairs if set(p.layers) == {"left", "right"})
    assert pair.tensors == ("x",) and pair.excess < 0 and not pair.below_resolution
    # Quantizing x alone is nearly all of each one's score, so together they are half the sum.
    assert pair.joint == pytest.approx(pair.sum / 2, rel=0.05)
    said = " ".join(words(found, ratios([]), "exact"))
    assert "left and right share x" in said and "less than the sum says" in said and "Run as a whole" in said


def test_the_whole_is_the_score_of_the_recipe_as_it_is_measured(sample: Path) -> None:
    model_, some = load_model(sample / "model.onnx"), load_data(sample / "calibration.npz").take(range(48))
    session = Session(model_, some, load_data(sample / "calibration.npz"))
    recipe = Recipe().with_layers({x.name: "w4a8" for x in model_.layers[::3]})
    measured = session._predictions(silent).bench().measure("m", recipe, 48)
    sim = session._room(recipe, silent).calibrated(recipe)
    found = check(sim, some, most=6)
    assert found.joint == pytest.approx(measured.joint, rel=1e-4) and len(found.pairs) == 6
    assert found.pairs == tuple(sorted(found.pairs, key=lambda p: -abs(p.excess)))
    assert found.sum > 0 and found.ci95 is not None and found.ci95[0] < (found.ratio or 0) < found.ci95[1]


def test_additivity_through_the_worker(session: Session) -> None:
    class Reporter:
        def __call__(self, fraction: float, message: str) -> None: ...

    args = {"recipe": Recipe(precision=CANDIDATES[3]).to_yaml(), "precisions": list(NAMES), "kind": "exact", **SMALL}
    found = VERBS["additivity"](session, args, Reporter())  # type: ignore[arg-type]
    low, high = found["measured"]["range"]
    assert found["measured"]["recipes"] == 8 and low <= found["measured"]["ratio"] <= high
    assert found["samples"] == 8 and found["kind"] == "exact" and len(found["words"]) >= 2
    json.dumps(found, allow_nan=False)


def test_a_recipe_in_float_has_nothing_to_add() -> None:
    nothing = Additivity(0.0, 0.0, None, None, 4, 0, ())
    said = words(nothing, ratios([Point("f", 0.0, 0.0, None, 8, 0.0)]), "exact")
    assert said == ["The recipe quantizes nothing: there is no score to add."]
