"""What the cards say of quantization, measured again: W8A8 is free, a lower precision is not, a mixture wins it back."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.data import load_data
from engine.graph import load_model
from engine.quant.precision import Precision
from engine.recipe import Recipe, load_recipe
from engine.session import Session

CASES = {"fashion_mobilenet": ("mixed.yaml", "htp_v73"), "fashion_vit": ("mixed.yaml", "generic")}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_sample_is_interesting(name: str) -> None:
    folder = Path(__file__).parents[2] / "sample_models" / name
    file, target = CASES[name]
    session = Session(load_model(folder / "model.onnx"), load_data(folder / "evaluation.npz"), load_data(folder / "calibration.npz"))
    mixed = load_recipe(folder / file)
    assert mixed.target == target
    low = replace(mixed, layers=())
    higher = [x for x in session.resolve(mixed)["layers"] if x["precision"] != str(low.precision)]
    assert len(higher) <= len(session.model.layers) / 2
    free, lost, won = (drop(session, recipe) for recipe in (replace(Recipe(), precision=Precision.parse("w8a8")), low, mixed))
    assert free["ci95"][0] <= 0.0 <= free["ci95"][1]
    assert lost["value"] >= 0.02
    assert lost["ci95"][0] > 0.0
    assert won["value"] <= 0.2 * lost["value"], "at least 80 % of the loss is won back"


def drop(session: Session, recipe: Recipe) -> dict[str, Any]:
    """The paired drop of a recipe."""
    found: dict[str, Any] = session.measure(recipe)["drop"]
    return found
