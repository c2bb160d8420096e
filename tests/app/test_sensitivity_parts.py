"""Scores, their scale, words, files and figures: plain functions on plain values."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from app.figures.ladder import ladder_figure
from app.figures.ranking import bars_figure
from app.figures.scatter import scatter_figure
from app.figures.scores import Row
from app.figures.shades import mix, shade
from app.sensitivity import budget, causes, cells, files, heat, panel_words, scale, words


def answer(
    values: dict[tuple[str, str], float], mode: str = "one-on", score: str = "kl", estimate: bool = False, **row: Any
) -> dict[str, Any]:
    items, precisions = (list(dict.fromkeys(k[n] for k in values)) for n in (0, 1))
    rows = [
        {"layer": i, "precision": p, "metric": score, "value": v, "ci95": [v / 2, v * 2], "samples": 8, "estimate": estimate, **row}
        for (i, p), v in values.items()
    ]
    ranks = sorted(items, key=lambda i: -values.get((i, precisions[0]), 0))
    ranking = {
        "precision": precisions[0],
        "score": score,
        "noise": False,
        "words": "At w4a8 all is settled.",
        "ranks": [{"layer": i, "rank": n + 1, "low": n + 1, "high": n + 1 + (n > 0)} for n, i in enumerate(ranks)],
    }
    return {
        "mode": mode,
        "score": score,
        "precisions": precisions,
        "samples": 8,
        "scores": rows,
        "rankings": [ranking],
        "kinds": {score: {"unit": "nats per sample", "higher_is_better": score == "sqnr_db", "doc": ""}},
        "members": [{"name": i, "layers": [i], "tensors": []} for i in items],
    }


KL = {("a", "w4a8"): 0.002, ("b", "w4a8"): 0.2, ("c", "w4a8"): 1e-6}


def test_exact_cells_replace_estimates_one_by_one_and_the_estimate_stays_beside_them() -> None:
    exact = answer({("b", "w4a8"): 0.3})
    scores = cells.merge(answer(KL, "estimate", estimate=True), exact)
    assert [scores.cells[i, "w4a8"].estimate for i in "abc"] == [True, False, True]
    assert scores.exact == 1 and scores.whole == 3
    assert scores.prior["b", "w4a8"].value == 0.2 and scores.cells["b", "w4a8"].value == 0.3
    assert scores.items == ("a", "b", "c"), "the order of the network, not of arrival"


def test_sorting_is_by_rank_unless_the_ranking_is_noise() -> None:
    scores = cells.merge(None, answer(KL))
    assert cells.ordered(scores, "w4a8", "score") == ["b", "a", "c"]
    noisy = answer(KL)
    noisy["rankings"][0]["noise"] = True
    scores = cells.merge(None, noisy)
    assert cells.ordered(scores, "w4a8", "score") == ["a", "b", "c"]
    assert cells.rank_text(scores, "w4a8", "b") == "" and "noise" in words.cell_text(scores, "b", "w4a8")


def test_the_scale_is_in_fair_shares_and_has_three_steps() -> None:
    scores = cells.merge(None, answer(KL))
    share = scale.fair_share(scores)
    assert scale.relative(scores, "b", "w4a8") == pytest.approx(0.2 / share)
    assert [scale.step(scale.relative(scores, i, "w4a8")) for i in "abc"] == ["ok", "hot", "ok"]
    assert scale.step(3.0) == "mid" and scale.step(None) == "off"
    assert scale.from_decibels(30) == pytest.approx(scale.WATCH) and scale.from_decibels(20) == pytest.approx(scale.HOT)
    assert scale.strength(1e-9) == 0.12 and scale.strength(50) == 1.0


def test_one_off_measures_what_an_item_would_win() -> None:
    scores = cells.merge(None, answer({("a", "w4a8"): 0.5, ("b", "w4a8"): 0.1, ("c", "w4a8"): 0.5}, "one-off"))
    assert scale.relative(scores, "a", "w4a8") == 0 and scale.relative(scores, "b", "w4a8") == pytest.approx(3.0)
    assert "best value" in words.direction(scores)
    assert cells.harm(scores, "b", "w4a8") > cells.harm(scores, "a", "w4a8")


def test_a_drop_below_resolution_is_words_and_no_bar() -> None:
    scores = cells.merge(None, answer({("a", "w4a8"): 0.001}, score="metric_drop", below_resolution=True))
    assert scale.relative(scores, "a", "w4a8") == 0
    assert words.cell_text(scores, "a", "w4a8").startswith("below resolution")
    row = Row("a", "a", 0.001, -0.001, 0.002, "ok", False, "", below=True)
    figure = bars_figure("dark", [row], "drop")
    assert figure["data"][0]["x"] == [] and "below resolution" in figure["data"][1]["text"][0]


def test_words_state_unit_and_direction() -> None:
    scores = cells.merge(None, answer(KL))
    assert words.direction(scores) == "Output KL in nats per sample, lower is better"
    text = words.cell_text(scores, "b", "w4a8")
    assert "0.2 nats [0.1, 0.4]" in text and "12\u00d7 fair share" in text and "exact, 8 samples" in text and "rank 1 of 3" in text
    assert "0.0167" in panel_words.scale_words(scores)
    assert words.cell_text(scores, "a", "w8a8") == "not scored yet"


def test_names_lose_what_most_of_them_share_and_stay_different() -> None:
    assert words.short_names(["net.0.conv", "net.1.dw.conv", "net.2.conv", "head"]) == ["0", "1.dw", "2", "head"]
    assert words.short_names(["net.0.conv", "net.0.bias", "net.0.conv.conv"])[0] != words.short_names(["net.0.conv", "net.0.conv.conv"])[1]


def test_files_keep_estimates_apart_and_no_name_is_a_formula() -> None:
    scores = cells.merge(None, answer({("=evil()", "w4a8"): 0.1}))
    row = next(csv.DictReader(io.StringIO(files.to_csv(scores, {"=evil()": {"w4a8": "no INT4"}}))))
    assert row["item"] == "'=evil()" and row["legal"] == "False" and row["kind"] == "exact"
    both = json.loads(files.to_json(answer(KL, "estimate", estimate=True), answer(KL)))
    assert set(both) == {"estimate", "exact"}


def test_the_heatmap_tells_kinds_steps_and_refusals_apart() -> None:
    exact = {place: value for place, value in KL.items() if place[0] != "c"}
    scores = cells.merge(answer(KL, "estimate", estimate=True), answer(exact))
    data = heat.heat_data(scores, ["c", "b", "a"], {"b": {"w4a8": "no INT4 here"}}, "dark", "b", "w4a8")
    assert data["items"] == ["c", "b", "a"] and len(data["cells"]) == len(data["hover"]) == 3 * len(data["precisions"])
    at = {(i, p): k for k, (p, i) in enumerate((p, i) for p in data["precisions"] for i in data["items"])}
    step, strength, filled, _, illegal, known = data["cells"][at["b", "w4a8"]]
    assert (step, filled, illegal, known) == ("hot", 1.0, 1, 1) and strength == 1.0
    assert data["hover"][at["b", "w4a8"]].endswith("not on this target: no INT4 here") and "<br>" not in str(data["hover"])
    assert data["cells"][at["c", "w4a8"]][2] == 0, "an estimate is hollow"
    assert data["selected"] == 1 and data["precisions"][data["chosen"]] == "w4a8"


def test_the_other_figures_draw_what_there_is() -> None:
    rows = [
        Row("a", "w8a8", 1e-3, 5e-4, 2e-3, "ok", False, "", prior=8e-4, mark="now", share=0.1),
        Row("b", "w4a8", None, None, None, "off", True, ""),
    ]
    ladder = ladder_figure("dark", rows, "KL", True, fair=1e-3)
    assert len(ladder["data"][1]["x"]) == 1 and ladder["data"][0]["x"] == [8e-4]
    assert ladder["data"][1]["marker"]["symbol"] == ["diamond"]
    assert scatter_figure("light", rows, "KL", True, "a")["data"][1]["x"] == [10.0]
    grey = bars_figure("dark", rows[:1], "KL", noise=True)["data"][0]["marker"]["color"]
    assert grey != bars_figure("dark", rows[:1], "KL")["data"][0]["marker"]["color"]


def test_colours_mix() -> None:
    assert mix("#000000", "#FFFFFF", 0.5) == "#808080"
    assert shade("dark", "hot", 1.0) != shade("dark", "mid", 1.0)


def test_a_remedy_merges_into_the_recipe() -> None:
    doc = {"precision": "w8a8", "layers": {"a": "w4a8", "b": "w4a8"}}
    new = causes.changed(doc, {"layers": {"a": {"weights": {"granularity": "per_channel"}}}, "tensors": {"t": {"method": "mse"}}})
    assert new["layers"] == {"a": {"precision": "w4a8", "weights": {"granularity": "per_channel"}}, "b": "w4a8"}
    assert new["tensors"] == {"t": {"method": "mse"}} and doc["layers"]["a"] == "w4a8"


def test_another_score_has_neither_the_ranks_nor_the_confidence_of_the_ranked_one() -> None:
    both = answer(KL)
    drops = answer(dict.fromkeys(KL, 0.001), score="metric_drop", below_resolution=True)
    both["scores"] += drops["scores"]
    both["kinds"] |= drops["kinds"]
    scores = cells.merge(None, both, "metric_drop")
    assert cells.rank_text(scores, "w4a8", "b") == ""
    assert panel_words.ranking_words(scores, "w4a8").startswith("3 of 3 are below resolution")
    assert "rank" not in panel_words.ranking_note(scores, False)
    assert "nothing is above resolution" in panel_words.nothing_to_draw(scores, "w4a8")
    assert panel_words.nothing_to_draw(cells.merge(None, both), "w4a8") == ""


def test_an_exact_cell_fills_as_its_samples_come_in() -> None:
    half = answer(KL) | {"asked_samples": 16}
    scores = cells.merge(answer(KL, "estimate", estimate=True), half)
    assert scores.filled(scores.cell("a", "w4a8")) == 0.5
    assert scores.filled(scores.prior["a", "w4a8"]) == 0.0


def test_the_fair_share_is_what_the_fitted_curve_can_bear() -> None:
    curve = {"enough": True, "unit": "share", "knots": [[0.01, 0.0, 0, 0], [0.03, 0.01, 0, 0], [0.05, 0.05, 0, 0]]}
    assert budget.budget_of(curve) == cells.Budget(pytest.approx(0.035), True)
    for other in (None, curve | {"enough": False}, curve | {"unit": "dB"}, curve | {"knots": [[0.1, 0.01, 0, 0]]}):
        assert budget.budget_of(other) == cells.USUAL
    scores = replace(cells.merge(None, answer(KL)), budget=cells.Budget(0.3, True))
    assert scale.fair_share(scores) == pytest.approx(0.1)
    assert "predicted to cost 2 points" in panel_words.scale_words(scores)
