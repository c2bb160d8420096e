"""Budgets solved exactly by scores alone: within the limits, no worse than the frontier, and what it writes resolves to what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data import load_data
from engine.errors import BadInput
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session

CANDIDATES = ["w8a16", "w8a8", "w4a8"]
FEW: dict[str, Any] = {"score_samples": 16}


@pytest.fixture(scope="module")
def session(sample: Path) -> Session:
    evaluation = load_data(sample / "evaluation.npz").take(range(64))
    return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"))


@pytest.mark.parametrize("limits", [{"max_size": 0.33}, {"max_bops": 0.045}, {"max_size": 0.34, "max_bops": 0.05, "average_bits": 6.0}])
def test_it_keeps_to_the_limits_and_beats_the_frontier(session: Session, limits: dict[str, float]) -> None:
    found = session.solve(CANDIDATES, Recipe(), **limits, **FEW)
    told = session.frontier(CANDIDATES, Recipe(), **limits, **FEW)
    fp32 = told["fp32"]
    whole = {"max_size": ("size_bytes", fp32["size_bytes"]), "max_bops": ("bops", fp32["bops"]), "average_bits": ("average_bits", 1)}
    for name, most in limits.items():
        key, unit = whole[name]
        assert found[key] <= most * unit * (1 + 1e-6)
    within = [p["score"] for f in told["frontiers"] for p in [f["start"], *f["moves"]]
              if all(p[whole[n][0]] <= most * whole[n][1] for n, most in limits.items())]
    assert found["score"] <= min(within) + 1e-9 and found["kind"] == "predicted"


def test_what_it_writes_resolves_to_what_it_says(session: Session) -> None:
    found = session.solve(CANDIDATES, Recipe(), max_size=0.33, **FEW)
    resolved = session.resolve(Recipe.parse(found["recipe"]))
    assert {x["name"]: x["precision"] for x in resolved["layers"]} == found["layers"]
    assert (resolved["cost"]["size_bytes"], resolved["cost"]["bops"]) == (found["size_bytes"], found["bops"])


def test_a_drop_is_solved_for_by_its_score_and_the_cheapest_is_found(session: Session) -> None:
    tight, loose = (session.solve(CANDIDATES, Recipe(), max_drop=0.01, max_score=score, **FEW) for score in (0.002, 0.01))
    assert tight["score"] <= 0.002 < loose["score"] <= 0.01 and tight["bops"] > loose["bops"]
    with pytest.raises(BadInput, match="max_score"):
        session.solve(CANDIDATES, Recipe(), max_drop=0.01, **FEW)
    with pytest.raises(BadInput, match="least possible"):
        session.solve(CANDIDATES, Recipe(), max_size=0.01, **FEW)
