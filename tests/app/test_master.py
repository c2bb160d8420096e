"""The master: it moves the base in one line of history; what was set by hand stays, what would only repeat it goes."""
from __future__ import annotations

from app import master, rack, rack_edits, recipes, table
from app.forecast import precisions
from app.rack_edits import Memory
from engine.recipe import Recipe
from tests.app.canned import CannedSession
from tests.app.test_rack import BASE, after, bench, document

LAYERS = CannedSession(9, 0.0).layers
NAMES = [str(x["name"]) for x in LAYERS]


def with_lines(**lines: str) -> str:
    """The base recipe with lines for layers, by their places: `l3=...`."""
    return BASE + "layers:\n" + "".join(f"  {NAMES[int(k[1:])]}: {v}\n" for k, v in lines.items())


def test_the_base_moves_and_hand_set_lines_stay_in_one_line_of_history() -> None:
    found, memory = bench(with_lines(l2="w8a16", l5="w4a8")), Memory()
    new, label = after(found, memory, base=3, prec="d2bd6")
    assert new["precision"] == "w4a8" and new["layers"] == {NAMES[2]: "w8a16"}, "the line that would repeat the base is gone"
    assert label == "base to w4a8"
    Recipe.from_yaml(recipes.write(new))


def test_a_layer_moved_by_hand_and_the_base_in_one_document_are_both_kept() -> None:
    found, memory = bench(with_lines(l2="w8a16")), Memory()
    new, label = after(found, memory, base=3, prec="dad7")
    assert new["precision"] == "w4a8" and new["layers"] == {NAMES[1]: "fp16"}
    assert label == "base to w4a8; 2 layers: 1 to fp16, 1 to w4a8"


def test_an_edit_made_elsewhere_meanwhile_is_not_overwritten_by_the_master() -> None:
    found, memory = bench(), Memory()
    asked = rack_edits.take(memory, document(found, memory, base=3, prec="d9"), 9)
    assert asked is not None and asked.base == "w4a8" and asked.precisions == {}
    elsewhere = recipes.read(with_lines(l4="w8a16"))
    new, _ = rack_edits.edited(elsewhere, asked, found.layers)
    assert new["layers"] == {NAMES[4]: "w8a16"} and new["precision"] == "w4a8"


def test_a_document_without_a_base_or_with_nonsense_leaves_it() -> None:
    for said in ({}, {"base": 77}, {"base": -1}):
        found, memory = bench(), Memory()
        asked = rack_edits.take(memory, document(found, memory, **said), 9)
        assert asked is not None and asked.base == ""


def test_lines_with_options_patterns_and_lines_against_a_pattern_stay() -> None:
    doc = recipes.read(f"""{BASE}layers:
  "op:{LAYERS[0]['op_type']}": w8a16
  {NAMES[1]}: w4a8
  {NAMES[3]}: {{precision: w4a8, weights: {{granularity: per_tensor}}}}
""")
    new = master.to_new_base(doc, "w4a8", LAYERS)
    asked = {x["name"]: r.precision for x, r in zip(LAYERS, recipes.requests(new, LAYERS), strict=True)}
    assert asked[NAMES[1]] == "w4a8", "without its line the pattern would move it"
    assert new["layers"][NAMES[3]]["weights"] == {"granularity": "per_tensor"}
    assert doc["precision"] == "w8a8", "the recipe given is left as it was"


def test_the_rack_is_told_which_layers_stand_at_the_base_by_a_line_of_their_own() -> None:
    found = bench(with_lines(l2="w8a8", l5="w4a8"))
    assert rack.live(found, Memory(), [0], 0)["stay"] == "2"


def test_the_base_of_the_table_does_what_the_master_does() -> None:
    doc = recipes.read(with_lines(l2="w8a16", l5="w4a8"))
    assert table.change_setting(doc, "precision", "w4a8", LAYERS) == (master.to_new_base(doc, "w4a8", LAYERS), "base to w4a8")


def test_until_it_is_resolved_a_prediction_takes_what_the_target_will_make_of_it() -> None:
    known = bench()
    found = bench(BASE.replace("w8a8", "w4a8"), resolved=None, report=None, resolved_before=known.resolved)
    told = precisions(found)
    assert told[NAMES[1]] == "w8a8" and told[NAMES[0]] == "w4a8", "depthwise refuses four bits"
