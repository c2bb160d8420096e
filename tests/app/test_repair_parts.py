"""Repair without a browser: the draft, what is known of it, and the data of its pictures."""
from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import recipes
from app.bench import Bench
from app.repair import ask, chain, draft, falls, gains, ladder, view, weights, words
from app.repair.ask import Known
from app.repair.draft import DEFAULT, Line
from app.repair.view import View
from engine.recipe import Recipe
from tests.app import canned_repair
from tests.app.canned import make_layers

LAYERS = make_layers(9)
RECIPE = "mixdown: 1\ntarget: htp_v73\nprecision: w4a8\n"
FOLD, CLE, GPTQ = Line("fold_batch_norm"), Line("cle"), Line("gptq", {"samples": 64})
LINES = (FOLD, CLE, Line("bias_correction"), GPTQ)


def result(*steps: str) -> dict[str, Any]:
    """The answer of the canned engine to these steps."""
    recipe = Recipe.from_yaml(f"{RECIPE}steps: [{', '.join(steps)}]\n")
    return canned_repair.repair(LAYERS, recipe, 0.0, lambda *a: None, lambda value: None)


ANSWER = result("fold_batch_norm", "cle", "bias_correction", "gptq")
WHOLE = Known(ANSWER["rows"], ANSWER, None, None, True)


