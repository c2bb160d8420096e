"""A change merged into a recipe: a step goes where it belongs, whatever was clicked first."""

from __future__ import annotations

import pytest

from engine.recipe.merge import merged, with_steps
from engine.recipe.parts import STEP_NAMES, STEP_ORDER


@pytest.mark.parametrize(
    ("before", "more", "after"),
    [
        (None, ["cle"], ["fold_batch_norm", "cle"]),
        ([], ["cle"], ["cle"]),
        (["fold_batch_norm", "gptq"], ["cle"], ["fold_batch_norm", "cle", "gptq"]),
        (["fold_batch_norm", {"gptq": {"samples": 64}}], ["gptq"], ["fold_batch_norm", {"gptq": {"samples": 64}}]),
        (["fold_batch_norm", "adaround"], [{"smooth_quant": {"alpha": 0.6}}, "bias_correction"],
         ["fold_batch_norm", {"smooth_quant": {"alpha": 0.6}}, "adaround", "bias_correction"]),
        (["gptq"], ["fold_batch_norm"], ["fold_batch_norm", "gptq"]),
    ],
)
def test_steps_go_where_they_belong(before: list[object] | None, more: list[object], after: list[object]) -> None:
    assert with_steps(before, more) == after
    recipe = {} if before is None else {"steps": before}
    assert merged(recipe, {"steps": more})["steps"] == after


def test_every_step_has_a_place() -> None:
    assert sorted(STEP_ORDER) == sorted(STEP_NAMES)
