"""The bar's words and the table's data, from results that a canned session made up."""
from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import playwright
import pytest

from app import bench, guide, numbers, readouts, state, table, words
from app.bench import Bench
from app.state import Desk, take_selection
from engine.recipe import Recipe
from tests.app.canned import CannedSession

NODE = Path(playwright.__file__).parent / "driver" / "node"
STATIC = Path(__file__).parents[2] / "app" / "static"
TEXT = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\nlayers: {features.0.conv.2: w4a8, features.0.conv.1: w4a8}\n"


@dataclass
class FakeJob:
    """A job as the store has it."""

    verb: str
    state: str = "running"
    id: int = 1
    args: dict[str, Any] = field(default_factory=lambda: {"recipe": TEXT})
    fraction: float = 0.4
    message: str = "measuring"
    eta: float | None = 3.0
    kind: str = ""
    error: str = ""
    partial: dict[str, Any] | None = None
    interrupted: bool = False


def make(recipe: str = TEXT, **changes: Any) -> Bench:
    session, parsed = CannedSession(9, 0.0), Recipe.from_yaml(recipe)
    quiet = lambda *_: None  # noqa: E731
    known: dict[str, Any] = {
        "jobs": [], "model": session.open(quiet), "resolved": session.resolve(parsed, quiet), "calibrated": None,
        "report": session.measure(parsed, quiet, quiet), "before": None, "resolved_before": None}
    project = SimpleNamespace(id="p", name="P", metric="", target="htp_v73", evaluation=Path("e.npz"), calibration=Path("c.npz"))
    return Bench(project, recipe, True, False, **(known | changes))


def test_the_headline_is_the_paired_drop_with_interval_and_flips() -> None:
    shown = readouts.drop(make())
    assert float(shown["num"]) > 0 and shown["unit"] == "pp", "a drop above zero is a loss"
    assert [w for w, _ in shown["flips"]][1::2] == ["lost", "won"]
    low, high = shown["sub"][0][0].strip("[]").split(", ")
    assert float(low.replace(numbers.MINUS, "-")) < float(high.replace(numbers.MINUS, "-"))


@pytest.mark.parametrize(("changes", "kind", "text"), [
    ({}, "measured", "measured"),
    ({"report": None, "jobs": [FakeJob("measure", partial={"samples": 512})]}, "moving", "moving · 512"),
    ({"report": None, "jobs": [FakeJob("measure", "queued")]}, "moving", "moving"),
    ({"report": None, "jobs": [FakeJob("measure", "failed")]}, "failed", "failed"),
    ({"report": None, "before": {"samples": 2000}}, "stale", "stale"),
    ({"report": None}, "none", "not measured")])
def test_badges(changes: dict[str, Any], kind: str, text: str) -> None:
    assert readouts.badge(make(**changes))[:2] == (kind, text)


def test_a_job_for_another_recipe_is_not_this_ones() -> None:
    other = FakeJob("measure", args={"recipe": "mixdown: 1\n"})
    assert make(report=None, jobs=[other]).measuring is None


def test_guide_names_what_is_next() -> None:
    def states(found: Bench) -> dict[str, str]:
        return {g["label"]: g["state"] for g in guide.steps(found)}

    plain = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\n"
    expected = {"calibrate": "done", "see": "done", "mix": "done", "export": "next"}
    here = {k: v for k, v in states(make(scored=True)).items() if k != "repair"}
    assert here == expected if "repair" not in state.PAGES else here == expected | {"export": "later"}
    assert states(make(scored=True, exported=True))["export"] == "done"
    assert states(make(plain, scored=True))["mix"] == ("next" if "repair" not in state.PAGES else "later")
    assert states(make())["see"] == "next", "a measured recipe whose layers are not scored"
    assert states(make(plain, report=None, resolved=None))["calibrate"] == "next"
    assert all(g["title"].endswith(".") and g["state"] in ("done", "next", "later") for g in guide.steps(make(plain)))
    assert {g["state"] for g in guide.steps(None)} == {"later"}


