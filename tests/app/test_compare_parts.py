"""What Compare says and draws: pure functions, without a browser."""
from __future__ import annotations

from typing import Any

import pytest

from app.compare import html, recipe_diff, rows, words
from app.compare.recipe_diff import Change
from app.compare.sources import FLOAT, Run, meaning, summary
from app.figures.closeness import closeness_figure
from app.figures.pairs import MOST, classes_figure, noise_figure, shown_classes

BASE = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\n"


def run(key: str, recipe: str) -> Run:
    return Run(key, f"{key} \u00b7 label", recipe)


def result(value: float, low: float, high: float, p: float | None, lost: int = 44, won: int = 21) -> dict[str, Any]:
    """A comparison as the engine answers it."""
    score = {"value": 0.92, "ci95": [0.91, 0.93], "n": 2000, "method": "Wilson"}
    return {"samples": 2000, "metric": {"name": "top1", "unit": "share"}, "left": {"score": score, "report": None},
            "right": {"score": {**score, "value": 0.92 - value}, "report": {
                "sqnr_db": 19.3, "agreement": 0.966, "cost": {"size_bytes": 100, "fp32_size_bytes": 400, "bops": 5, "fp32_bops": 100},
                "layers": [{"name": "a", "precision": "w4a8", "sqnr_db": 20.0, "size_bytes": 40.0}]}},
            "drop": {"value": value, "ci95": [low, high], "flips_lost": lost, "flips_won": won, "n": 2000, "method": "Tango, paired"},
            "test": {"name": "McNemar, mid-p", "p": p, "p_exact": None if p is None else min(1.0, 1.4 * p), "n": lost + won, "why": "why"},
            "same_answer": 0.966, "truth": "labels", "flips": {"counts": {"lost": lost, "won": won, "changed": 3}, "samples": []},
            "margins": {"all": 5.6, "lost": 0.54, "won": 0.3, "changed": None}, "per_class": []}


def test_a_positive_drop_is_the_rights_loss() -> None:
    said, tone = words.verdict(result(0.0115, 0.0037, 0.0199, 0.004), "the float model", "the desk")
    assert said == "The desk is really 1.15 points worse than the float model: 0.37 to 1.99, 95 % paired." and tone == "hot"
    said, tone = words.verdict(result(-0.0115, -0.0199, -0.0037, 0.004), "line 2", "the desk")
    assert said == "The desk is really 1.15 points better than line 2: 0.37 to 1.99, 95 % paired." and tone == "ok"


def test_what_the_samples_cannot_tell_is_no_verdict() -> None:
    said, tone = words.verdict(result(0.0005, -0.0037, 0.0048, 0.8), "the float model", "the desk")
    assert said.startswith("No difference that 2,000 samples can tell") and tone == "" and "\u22120.37 to 0.48" in said
    whole = result(0.01, 0, 0, None) | {"drop": {"value": 0.01, "ci95": None}}
    assert "chance cannot be told apart" in words.verdict(whole, "a", "b")[0]


def test_interval_and_test_of_two_minds_are_said() -> None:
    assert "disagree" in words.chance(result(0.004, 0.0001, 0.008, 0.06))
    assert "disagree" not in words.chance(result(0.004, -0.0001, 0.008, 0.06))
    assert words.p_text(0.00004) == "p < 0.001" and words.p_text(0.0042) == "p = 0.004" and words.p_text(0.8) == "p = 0.80"


def test_recipe_lines_in_words() -> None:
    other = (BASE.replace("w8a8", "w4a8") + "layers: {conv1: w8a8, fc: {precision: w8a16, weights: {granularity: per_tensor}}}\n"
             "bypass: [stem]\ncalibration: {method: mse, samples: 512}\nsteps: [fold_batch_norm, cle]\n")
    found = {c.what: (c.left, c.right) for c in recipe_diff.diff(run("a", BASE), run("b", other))}
    assert found["base precision"] == ("w8a8", "w4a8") and found["layer conv1"] == ("base, w8a8", "w8a8")
    assert found["layer fc"][1] == "precision w8a16, weights granularity per_tensor"
    assert found["layer stem (bypass)"] == ("quantized", "kept in float")
    assert found["calibration: method"] == ("min_max", "mse") and found["calibration: samples"] == ("256", "512")
    assert found["steps"] == ("fold_batch_norm", "fold_batch_norm, cle") and "target" not in found
    back = {c.what: (c.right, c.left) for c in recipe_diff.diff(run("b", other), run("a", BASE))}
    assert back == found


def test_the_same_recipe_in_other_words_differs_in_nothing() -> None:
    written = BASE + "calibration: {method: min_max, samples: 256, seed: 0}\nsteps: [fold_batch_norm]\n"
    assert recipe_diff.diff(run("a", BASE), run("b", written)) == []
    one, two = (BASE + f"layers: {{{order}}}\n" for order in ("'a*': w4a8, 'ab*': w8a8", "'ab*': w8a8, 'a*': w4a8"))
    assert [c.what for c in recipe_diff.diff(run("a", one), run("b", two))] == ["order of the layers' patterns"]


def test_against_float_only_what_was_decided_is_listed() -> None:
    found = recipe_diff.diff(run("float", FLOAT), run("desk", BASE + "layers: {conv1: w4a8}\n"))
    assert [c.what for c in found] == ["base precision", "target", "layer conv1"] and found[2] == Change("layer conv1", "float", "w4a8")
    assert {c.left for c in found} == {"float"}
    assert recipe_diff.diff(run("float", FLOAT), run("float", FLOAT)) == []


