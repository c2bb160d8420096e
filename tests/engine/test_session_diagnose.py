"""The session's causes: of the layers that were asked for, with changes that a recipe takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.analysis.diagnosis import apply_change
from engine.data import load_data
from engine.errors import BadInput
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session
from engine.worker import VERBS


@pytest.fixture(scope="module")
def session(sample: Path) -> Session:
    evaluation = load_data(sample / "evaluation.npz").take(range(300))
    return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"))


def test_causes_of_one_layer_with_remedies_that_are_recipes(session: Session) -> None:
    name = session.model.layers[0].name
    recipe = Recipe(precision="w4a8")  # type: ignore[arg-type]
    found = session.diagnose(recipe, [name])
    assert found["layers"] == [name] and found["diagnoses"], "four bits without a cause would be a wonder"
    assert {d["layer"] for d in found["diagnoses"]} == {name}
    severities = [d["severity"] for d in found["diagnoses"]]
    assert severities == sorted(severities, reverse=True)
    for remedy in (r for d in found["diagnoses"] for r in d["remedies"]):
        session.resolve(apply_change(recipe, remedy["change"]))
    json.dumps(found, allow_nan=False)


def test_the_worker_passes_names_and_refuses_others(session: Session) -> None:
    args = {"recipe": Recipe().to_yaml(), "layers": [session.model.layers[-1].name]}
    found = VERBS["diagnose"](session, args, lambda fraction, message: None)  # type: ignore[arg-type]
    assert found["layers"] == args["layers"]
    with pytest.raises(BadInput, match="expected a list of names"):
        VERBS["diagnose"](session, args | {"layers": "classifier"}, None)  # type: ignore[arg-type]
    with pytest.raises(BadInput):
        session.diagnose(Recipe(), ["no such layer"])


def test_without_data_it_says_what_is_missing(session: Session) -> None:
    with pytest.raises(BadInput, match="calibration data"):
        Session(session.model).diagnose(Recipe())
