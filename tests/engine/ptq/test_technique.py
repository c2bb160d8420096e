"""The registry of techniques and the settings of their configs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.errors import BadInput
from engine.ptq import available, registered, setting
from engine.ptq.technique import LayerChange, StepReport, build, check_settings
from engine.recipe.parts import STEP_NAMES, Step


@dataclass(frozen=True)
class Example:
    """A config."""

    share: float = setting(0.5, "Share of the range, 0 to 1.", 0.0, 1.0)
    rounds: int = setting(3, "How often; more is slower.", 1)
    solver: str = setting("gptq", "Which.", choices=("gptq", "nearest"))
    bias: bool = setting(True, "Whether the bias is corrected.")

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"share": 1.5}, "expected at least 0 and at most 1"),
        ({"share": float("nan")}, "expected a number like 0.5"),
        ({"share": "much"}, "expected a value like 0.5"),
        ({"rounds": 0}, "expected at least 1"),
        ({"rounds": 1.5}, "whole number"),
        ({"rounds": True}, "expected a value like 3"),
        ({"solver": "luck"}, "expected one of gptq, nearest"),
        ({"bias": 1}, "expected a value like True"),
    ],
)
def test_settings_hold_their_bounds(given: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Example(**given)  # type: ignore[arg-type]
    assert Example(share=1, rounds=7).rounds == 7


def test_every_technique_has_a_known_name_and_documented_settings() -> None:
    from dataclasses import fields, is_dataclass

    assert available()
    for name, config in available().items():
        assert name in STEP_NAMES and registered(name).looks_at in ("graph", "data", "precision", "training")
        assert is_dataclass(config) and config() is not None and config.__doc__
        for one in fields(config):
            assert one.metadata.get("doc", "").endswith("."), f"{name}.{one.name} has no doc line"


def test_a_step_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(BadInput, match=r"there is no step 'gpqt' in this version. .*gptq"):
        build(Step("gpqt"))
    with pytest.raises(BadInput, match="fold_batch_norm"):
        build(Step("fold_bath_norm"))
    with pytest.raises(BadInput, match="has no option 'eps'"):
        build(Step("fold_batch_norm", {"eps": 1}))


def test_a_report_is_plain_values() -> None:
    found = StepReport("cle", ("a",), layers=(LayerChange("conv", 3.0, 12.0),), equivalent=True).to_json()
    assert found["layers"] == [{"layer": "conv", "before": 3.0, "after": 12.0, "unit": "dB", "note": ""}]
    assert found["equivalent"] is True