class Client:
    """Settings and results in memory."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.results: dict[str, Any] = {}
        self.jobs: dict[int, Any] = {}

    def setting(self, name: str, otherwise: Any = None) -> Any:
        return self.settings.get(name, otherwise)

    def keep_setting(self, name: str, value: Any) -> None:
        self.settings = {k: v for k, v in self.settings.items() if k != name} | ({} if value is None else {name: value})

    def latest(self, project: str, verb: str, recipe: str | None = None, **args: Any) -> Any:
        return self.results.get(recipe or "")

    def result(self, number: int) -> Any:
        return self.jobs.get(number)


def bench(jobs: tuple[Any, ...] = (), recipe: str = RECIPE, data: bool = True) -> Bench:
    project = SimpleNamespace(id="p", metric="top1", evaluation="x" if data else None, calibration="x", target="htp_v73")
    return Bench(project, recipe, False, False, list(jobs), model={"layers": LAYERS, "metric": {"name": "top1", "unit": "share"}},
                 resolved=None, report=None, calibrated=None, before=None, resolved_before=None)


def job(number: int, recipe: str, state: str = "running", **more: Any) -> Any:
    base = {"id": number, "verb": "repair", "args": {"recipe": recipe}, "state": state, "active": state in ("queued", "running"),
            "partial": None, "fraction": 0.5, "message": "gptq: a layer", "eta": 3.0, "error": ""}
    return SimpleNamespace(**(base | more))


# The draft

def test_the_recipe_without_steps_means_the_default_and_no_steps_are_kept_as_such() -> None:
    assert draft.of_recipe({}) == DEFAULT and draft.of_recipe({"steps": []}) == ()
    assert "steps" not in draft.put_into({"precision": "w8a8", "steps": ["cle"]}, DEFAULT)
    text = ask.text({"mixdown": 1, "precision": "w8a8"}, ())
    assert Recipe.from_yaml(text).steps == ()
    assert Recipe.from_yaml(ask.text({"mixdown": 1}, DEFAULT)).steps is None


def test_a_recipe_with_no_steps_at_all_survives_another_edit() -> None:
    doc = recipes.read(ask.text(recipes.read(RECIPE), ()))
    assert Recipe.from_yaml(recipes.write(recipes.put(doc, ["precision"], "w8a8"))).steps == ()


NAMES = st.sampled_from(["fold_batch_norm", "cle", "gptq", "adaround"])
VALUES = st.one_of(st.booleans(), st.integers(-9, 9999), st.floats(0.001, 9.5), st.sampled_from(["gram", "faithful"]))
OPTIONS = st.dictionaries(st.sampled_from(["samples", "mode", "damping"]), VALUES, max_size=3)
DRAFTS = st.lists(st.builds(Line, NAMES, OPTIONS, st.booleans()), max_size=6).map(tuple)


@given(DRAFTS)
def test_a_draft_goes_to_the_recipe_and_back_and_to_the_component_and_back(lines: draft.Lines) -> None:
    on = tuple(line for line in lines if line.on)
    doc = recipes.read(ask.text(recipes.read(RECIPE), lines))
    assert draft.to_steps(draft.of_recipe(doc)) == draft.to_steps(lines)
    assert draft.same(draft.of_recipe(doc), on) and draft.prefix(lines, on) == len(on)
    assert draft.read(draft.sent(lines)) == lines
    for place in draft.places(lines):
        assert len(draft.to_steps(draft.without(lines, place))) == len(on) - 1


@pytest.mark.parametrize("bad", [None, "cle", [1], [{"n": 3}], [{"n": "cle", "o": []}], [{"n": "cle", "o": {"x": {"y": 1}}}],
                                 [{"n": "cle", "o": {"x": float("nan")}}], [{"n": "cle", "o": {"x": "y" * 999}}], [{"n": "cle"}] * 99])
def test_a_document_that_is_none_changes_nothing(bad: Any) -> None:
    client, seen = Client(), View(lines=LINES, ack=4)
    assert not view.take(client, "p", seen, {"lines": bad, "sel": 0, "seq": 9})
    assert not view.take(client, "p", seen, {"lines": draft.sent(DEFAULT), "seq": 4}), "an older one"
    assert seen.lines == LINES and seen.ack == 4


def test_the_draft_follows_the_recipe_until_it_says_something_of_its_own() -> None:
    client, seen = Client(), View()
    view.settle(client, "p", seen, {"steps": ["cle"]})
    assert seen.lines == (CLE,)
    view.settle(client, "p", seen, {"steps": ["cle", "gptq"]})  # an undo, or an edit elsewhere
    assert seen.lines == (CLE, Line("gptq"))
    assert view.take(client, "p", seen, {"lines": draft.sent(LINES), "sel": 3, "seq": 1}) and seen.place == 3
    view.settle(client, "p", seen, {"steps": ["cle"]})
    assert seen.lines == LINES, "what the hand made stays"
    other = View()
    view.settle(client, "p", other, {"steps": ["cle"]})
    assert other.lines == LINES, "a reload finds it"
    view.change(client, "p", seen, (CLE,))
    assert client.settings == {}, "nothing is kept of a draft that says what the recipe says"


# What is known

def test_a_whole_answer_a_common_beginning_and_what_a_stopped_run_knew() -> None:
    client, found = Client(), bench()
    text = ask.arguments(found, LINES)["recipe"]
    client.results[text] = ANSWER
    assert ask.gather(client, found, LINES).whole
    found = bench((job(1, text, "done"),))
    shorter = ask.gather(client, found, (FOLD, CLE, GPTQ))
    assert [r["step"] for r in shorter.rows] == [None, "fold_batch_norm", "cle"] and not shorter.whole
    assert ask.gather(client, found, LINES[:2]).whole, "the beginning of a chain that was run is known as a whole"
    assert ask.gather(client, bench((job(1, text, "done"),), RECIPE + "bias: int32\n"), LINES).rows == [], "of another recipe"
    stopped = bench((job(2, text, "cancelled", partial=result("fold_batch_norm", "cle")),))
    known = ask.gather(Client(), stopped, LINES)
    assert len(known.rows) == 3 and known.ended is not None and known.job is None
    assert ask.best_lines(LINES, known.rows, 2) == (FOLD, CLE, replace(LINES[2], on=False), replace(GPTQ, on=False))


def test_a_running_job_tells_where_it_is() -> None:
    text = ask.arguments(bench(), LINES)["recipe"]
    live = {"layer": "features.0", "index": 3, "count": 8, "iteration": 500, "iterations": 1000, "loss": 0.25, "unit": "loss"}
    partial = result("fold_batch_norm") | {"running": {"index": 2, "step": "cle", "live": live}}
    known = ask.gather(Client(), bench((job(5, text, partial=partial),)), LINES)
    states = [s["state"] for s in chain.statuses(LINES, known, "%")]
    assert states == ["known", "running", "waiting", "waiting"]
    now = chain.statuses(LINES, known, "%")[1]
    assert now["share"] == pytest.approx(2.5 / 8) and now["loss"] == 0.25 and "500 of 1,000" in now["sub"]
    assert words.share({}, "GPTQ: features.3.conv (6 of 8), error 1.2e-3") == pytest.approx(5 / 8)
    assert words.share({}, "sample 3 of 9") is None
    off = draft.without(LINES, 0)
    assert chain.statuses(off, Known(), "%")[0]["state"] == "off" and chain.statuses(off, Known(), "%")[3]["sub"] == "samples 64"


# The chain's words and buttons

def test_what_each_step_gave_is_said_in_words_and_tones() -> None:
    said = chain.statuses(LINES, WHOLE, "%")
    assert [s["tone"] for s in said] == ["same", "ok", "hot", "ok"] and said[0]["open"]
    assert said[3]["gain"] == "+46.20" and said[2]["gain"].startswith("\u2212")
    sub = said[3]["sub"].replace("\u00a0", " ")
    assert "SQNR +7.20 dB" in sub and "3.4 s" in sub and "95 % interval" in said[3]["title"]
    assert words.verdict(WHOLE.rows, "%").startswith("54.80 pp won back") and "bias_correction does harm" in words.verdict(WHOLE.rows, "%")


def test_buttons_say_what_they_do_and_why_they_cannot() -> None:
    seen = View(lines=LINES, follows=DEFAULT)
    run = chain.buttons(bench(), seen, Known())["run"]
    assert (run["a"], run["text"], run["off"], run["primary"]) == ("run", "Run", False, True)
    assert chain.buttons(bench(data=False), seen, Known())["run"]["off"], "nothing can be measured"
    assert "evaluation data" in chain.buttons(bench(data=False), seen, Known())["run"]["title"]
    assert chain.buttons(bench(), seen, WHOLE)["run"]["text"] == "Measured"
    assert chain.buttons(bench(), seen, Known(job=job(1, "")))["run"]["a"] == "cancel"
    begun = Known(ANSWER["rows"][:3], ANSWER, None, job(1, "", "cancelled"))
    assert chain.buttons(bench(), seen, begun)["accept"]["text"] == "Accept 2 of 4"
    same = chain.buttons(bench(), replace(seen, follows=LINES), WHOLE)
    assert same["accept"]["off"] and same["reject"]["off"]


def test_the_menu_travels_once() -> None:
    seen, listed = View(lines=LINES), {"steps": [{"name": "cle"}], "ladder": None}
    first, second = (chain.chain_data(bench(), seen, Known(), listed, "%", "dark") for _ in range(2))
    assert first["catalog"]["steps"] == listed["steps"] and "catalog" not in second and first["part"] == second["part"]
    assert len(str(second)) < 2000


# The pictures

def test_the_waterfall_goes_from_no_steps_to_the_end_and_marks_harm() -> None:
    data = falls.falls_data(LINES, WHOLE, "%", "dark", 2)
    kinds = [s["kind"] for s in data["stages"]]
    assert kinds == ["start", "step", "step", "step", "step", "end"]
    assert [s.get("harm") for s in data["stages"]][3] is True and [s.get("sel") for s in data["stages"]][3] is True
    for before, after in zip(data["stages"][:4], data["stages"][1:5], strict=True):
        assert after["from"] == before["v"] and after["lo"] < after["v"] < after["hi"]
    assert data["float"] == pytest.approx(92.4)
    partly = falls.falls_data(LINES, Known(ANSWER["rows"][:2], ANSWER), "%", "dark", -1)
    assert [s["kind"] for s in partly["stages"]] == ["start", "step", "ghost", "ghost", "ghost"]
    assert [s["label"] for s in falls.falls_data((CLE, CLE), Known(), "%", "dark", -1)["stages"]] == ["No steps", "cle 1", "cle 2"]


def test_layers_before_and_after_a_step_or_the_chain() -> None:
    seen = View(lines=LINES, place=3, layer=str(LAYERS[4]["name"]))
    one = gains.gains_data(LAYERS, LINES, WHOLE, seen, "dark")
    rows = WHOLE.rows
    assert gains.pair(LINES, WHOLE, seen) == (3, 4) and gains.pair(LINES, WHOLE, replace(seen, span="chain")) == (0, 4)
    assert gains.pair(LINES, WHOLE, replace(seen, place=-1)) == (3, 4) and gains.pair(LINES, Known(), seen) == (0, 0)
    assert one["before"][4] == pytest.approx(rows[3]["layer_sqnr_db"][LAYERS[4]["name"]], abs=0.01) and one["selected"] == 4
    assert gains.changed_most(one) >= 0 and gains.changed_most(gains.gains_data(LAYERS, LINES, Known(), seen, "dark")) == -1
    folded = gains.gains_data(LAYERS, LINES, WHOLE, replace(seen, place=0), "dark")
    assert set(folded["before"]) == {None} and "outputs are read elsewhere" in gains.summary(folded), "other tensors are not compared"
    whole = gains.gains_data(LAYERS, LINES, WHOLE, replace(seen, span="chain"), "dark")
    assert whole["before"][4] == pytest.approx(rows[1]["layer_sqnr_db"][LAYERS[4]["name"]], abs=0.01), "from the folded graph on"
    odd = {"step": "cle", "layer_sqnr_db": {LAYERS[0]["name"]: float("inf"), LAYERS[1]["name"]: None, LAYERS[2]["name"]: float("nan")}}
    levels = gains.gains_data(LAYERS, (CLE,), Known([odd, odd], {}), seen, "dark")["after"]
    assert levels[:3] == [120.0, None, None]
    assert gains.summary(one).endswith("dB") and "better" in gains.summary(one)


def test_weights_are_asked_for_after_the_steps_that_are_compared() -> None:
    found = bench()
    first = weights.arguments(found, LINES, 0, "a")
    assert Recipe.from_yaml(first["recipe"]).steps == ()
    two = Recipe.from_yaml(weights.arguments(found, LINES, 2, "a")["recipe"]).steps
    assert two is not None and [s.name for s in two] == ["fold_batch_norm", "cle"]
    facts = {"histogram": {"edges": [0, 1, 2], "counts": [3, 4]}, "encoding": {"dtype": "int4", "granularity": "per_channel", "low": 0.0,
             "high": 2.0, "step": 0.1}, "channels": {"low": [-1.0, -4.0], "high": [1.0, 4.0]}}
    after = facts | {"channels": {"low": [-2.0, -2.0], "high": [2.0, 2.0]}}
    drawn = weights.plots(facts, after, 138)
    assert [p["kind"] for p in drawn] == ["mirror", "spans"] and drawn[1]["right"] == "widest to median 1.0 \u2192 1.0"
    assert weights.plots(None, after, 138)[0]["kind"] == "waiting"


# Repair for me

def test_the_ladder_box_tells_its_decisions_and_its_steps_become_explicit() -> None:
    field = {"name": "goal", "default": 1.0, "minimum": 0.0, "maximum": 100.0, "doc": "Stop once at most this many percent differ."}
    listed = {"ladder": {"fields": [field, field | {"name": "goal_db", "default": 20.0}]}}
    found, client, seen = bench(), Client(), View()
    assert ladder.ladder_data(client, found, seen, {}, "%") is None
    box = ladder.ladder_data(client, found, seen, listed, "%")
    assert box is not None and (box["goal"], box["unit"], box["off"], box["lines"]) == ("1", "%", False, [])
    other = ladder.ladder_data(client, found, seen, listed, "dB")
    assert other is not None and (other["goal"], other["unit"]) == ("20", "dB")
    assert ladder.value_of(field, View(goal=1e9)) == 100.0 and ladder.value_of(field, View(goal=0.25)) == 0.25
    asked = ask.ladder(found, "goal", 0.25)
    said = ["cle: kept, 40 % less loss", "gptq: left out", "kept: fold_batch_norm, gptq (30 dB)"]
    answer = result("fold_batch_norm")
    answer["rows"][1] |= {"instead": ["fold_batch_norm", {"gptq": {"samples": 64}}], "changes": said,
                          "tried": [{"steps": ["cle"], "kept": True, "words": said[0]}]}
    client.jobs[3] = answer
    box = ladder.ladder_data(client, bench((job(3, asked["recipe"], "done"),)), seen, listed, "%")
    assert box is not None and [x["tone"] for x in box["lines"]] == ["kept", "tried", "goal"] and box["lines"][2]["text"] == said[2]
    assert ask.explicit(answer) == (FOLD, GPTQ)
    now = {"lines": said[:1], "tried": [{"steps": ["cle"], "kept": True, "words": said[0]}]}
    live = {"running": {"index": 1, "step": "auto", "live": now}, "rows": []}
    busy = ladder.ladder_data(client, bench((job(4, asked["recipe"], partial=live),)), seen, listed, "%")
    assert busy is not None and busy["busy"] and busy["text"].startswith("Cancel") and busy["lines"] == [{"tone": "kept", "text": said[0]}]
