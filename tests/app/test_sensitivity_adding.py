"""The tab 'Adding up', and what the page says between an estimate and exact scores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from app.sensitivity import adding, ask, causes, cells, heat, panel_words
from tests.app.test_sensitivity_parts import answer


def pair(a: str, b: str, excess: float, clear: bool = True) -> dict[str, Any]:
    """One pair as the engine gives it."""
    ends = [excess - 0.001, excess + 0.001] if clear else [-0.1, 0.1]
    found = {"layers": [a, b], "tensors": ["t"], "joint": 0.02 + excess, "sum": 0.02, "excess": excess}
    return found | {"ci95": ends, "below_resolution": not clear}


def test_pairs_come_worst_first_and_unclear_ones_last_without_a_number() -> None:
    rows = adding.pair_rows({"pairs": [pair("a", "b", 0.9, clear=False), pair("c", "d", 0.01), pair("e", "f", -0.03)]})
    assert [r[0] for r in rows] == ["e + f", "c + d", "a + b"]
    assert rows[0][3].startswith("\u22120.03 [") and rows[2][3] == ("below resolution", "d")


def test_sentences_about_pairs_are_left_to_the_table() -> None:
    found = {"words": ["The whole.", "Over 20 recipes.", "c and d share t."], "pairs": [pair("c", "d", 0.01)]}
    found |= {"joint": 0.03, "sum": 0.02, "ratio": 1.5}
    assert adding.said(found) == ["The whole.", "Over 20 recipes."]
    assert adding.facts(found)[2] == ("whole \u00f7 sum", "1.5\u00d7", "") and adding.facts({})[2][1] == "\u2013"


def test_a_stopped_sweep_stays_until_the_next_one_tells_more() -> None:
    asked = {"mode": "one-on"}
    stopped = SimpleNamespace(verb="sensitivity", args=asked, state="cancelled", partial={"scores": [1]})
    queued = SimpleNamespace(verb="sensitivity", args=asked, state="queued", partial=None)
    assert ask._partial([queued, stopped], asked) == {"scores": [1]}
    queued.partial = {"scores": [1, 2]}
    assert ask._partial([queued, stopped], asked) == {"scores": [1, 2]}
    assert ask._partial([stopped], {"mode": "one-off"}) is None


def test_the_grid_stands_before_the_first_scores() -> None:
    empty = cells.empty(["a", "b"], ["w8a8", "w4a8"], "one-off")
    drawn = heat.heat_data(empty, ["a", "b"], {}, "dark", "a", "w4a8")
    assert len(drawn["cells"]) == 4 and not any(c[5] for c in drawn["cells"]) and set(drawn["hover"]) == {"not scored yet"}


def test_an_order_of_estimates_says_so_among_exact_cells() -> None:
    estimate = answer({("a", "w4a8"): 0.1, ("b", "w4a8"): 0.2}, "estimate", estimate=True) | {"estimate": True}
    both = cells.merge(estimate, answer({("a", "w4a8"): 0.3}) | {"estimate": False})
    words = panel_words.ranking_words(both, both.precisions[0])
    assert both.exact == 1 and words.startswith("Order of the estimate")
    alone = cells.merge(estimate, None)
    assert not panel_words.ranking_words(alone, alone.precisions[0]).startswith("Order of the estimate")


def test_a_remedy_that_is_in_use_already_is_told_from_one_that_is_not() -> None:
    layers = [{"name": "a", "module": ""}, {"name": "b", "module": ""}]
    doc: dict[str, Any] = {"mixdown": 1, "precision": "w8a8"}
    assert causes.in_use(doc, doc | {"layers": {"a": "w8a8"}}, layers), "an override that says what the base says"
    assert not causes.in_use(doc, doc | {"layers": {"a": "w8a16"}}, layers)
    assert not causes.in_use(doc, doc | {"bypass": ["a"]}, layers)
    assert not causes.in_use(doc, doc | {"steps": ["cle"]}, layers)
    grids = {"layers": {"a": {"precision": "w8a8", "weights": {"granularity": "per_channel"}}}}
    assert not causes.in_use(doc, doc | grids, layers), "the same bits on another grid"


def test_the_scatter_says_where_cheap_protection_stands() -> None:
    def note(mode: str, higher: bool) -> str:
        return panel_words.scatter_note(cells.Scores(("a",), ("w4a8",), mode, higher_is_better=higher), "w4a8")

    assert "upper left" in note("one-on", False) and "lower left" in note("one-on", True)
    assert "lower left" in note("one-off", False) and "upper left" in note("one-off", True)
    assert "left" not in note("cumulative", True) and panel_words.scatter_note(cells.Scores(), "w4a8") == ""


def test_racing_is_told_short_and_its_ties_at_the_ranking() -> None:
    race = {"spent": 40, "full": 100, "saved": 0.6, "decided": True, "top": 10, "error": 0.02, "words": "long"}
    assert panel_words.racing_words({"racing": race}) == (
        "Racing ran 40 of 100 sample evaluations (60 % saved); the top 10 is that of all samples with 98 % confidence."
    )
    assert panel_words.racing_words({}) == ""
    raced = cells.merge(None, answer({("a", "w4a8"): 0.1, ("b", "w4a8"): 0.2}) | {"racing": race | {"tied": {"w4a8": ["a", "b"]}}})
    assert panel_words.ranking_words(raced, "w4a8").endswith("Tied at the border of the race's top: a, b.")
