"""The techniques as plain data: every one has words, and every field can be shown as a form and is checked by its config."""
from __future__ import annotations

import json
from dataclasses import fields

import pytest

import engine.session  # noqa: F401  (steps that are no post-training techniques are registered above this room)
from engine.errors import BadInput
from engine.ptq import available
from engine.ptq.describe import ABOUT, LADDER, describe
from engine.ptq.technique import build
from engine.recipe.parts import STEP_NAMES, Step

STEPS = describe()["steps"]


def test_every_technique_is_told_once_and_in_words() -> None:
    assert [s["name"] for s in STEPS] == [n for n in ABOUT if n in available()]
    assert set(available()) - {LADDER} == {s["name"] for s in STEPS}
    assert set(ABOUT) <= set(STEP_NAMES)
    for step in STEPS:
        assert step["sentence"].endswith(".") and step["promise"] and step["source"]
    assert json.loads(json.dumps(describe())) == describe(), "plain values only"


@pytest.mark.parametrize("step", STEPS, ids=[s["name"] for s in STEPS])
def test_fields_are_those_of_the_config_and_their_bounds_are_its_bounds(step: dict) -> None:
    config = available()[step["name"]]
    assert [f["name"] for f in step["fields"]] == [f.name for f in fields(config)]
    for field in step["fields"]:
        assert field["doc"], f"{step['name']}.{field['name']} has no doc line"
        build(Step(step["name"], {field["name"]: field["default"]}))
        for bad in _outside(field):
            with pytest.raises(BadInput):
                build(Step(step["name"], {field["name"]: bad}))


def _outside(field: dict) -> list:
    if field["choices"] is not None:
        return ["no such choice"]
    low, high = field["minimum"], field["maximum"]
    return [low - 1 for _ in [0] if low is not None] + [high + 1 for _ in [0] if high is not None]
