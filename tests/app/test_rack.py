"""The rack's data and its documents: small edits, parts once, nothing overwritten that the hand did not move."""
from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import rack, rack_codec, rack_edits, readouts, recipes, theme
from app.bench import Bench, load
from app.components import loader
from app.forecast import precisions
from app.prediction import Predicted
from app.rack_edits import Memory
from engine.recipe import Recipe
from tests.app.canned import CannedSession
from tests.app.test_javascript import NODE
from tests.app.test_readouts import FakeJob

BASE = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\n"
STATE_JS = Path(rack.__file__).resolve().parent / "static" / "rack_state.js"


def bench(recipe: str = BASE, count: int = 9, **changes: Any) -> Bench:
    session, parsed = CannedSession(count, 0.0), Recipe.from_yaml(recipe)
    quiet = lambda *_: None  # noqa: E731
    known: dict[str, Any] = {"jobs": [], "model": session.open(quiet), "resolved": session.resolve(parsed, quiet), "calibrated": None,
                             "report": session.measure(parsed, quiet, quiet), "before": None, "resolved_before": None}
    project = SimpleNamespace(id="p", name="P", metric="", target="htp_v73", evaluation=Path("e.npz"), calibration=None)
    return Bench(project, recipe, True, False, **(known | changes))


def document(found: Bench, memory: Memory, **changes: Any) -> dict[str, Any]:
    """What the rack would send after a change of the state that it was just given."""
    live = rack.live(found, memory, [0], 0)
    whole = {"seq": memory.ack + 1, "from": live["token"], "prec": live["prec"], "mute": live["mute"], "solo": "", "sel": "0", "cur": 0}
    return whole | changes


def after(found: Bench, memory: Memory, **changes: Any) -> tuple[recipes.Doc, str]:
    asked = rack_edits.take(memory, document(found, memory, **changes), len(found.layers))
    assert asked is not None
    return rack_edits.edited(found.doc, asked, found.layers)


def test_codec_is_the_same_in_python_and_javascript() -> None:
    values, members = [2, 2, 2, -1, 3, 0, 0], [0, 1, 2, 7, 9, 10]
    told = f"[S.pack({values}), S.unpack('c3_da2'), S.packSet({members}), [...S.unpackSet('0-2,7,9-10')]]"
    code = f"import * as S from {json.dumps(STATE_JS.as_uri())}; console.log(JSON.stringify({told}))"
    done = subprocess.run([str(NODE), "--input-type=module", "-e", code], capture_output=True, text=True, timeout=60, check=True)
    here = [rack_codec.pack(values), rack_codec.unpack("c3_da2"), rack_codec.pack_set(members), rack_codec.unpack_set("0-2,7,9-10", 99)]
    assert json.loads(done.stdout) == here == ["c3_da2", values, "0-2,7,9-10", members]


def test_a_hostile_text_claims_no_memory() -> None:
    with pytest.raises(ValueError):
        rack_codec.unpack("a999999" * 9)
    assert rack_codec.unpack_set("0-999999,5", 4) == [0, 1, 2, 3]
    memory, found = Memory(), bench()
    assert rack_edits.take(memory, document(found, memory, prec="a999999b999999"), 9) is None
    assert rack_edits.take(memory, document(found, memory, prec="z9"), 9) is None


@pytest.mark.parametrize(("count", "every"), [(300, 3), (1000, 9)])
def test_static_parts_travel_once_and_an_edit_stays_under_two_kilobytes(count: int, every: int) -> None:
    layers = CannedSession(count, 0.0).layers
    mixed = "".join(f"  {x['name']}: {p}\n" for x, p in zip(layers[::every], ("w4a8", "fp16", "w8a16") * count, strict=False))
    found, memory = bench(f"{BASE}layers:\n{mixed}bypass: [{layers[5]['name']}]\n", count), Memory()
    first = rack.rack_data(found, memory, "dark", rack.live(found, memory, [3], 3))
    assert {"graph", "rules", "sqnr"} <= {name for name, h in first["have"].items() if h in first["parts"]}
    live = rack.live(found, memory, range(count), 4, note="last 12 predictions: off by 0.2 pp in the median")
    again = rack.rack_data(found, memory, "dark", live)
    around = loader(["rack.js", "dom.js"], ["tokens.css", "base.css", "rack.css"]) + theme.early_css("rack")
    sent = len(json.dumps(again)) + len(around)
    assert again["parts"] == {} and sent < 2000, sent
    memory.parts.clear()
    assert set(rack.rack_data(found, memory, "dark", again["live"])["parts"]) == set(first["parts"]), "what got lost is sent again"


