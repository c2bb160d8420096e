"""What a move brings with it equals the difference of the two resolutions, and says who follows, why, and what strict refuses."""
from __future__ import annotations

import pytest

from engine.errors import BadInput, IllegalPrecision
from engine.foreseeing import Foreseeing
from engine.graph import Model
from engine.recipe import Recipe
from engine.room import Room
from engine.session import Session
from engine.sim.quantsim import QuantSim
from engine.targets import load_target, resolve, target_names
from engine.targets.cost import cost_of
from tests.engine.targets.graphs import build

MOVES = ("fp16", "w8a16", "w8a8", "w4a8")


def forked() -> Model:
    """Two layers that read one tensor, their join, and a third with the weight of the first."""
    return build(["c0 = Conv(x, w0) -> t", "left = Conv(t, w1) -> l", "right = Conv(t, w2) -> r", "cat = Concat(l, r) -> j",
                  "thin = Conv(j, w3) -> s", "last = Conv(s, w1) -> y"], {"x": (1, 4, 4, 4)}, ["y"],
                 {"w0": (4, 4, 1, 1), "w1": (4, 4, 1, 1), "w2": (4, 4, 1, 1), "w3": (4, 8, 1, 1)}, attributes={"cat": {"axis": 1}})


def test_a_neighbour_follows_through_the_tensor_and_its_weight_is_raised() -> None:
    found = Session(forked()).ahead(Recipe(layers={"right": "w4a8"}), {"left": "w8a16"})  # type: ignore[arg-type]
    rows = {row["name"]: row for row in found["layers"]}
    assert {n: (r["from"], r["to"], r["follows"]) for n, r in rows.items()} == {
        "left": ("w8a8", "w8a16", False), "right": ("w4a8", "w8a16", True)}
    assert rows["right"]["index"] == 2 and "int16" in rows["right"]["reason"] and rows["right"]["legal"]
    assert found["tensors"][0]["name"] == "t" and (found["tensors"][0]["from"], found["tensors"][0]["to"]) == ("int8", "int16")
    boundaries = found["boundaries"]
    assert len(boundaries["added"]) - len(boundaries["removed"]) == boundaries["after"] - boundaries["before"] > 0
    assert found["cost"]["size_bytes"]["after"] - found["cost"]["size_bytes"]["before"] == 8, "16 values from four bits to eight"
    assert "right asks for w4a8 but gets w4a16" in found["refused"]


def refusal(model: Model, recipe: Recipe, target: str) -> str:
    """What `strict` raises, in words; empty where it raises nothing."""
    try:
        resolve(model, recipe, load_target(target), strict=True)
    except IllegalPrecision as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", target_names())
def test_every_move_of_one_layer_is_the_difference_of_two_resolutions(name: str) -> None:
    model, target = forked(), load_target(name)
    session, recipe = Session(model), Recipe(target=name, steps=())
    before = resolve(model, recipe, target)
    for layer in model.layers:
        for to in MOVES:
            moved = recipe.with_layer(layer.name, to)
            after, found = resolve(model, moved, target), session.ahead(recipe, {layer.name: to})
            want = {b.name: str(b.precision) for a, b in zip(before.layers, after.layers, strict=True) if a != b and (
                a.precision != b.precision or a.requested != b.requested or a.legal != b.legal)}
            assert {row["name"]: row["to"] for row in found["layers"]} == want
            assert found["boundaries"]["after"] == len(after.boundaries)
            assert found["cost"]["bops"] == {"before": cost_of(model, before).bops, "after": cost_of(model, after).bops}
            assert found["refused"] == refusal(model, moved, name)


def test_a_strict_session_tells_what_it_would_refuse_instead_of_raising() -> None:
    found = Session(forked(), strict=True).ahead(Recipe(), {"left": "w8a16", "right": "w4a8"})
    assert "right asks for w4a8" in found["refused"] and {r["to"] for r in found["layers"]} == {"w8a16"}


def test_the_base_float_and_back_to_the_base_are_moves_too() -> None:
    session, recipe = Session(forked()), Recipe(layers={"thin": "w8a16"})  # type: ignore[arg-type]
    down = session.ahead(recipe, {"base": "w4a8"})
    assert "thin" not in {r["name"] for r in down["layers"]} and len(down["layers"]) == 4
    muted = session.ahead(recipe, {"c0": "float"})
    assert [(r["name"], r["to"]) for r in muted["layers"]] == [("c0", "fp32")]
    back = session.ahead(recipe, {"thin": "base"})
    assert ("thin", "w8a8", False) in {(r["name"], r["to"], r["follows"]) for r in back["layers"]}
    with pytest.raises(BadInput, match=r"no layer 'lef' to move.*left"):
        session.ahead(recipe, {"lef": "w8a8"})


def test_the_rules_are_made_once_for_all_recipes_that_differ_in_moves_alone() -> None:
    room, keeps = Room(QuantSim(forked(), Recipe()), "key", None), Foreseeing()
    first = keeps.of(room, Recipe())
    for moved in (Recipe(layers={"left": "w8a16"}), Recipe(precision="w4a8"), Recipe(bypass=("thin",))):  # type: ignore[arg-type]
        assert keeps.of(room, moved) is first
    for other in (Recipe(layers={"op:Concat": "w8a16"}), Recipe(tensors={"t": {"type": "a16"}}), Recipe(layers={"left": "w3a8"}),  # type: ignore[arg-type]
                  Recipe(target="generic"), Recipe(layers={"left": {"precision": "w8a8", "weights": {"granularity": "per_tensor"}}})):  # type: ignore[arg-type]
        found = keeps.of(room, other)
        assert found is not first and found["name"] != first["name"]
    assert not found["sized"], "a line for one layer sets the grid of its weight"