def test_meaning_ignores_spelling_and_unreadable_recipes_have_none() -> None:
    assert meaning(BASE) == meaning("precision: w8a8\nmixdown: 1\ntarget: htp_v73\n") != ""
    assert meaning("precision: [") == "" and meaning("float") == ""
    assert summary(BASE + "layers: {a: w4a8}\nbypass: [b]\n") == "W8A8, 2 set by hand"


def test_hostile_texts_and_pictures_do_not_become_markup() -> None:
    evil = "<script>alert(1)</script>\" onload='x"
    sample = {"index": 3, "left": evil, "right": evil, "truth": evil, "margin": 1.0, "margin_right": 2.0}
    for picture in ("http://evil.example/a.png", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,AA' onerror='x", "javascript:x"):
        shown = html.gallery([sample | {"picture": picture}], "lost", 5.0)
        assert "<script" not in shown and "<img" not in shown and "onload='x" not in shown.replace("&#x27;", "")
    assert "<img src='data:image/png;base64,AAAA'" in html.gallery([sample | {"picture": "data:image/png;base64,AAAA"}], "lost", 5.0)
    table = html.tip_table([("a", "m", evil)], [[(evil, "", evil)]])
    assert "<script" not in table and "\" onload" not in table


def test_the_gallery_without_pictures_shows_scores() -> None:
    shown = html.gallery([{"index": 7, "score_left": 0.9, "score_right": 0.25}], "lost", 0.0)
    assert "0.900" in shown and "0.250" in shown and ">7<" in shown


def test_every_number_of_the_table_has_its_tooltip() -> None:
    found = result(0.0115, 0.0037, 0.0199, 0.004)
    left, right = rows.left_row(run("float", FLOAT), found), rows.row(run("desk", BASE), found)
    assert len(left) == len(right) == len(rows.COLUMNS)
    assert [c[0] for c in right[1:6]] == ["90.85 % \u00b1 1.00", "1.15 points", "0.37 to 1.99", "44 / 21", "p = 0.004"]
    assert [c[0] for c in right[6:]] == ["19.30 dB", "100 B", "5.00 %"]
    assert left[6][0] == "exact" and left[7][0] == "400 B" and left[8][0] == "100 %"
    assert all(tip for _, _, tip in [*left[2:], *right[2:]]) and all(tip for _, _, tip in rows.COLUMNS)


def test_layers_of_both_sides_with_the_score_at_their_precision() -> None:
    model = [{"name": "a", "fp32_size_bytes": 400.0}]
    scores = {"scores": [{"layer": "a", "precision": "w4a8", "metric": "kl", "value": 0.02}]}
    layer, = rows.layers(result(0.01, 0, 0.02, 0.04), model, scores)
    assert (layer.left, layer.right, layer.left_kl, layer.right_kl) == ("fp32", "w4a8", 0.0, 0.02) and layer.changed
    assert rows.layer_cells(layer)[-1][0] == "\u2212360 B"


@pytest.mark.parametrize("count", [1, 10, 300])
def test_figures_of_any_size(count: int) -> None:
    classes = [{"class": i, "name": f"<b>{i}</b>", "samples": 20, "left": 0.9, "right": 0.9 - i / 1000, "resolved": i > 5,
                "drop": {"value": i / 1000, "ci95": [0.0, i / 500]}} for i in range(count)]
    figure = classes_figure("dark", classes)
    assert len(shown_classes(classes)) == min(count, MOST) == len(figure["data"][1]["x"])
    assert len(figure["data"][0]["x"]) == sum(r["resolved"] for r in shown_classes(classes))
    assert not any("<b>0" in words for words in figure["data"][1]["text"])
    layers = [rows.Layer(f"l{i}", "fp32", "w8a8" if i % 2 else "fp32", None, 30.0, None, None, 4.0, 1.0) for i in range(count)]
    drawn = noise_figure("light", layers, [x.name for x in layers], "l0")
    assert len(drawn["data"][2]["y"]) == count and drawn["layout"]["shapes"][-1]["x0"] == -0.5


def test_positions_are_named_as_positions_and_never_as_samples() -> None:
    found = result(0.02, 0.01, 0.03, 0.01) | {"positions": {"shape": [6], "step": 3, "counted": 12_000}}
    assert "96.60 % of 12,000 positions in 2,000 samples" in words.flips(found) and "every 3th" not in words.flips(found)
    assert words.missing(found, "won").startswith("No position is answered")
    row = {"index": 7, "kind": "lost", "position": [4], "left": "a", "right": "b", "margin": 0.1, "margin_right": 0.2, "truth": "a"}
    assert html.place(row) == "sample 7, position 4" and "position 4; truly a" in html.gallery([row], "lost", 1.0)
    assert html.place({"index": 1234, "position": [2, 30]}) == "sample 1,234, position 2,30"


def test_without_classes_the_words_are_about_closeness() -> None:
    curve = [float(k) for k in range(101)]
    near = {"sqnr_db": {"left": [200.0] * 101, "right": curve}, "cosine": {"left": [1.0] * 101, "right": [k / 100 for k in curve]}}
    found = result(0.02, 0.01, 0.03, 0.01) | {"same_answer": None, "closeness": near, "worst": [{}]}
    assert words.closeness(found) == "right: half above 50.0 dB (cosine 0.5000), 5 % below 5.0 dB (0.0500)"
    assert words.missing(found, "won") == "No sample's score rose from left to right."
    drawn = closeness_figure("dark", near["sqnr_db"])
    assert [line["name"] for line in drawn["data"]] == ["right"], "the float model against itself is no line"
    row = {"index": 3, "sqnr_left": 200.0, "sqnr_right": 12.34, "cosine_left": 1.0, "cosine_right": 0.97}
    drawn_row = html.gallery([row], "worst", 0.0)
    assert "12.3 dB" in drawn_row and "left the same, cosine 1.0000; right SQNR 12.3 dB" in drawn_row