RULES = {"name": "abc123", "types": ["fp32", "int8"]}


def with_rules(recipe: str, **changes: Any) -> Bench:
    found = bench(recipe, **changes)
    return found if "resolved" in changes else replace(found, resolved={**found.resolved, "foresight": RULES})  # type: ignore[dict-item]


def test_the_rules_by_which_precisions_spread_travel_once_and_serve_until_more_than_a_move_was_made() -> None:
    memory, name = Memory(), CannedSession(9, 0.0).layers[2]["name"]

    def sent(found: Bench) -> tuple[str, bool]:
        data = rack.rack_data(found, memory, "dark", rack.live(found, memory, [0], 0))
        return data["have"]["ahead"], "abc123" in data["parts"]

    assert sent(with_rules(BASE)) == ("abc123", True)
    assert sent(with_rules(BASE)) == ("abc123", False), "once"
    for moved in (f"{BASE}layers: {{{name}: w4a8}}\n", f"{BASE}bypass: [{name}]\n", BASE.replace("w8a8", "w4a8")):
        assert sent(with_rules(moved, resolved=None)) == ("abc123", False), "moves alone: the rules are still those"
    for more in (BASE.replace("htp_v73", "generic"), f"{BASE}tensors: {{t3: {{type: a16}}}}\n", f"{BASE}layers: {{'op:Conv': w4a8}}\n",
                 f"{BASE}layers: {{{name}: {{precision: w8a8, weights: {{granularity: per_tensor}}}}}}\n", f"{BASE}steps: [cle]\n"):
        assert sent(with_rules(more, resolved=None)) == ("", False), more
    assert sent(bench(BASE)) == ("", False), "a result of before there were rules has none"


def test_an_edit_is_the_difference_to_what_the_rack_had_taken_over() -> None:
    found, memory = bench(), Memory()
    new, label = after(found, memory, prec="dc3dc4")
    names = [x["name"] for x in found.layers]
    assert new["layers"] == {names[0]: "w4a8", names[4]: "w4a8"} and label == "2 layers to w4a8"


def test_an_undo_between_two_moves_is_not_undone_by_the_second() -> None:
    found, memory = bench(), Memory()
    first = document(found, memory, prec="dc8")
    asked = rack_edits.take(memory, first, 9)
    assert asked is not None and asked.precisions == {0: "w4a8"}
    asked = rack_edits.take(memory, first | {"seq": 2, "prec": "dc3dc4"}, 9)  # the rack has not heard of the undo yet
    assert asked is not None and asked.precisions == {4: "w4a8"}
    new, label = rack_edits.edited(found.doc, asked, found.layers)
    assert list(new["layers"]) == [found.layers[4]["name"]] and label.endswith("to w4a8")


def test_a_move_taken_back_before_the_answer_is_taken_back() -> None:
    found, memory = bench(), Memory()
    asked = rack_edits.take(memory, document(found, memory, prec="dc8"), 9)
    new, _ = rack_edits.edited(found.doc, asked, found.layers)  # type: ignore[arg-type]
    back = rack_edits.take(memory, document(found, memory, seq=2), 9)
    again, label = rack_edits.edited(new, back, found.layers)  # type: ignore[arg-type]
    assert not again.get("layers") and label.endswith("back to base")


def test_an_older_document_changes_nothing() -> None:
    found, memory = bench(), Memory()
    assert rack_edits.take(memory, document(found, memory, seq=5), 9) is not None
    assert rack_edits.take(memory, document(found, memory, seq=5, prec="d9"), 9) is None
    assert memory.ack == 5


