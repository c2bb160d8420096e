"""What classes won and lost between two reports: the figures are theirs, and chance is judged at its most cautious."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.classes_moved import Moved, mid_p, moved, strip
from engine.analysis.answers import answers_of
from engine.analysis.class_losses import per_class
from engine.analysis.decisions import decide
from engine.analysis.truth import truth_of
from engine.data.paired_tests import mcnemar_mid_p


def reports(seed: int, wrong_here: float, wrong_there: float) -> tuple[dict[str, Any], dict[str, Any], Any, Any, Any]:
    """Two runs of 600 samples of three classes, as their reports tell them, and their answers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(600) % 3
    outputs = [np.eye(3)[labels].astype(np.float32)]
    for share in (0.05, wrong_here, wrong_there):
        answer = np.where(rng.random(600) < share * (labels == 1), (labels + 1) % 3, labels)
        outputs.append(np.eye(3)[answer].astype(np.float32))
    runs = [answers_of((o.argmax(1) == labels).astype(np.float32), decide(o, 1)) for o in outputs[1:]]
    truth = truth_of(labels, ("a", "b", "c"), runs[0])
    told = [{"per_class": [{"name": r["name"], "samples": r["samples"], "quantized": r["right"], "drop": r["drop"]}
                           for r in per_class(runs[0], run, truth)]} for run in runs[1:]]
    return told[0], told[1], runs[1], runs[2], truth


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (5, 5), (12, 3), (0, 6), (1, 0), (40, 22), (300, 260)])
def test_the_test_is_the_engines(lost: int, won: int) -> None:
    assert mid_p(lost, won) == pytest.approx(mcnemar_mid_p(lost, won), rel=1e-9)
    assert mid_p(won, lost) == mid_p(lost, won)


def test_the_clearest_change_comes_first_with_the_figure_of_the_samples_themselves() -> None:
    here, there, right, left, truth = reports(0, 0.02, 0.3)
    found = moved(here, there)
    known = {row["name"]: row for row in per_class(left, right, truth)}
    assert found[0].name == "b" and found[0].told and found[0].change > 0.1
    assert {m.name: m.change for m in found} == pytest.approx({name: -row["drop"]["value"] for name, row in known.items()})


def test_what_is_called_a_change_is_one_whichever_samples_they_were() -> None:
    for seed in range(40):
        here, there, right, left, truth = reports(seed, 0.10, 0.16)
        sure = {row["name"]: mcnemar_mid_p(row["drop"]["flips_lost"], row["drop"]["flips_won"]) for row in per_class(left, right, truth)}
        assert all(sure[m.name] < 0.05 for m in moved(here, there) if m.told)


def test_nothing_is_said_without_classes_or_on_other_samples() -> None:
    here, there, *_ = reports(0, 0.1, 0.1)
    assert moved(here, None) == [] == moved({"per_class": []}, there) and strip([], "A", "B") is None
    for row in there["per_class"]:
        row["samples"] = 7
    assert moved(here, there) == []


def test_the_strip_says_direction_by_a_sign_and_chance_by_its_tone() -> None:
    told = strip([Moved("coat", -0.021, True), Moved("shirt", 0.004, False), Moved("bag", 0.0, False)], "A", "B")
    assert told is not None and told["chips"] == [["coat", "\u25bc 2.1", "hot"], ["shirt", "\u25b2 0.4", ""]]
    assert told["note"] == "1 of 3 beyond chance" and "bag: as before (may be chance)" not in told["title"]
