"""Edits of a recipe: what a click changes, and nothing else."""
from __future__ import annotations

import pytest

from app import ranges, recipes, table
from engine.errors import BadInput
from engine.recipe import Recipe

LAYERS = [{"name": "a.conv", "module": "a", "op_type": "Conv"}, {"name": "b.conv", "module": "b", "op_type": "Conv"},
          {"name": "head", "module": "", "op_type": "Gemm"}]


def doc(text: str = "") -> recipes.Doc:
    return recipes.read(recipes.START + text)


def test_precedence_is_that_of_the_format() -> None:
    found = recipes.requests(doc('layers: {"op:Gemm": w8a16, "*.conv": w4a8, b: w8a16, a.conv: fp16}\nbypass: [head]\n'), LAYERS)
    assert [(r.precision, r.own, r.bypassed) for r in found] == [("fp16", True, False), ("w8a16", True, False), ("w8a16", True, True)]


def test_setting_layers_ends_their_bypass_and_keeps_weight_options() -> None:
    start = doc("layers: {head: {precision: w8a8, weights: {granularity: per_tensor}}}\nbypass: ['*.conv']\n")
    new = recipes.edit_layers(start, ["a.conv", "head"], "w4a8", LAYERS)
    assert new["layers"] == {"head": {"precision": "w4a8", "weights": {"granularity": "per_tensor"}}, "a.conv": "w4a8"}
    assert new["bypass"] == ["b.conv"]
    assert start["bypass"] == ["*.conv"], "the recipe that was given is not changed"


def test_back_to_base_says_the_base_only_where_a_pattern_still_meets_the_layer() -> None:
    start = doc("layers: {'*.conv': w4a8, a.conv: fp16, head: fp16}\n")
    new = recipes.edit_layers(start, ["a.conv", "head"], "base", LAYERS)
    assert new["layers"] == {"*.conv": "w4a8", "a.conv": "w8a8"}
    assert [r.precision for r in recipes.requests(new, LAYERS)] == ["w8a8", "w4a8", "w8a8"]


def test_what_is_written_is_read_by_the_engine_as_an_equal_recipe() -> None:
    new = recipes.edit_layers(doc(), ["a.conv"], "w4a8", LAYERS)
    new = recipes.edit_layers(new, ["head"], "bypass", LAYERS)
    new, label = table.change_setting(new, "granularity", "block:64")
    recipe = Recipe.from_yaml(recipes.write(new))
    assert str(recipe.layer("a.conv").precision) == "w4a8" and recipe.bypass == ("head",)  # type: ignore[union-attr]
    assert label == "weights blocks of 64"
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize(("key", "value", "expected"), [
    ("precision", "w4a8", {"precision": "w4a8"}), ("bias", "int32", {"bias": "int32"}),
    ("symmetric", "false", {"activations": {"symmetric": False}}),
    ("granularity", "per_tensor", {"weights": {"granularity": "per_tensor"}})])
def test_general_choices(key: str, value: str, expected: dict[str, object]) -> None:
    new, _ = table.change_setting(doc(), key, value)
    assert expected.items() <= new.items()
    assert Recipe.from_yaml(recipes.write(new))


def test_a_choice_that_goes_back_leaves_nothing_behind() -> None:
    new, _ = table.change_setting(doc("weights: {granularity: per_tensor}\n"), "granularity", "")
    assert "weights" not in new


def test_overrides_of_a_tensor() -> None:
    new = ranges.with_override(doc("tensors: {t1: a16}\n"), "t1", -1.0, 2.0, "mse")
    assert new["tensors"] == {"t1": {"type": "a16", "min": -1.0, "max": 2.0, "method": "mse"}}
    assert Recipe.from_yaml(recipes.write(new))
    assert "tensors" not in ranges.without_override(new, "t1")
    assert ranges.with_override(doc(), "t1", None, None, "").get("tensors") is None


def test_calibration_choices_write_only_what_differs() -> None:
    assert ranges.with_choices(doc(), "min_max", "min_max", 256) == doc()
    new = ranges.with_choices(doc(), "mse", "percentile", 64)
    assert new["calibration"] == {"weights": "mse", "activations": "percentile", "samples": 64}
    assert Recipe.from_yaml(recipes.write(new)).calibration.samples == 64


def test_history_lines() -> None:
    assert recipes.said(["x"], "w4a8") == "x to w4a8"
    assert recipes.said(["x", "y"], "base") == "2 layers: back to base"
    assert recipes.said(["x"], "bypass") == "x: kept in float"


def test_a_recipe_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(BadInput, match="expected"):
        recipes.read("- a\n- b\n")