def test_mute_keeps_what_the_layer_asks_for_and_unmuting_brings_it_back() -> None:
    name = CannedSession(9, 0.0).layers[2]["name"]
    found, memory = bench(f"{BASE}layers: {{{name}: w4a8}}\n"), Memory()
    silent, label = after(found, memory, mute="2-3")
    assert silent["layers"] == {name: "w4a8"} and len(silent["bypass"]) == 2 and label == "2 layers: kept in float"
    there = bench(recipes.write(silent))
    loud, label = after(there, memory, mute="3")
    assert loud["layers"] == {name: "w4a8"} and loud["bypass"] == [found.layers[3]["name"]] and label == f"{name}: quantized again"


def test_moving_the_fader_of_a_muted_layer_keeps_it_muted() -> None:
    found, memory = bench(f"{BASE}bypass: [{CannedSession(9, 0.0).layers[2]['name']}]\n"), Memory()
    new, _ = after(found, memory, prec="c2dc6")
    asked = recipes.requests(new, found.layers)[2]
    assert (asked.precision, asked.bypassed) == ("w4a8", True)


def test_requested_and_effective_precision_with_the_reason() -> None:
    name = CannedSession(9, 0.0).layers[1]["name"]  # depthwise: refuses four bits
    found, memory = bench(f"{BASE}layers: {{{name}: w4a8}}\n"), Memory()
    live = rack.live(found, memory, [0], 0)
    assert rack_codec.unpack(live["prec"])[1] == 3 and rack_codec.unpack(live["eff"])[1] == 2 and "8 bits" in live["why"]["1"]
    rules = rack.rules(found)
    assert rules["no"][1] == "___a" and "INT4" in rules["reasons"][1] and rules["no"][0] == "____"


def test_detents_hold_candidates_base_and_what_a_layer_asks_for_beside_them() -> None:
    found = bench(f"mixdown: 1\nprecision: w8a8\ncandidates: [w4a8, w8a16]\nlayers: {{{CannedSession(9, 0.0).layers[2]['name']}: w3a8}}\n")
    assert rack.detents(found) == ["w8a16", "w8a8", "w4a8", "w3a8"]
    assert [rack.caption(p) for p in ("fp16", "w8a16")] == ["16", "8/16"]


def test_blocks_are_the_nearest_modules_with_several_layers() -> None:
    names = ["net.stem.conv", "net.b.0.x.conv", "net.b.0.y.conv", "net.b.1.x.conv", "net.b.1.y.conv", "net.b.1.z.conv", "head"]
    found = rack.blocks([{"name": n, "module": n} for n in names])
    assert found == ["net.stem.conv", "net.b.0", "net.b.0", "net.b.1", "net.b.1", "net.b.1", "head"]


def test_strips_that_share_a_weight_or_a_tensor_are_linked() -> None:
    found = bench()
    layers = [dict(x) for x in found.layers]
    layers[4]["weight"] = layers[7]["weight"]
    layers[1]["reads"] = layers[2]["reads"] = ["same"]
    shared = replace(found, model={**found.model, "layers": layers})  # type: ignore[dict-item]
    assert [(x["ids"], x["why"].split()[-1]) for x in rack.links(shared)] == [("4,7", "all"), ("1-2", "type")]
    grouped = replace(found, resolved={**found.resolved, "groups": [["t5", "t8"]]})  # type: ignore[dict-item]
    assert [x["ids"] for x in rack.links(grouped)] == ["5,8"]


def test_solo_quantizes_only_the_soloed_layers_and_is_never_the_recipe() -> None:
    layers = CannedSession(9, 0.0).layers
    doc = recipes.read(f"{BASE}layers: {{{layers[2]['name']}: w4a8}}\nbypass: [{layers[3]['name']}]\ntensors: {{t5: {{type: a16}}}}\n")
    new = recipes.audition(doc, layers, [2, 3, 4])
    assert new["precision"] == "fp32" and new["layers"] == {layers[2]["name"]: "w4a8", layers[4]["name"]: "w8a8"}
    assert "bypass" not in new and "tensors" not in new and doc["precision"] == "w8a8"
    Recipe.from_yaml(recipes.write(new))