def test_what_is_missing_is_started_once() -> None:
    assert bench.wanted(make()) == []
    nothing = make(model=None, resolved=None, report=None)
    assert [verb for verb, _ in bench.wanted(nothing)] == ["open", "resolve", "measure"]
    assert [v for v, _ in bench.wanted(make(report=None, jobs=[FakeJob("measure")]))] == []
    assert [v for v, _ in bench.wanted(make(report=None, jobs=[FakeJob("measure", "failed")]))] == []
    assert [v for v, _ in bench.wanted(make(report=None, jobs=[FakeJob("measure", "cancelled")]))] == []
    made_way = FakeJob("measure", "cancelled", message="superseded by a newer one")
    assert [v for v, _ in bench.wanted(make(report=None, jobs=[made_way]))] == ["measure"]


def test_a_failure_is_shown_until_something_goes_well() -> None:
    failed, done = FakeJob("calibrate", "failed", id=2), FakeJob("measure", "done", id=3)
    assert make(jobs=[failed]).failure is failed
    assert make(jobs=[done, failed]).failure is None
    assert make(jobs=[FakeJob("measure", "queued", id=4), failed]).failure is None


def test_the_table_shows_request_effect_and_reason() -> None:
    found = make()
    shown = table.layers_data(found, Desk(), "dark")
    row = [x["n"] for x in shown["layers"]].index("features.0.conv.1")
    assert (shown["req"][row], shown["eff"][row], shown["own"][row]) == ("w4a8", "w8a8", True)
    assert "depthwise" in shown["reason"][row]
    assert "depthwise" in shown["illegal"]["features.0.conv.1"]["w4a8"]
    assert shown["layers"][row]["k"] == "dw"
    assert "over the base" in words.why(found, found.layers[row], words.resolved_layer(found, "features.0.conv.1"))


def test_while_the_recipe_is_being_resolved_nothing_effective_is_claimed() -> None:
    shown = table.live(make(resolved=None, resolved_before=make().resolved))
    assert set(shown["eff"]) == {""}


def test_an_older_selection_never_overwrites_a_newer_one() -> None:
    desk = Desk()
    assert take_selection(desk, {"sel": [3, 1], "cur": 3, "seq": 5}, 9) and desk.selected == [1, 3]
    assert not take_selection(desk, {"sel": [0], "cur": 0, "seq": 4}, 9) and desk.current == 3
    assert take_selection(desk, {"sel": [99], "cur": 99, "seq": 6}, 9) and desk.selected == [] and desk.current == 8


def test_numbers() -> None:
    assert numbers.figure(-0.0123, "%") == "−1.23"
    assert numbers.bounds({"value": 0.5, "ci95": 0.1}) == (0.4, 0.6)
    assert numbers.size_text(3_050_000) == "3.05 MB" and numbers.size_text(12) == "12 B"
    assert numbers.count_text(48_300) == "48.3 k"
    assert numbers.share(1e-6) == "< 0.01 %" and numbers.share(None) == "–"


def test_python_and_javascript_place_and_colour_a_drop_alike() -> None:
    script = """
    const { BUDGET, place, tone } = await import(process.argv[1]);
    console.log(JSON.stringify([BUDGET, JSON.parse(process.argv[2]).map((drop) => [place(drop), tone(drop)])]));
    """
    drops = [-1.0, *(n / 1000 for n in range(-15, 60)), 0.6 * readouts.BUDGET, readouts.BUDGET, 2 * readouts.BUDGET, 1.0]
    done = subprocess.run([str(NODE), "--input-type=module", "-e", script, (STATIC / "gauge.js").as_uri(), json.dumps(drops)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    budget, found = json.loads(done.stdout)
    assert budget == readouts.BUDGET == 0.02 and {colour for _, colour in found} == {"ok", "mid", "hot"}
    assert found == [[pytest.approx(readouts.place(d), abs=1e-12), readouts.tone(d)] for d in drops]
    assert (found[0][0], found[-1][0]) == (0.0, 1.0), "both ends hold"


def test_a_drop_of_nothing_has_no_sign() -> None:
    assert numbers.figure(-0.0, "%", sign=True) == "0.00" and numbers.figure(0.00001, "%", sign=True) == "0.00"
    assert numbers.figure(0.0025, "%", sign=True) == "+0.25"