class Shelf:
    """A client that knows the model alone, and notes what it is asked about."""

    def __init__(self, recipe: str) -> None:
        self.recipe, self.asked = recipe, list[tuple[str, str | None]]()

    def state(self, project: str) -> Any:
        return SimpleNamespace(project=SimpleNamespace(evaluation=Path("e.npz")), recipe=self.recipe, can_undo=False, can_redo=False)

    def jobs(self, project: str) -> list[Any]:
        return []

    def latest(self, project: str, verb: str, recipe: str | None = None, **_: Any) -> Any:
        self.asked.append((verb, recipe))
        return {"layers": CannedSession(9, 0.0).layers} if verb == "open" else None

    def latest_any(self, project: str, verb: str) -> None:
        return None

    def worker_stopped(self, project: str) -> str:
        return ""


def test_while_soloed_the_audition_is_measured_and_the_recipe_resolved() -> None:
    shelf = Shelf(BASE)
    found = load(shelf, "p", 0, [2])
    asked = dict(shelf.asked)
    assert "fp32" in str(asked["measure"]) and asked["resolve"] == BASE and found.recipe == BASE
    assert found.heard == asked["measure"] and load(shelf, "p", 0).audition == ""


SAID = Predicted(0.0123, -0.001, 0.03, 0.02, False, "estimate", fp32=0.92)


def test_before_anything_is_measured_the_bar_shows_the_prediction_as_one() -> None:
    found = bench(report=None, jobs=[FakeJob("measure", "queued", args={"recipe": BASE})])
    drop, acc = readouts.drop(found, SAID), readouts.accuracy(found, SAID)
    assert (drop["num"], drop["label"], drop["dot"]) == ("1.23", "Drop, predicted", "hollow")
    assert (acc["badge"], acc["num"]) == ("predicted", "90.77")
    assert drop["sub"][0][0] == "[\u22120.10, 3.00]" and drop["flips"] == [["from estimates", ""]]
    assert readouts.readout_data(found, ["htp_v73"], SAID)["drop"]["stale"] is False


def test_partial_figures_and_the_measured_take_over_with_a_shrinking_band() -> None:
    quiet = lambda *_: None  # noqa: E731
    parts: list[dict[str, Any]] = []
    CannedSession(9, 0.0).measure(Recipe.from_yaml(BASE), quiet, parts.append)
    widths = []
    for part in parts:
        found = bench(report=None, jobs=[FakeJob("measure", args={"recipe": BASE}, partial=part)])
        shown = readouts.drop(found, SAID)
        assert shown["dot"] == "half" and shown["label"] == "Drop, paired" and readouts.badge(found, SAID)[0] == "moving"
        widths.append(shown["band"][1] - shown["band"][0])
    whole = readouts.drop(bench(), SAID)
    assert whole["dot"] == "filled" and "Predicted: 1.23" in whole["title"]
    assert sorted([*widths, whole["band"][1] - whole["band"][0]], reverse=True) == [*widths, whole["band"][1] - whole["band"][0]]


def test_an_audition_says_so_in_every_state() -> None:
    assert readouts.badge(bench(), SAID, 2)[:2] == ("solo measured", "solo 2")
    waiting = bench(report=None, jobs=[FakeJob("measure", "queued", args={"recipe": BASE})])
    assert readouts.badge(waiting, SAID, 1)[:2] == ("solo", "solo 1 \u00b7 predicted")


def test_predictions_read_effective_precisions_and_a_solo_leaves_the_rest_in_float() -> None:
    name = CannedSession(9, 0.0).layers[1]["name"]
    found = bench(f"{BASE}layers: {{{name}: w4a8}}\n")
    assert precisions(found)[name] == "w8a8" and precisions(found)["*"] == "w8a8", "the target raised it"
    alone = precisions(found, [1])
    assert alone[name] == "w8a8" and {p for n, p in alone.items() if n != name} == {"fp32"}
    assert precisions(replace(found, resolved=None, report=None))[name] == "w4a8", "what is asked for, until it is resolved"


def test_the_sheet_of_tokens_is_that_of_the_theme() -> None:
    assert (theme.STATIC / "tokens.css").read_text(encoding="utf-8") == theme.tokens_css(), "run: python -m app.theme"
