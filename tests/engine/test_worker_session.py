"""The worker with the real session: edits during a sweep, a diagnosis and a calibration, superseding and cancel."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.analysis.sensitivity.kinds import Question
from engine.data import load_data
from engine.graph import load_model
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session
from engine.store import Store
from engine.worker import SESSION
from tests.engine.test_worker import Pipe, job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
BASE = Recipe().to_yaml()
SWEEP = {"recipe": BASE, "precisions": ["w8a8", "w4a8"], "samples": 384}
SOON = 2.0  # seconds; 0.1 on a quiet machine


@pytest.fixture
def pipe(tmp_path: Path, mobilenet: Path) -> Iterator[Pipe]:
    store = Store(tmp_path)
    project = store.projects.create("p", mobilenet / "model.onnx", evaluation=mobilenet / "evaluation.npz",
                                    calibration=mobilenet / "calibration.npz")
    store.history.start(project.id, BASE, "Start")
    store.close()
    made = Pipe(tmp_path, project.id, SESSION)
    made.next()
    made.send(job(1, "measure", BASE))
    made.until("result", 1)
    yield made
    made.end()


@pytest.fixture
def session(mobilenet: Path) -> Session:
    return Session(load_model(mobilenet / "model.onnx"), load_data(mobilenet / "evaluation.npz"), load_data(mobilenet / "calibration.npz"))


def edited(index: int, precision: str = "w4a8") -> str:
    names = ("features.0.conv", "features.2.expand.conv", "features.4.expand.conv", "classifier")
    return Recipe().with_layer(names[index], precision).to_yaml()


def headline(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("quantized", "drop", "sqnr_db", "samples")}


def test_edits_during_a_sweep_are_measured_at_once_and_the_sweep_ends_as_if_alone(pipe: Pipe, session: Session) -> None:
    pipe.send({"id": 2, "verb": "sensitivity", "args": SWEEP})
    pipe.until("progress", 2)
    reports = []
    for i in range(4):
        begun = time.monotonic()
        pipe.send(job(10 + i, "resolve", edited(i)), job(20 + i, "measure", edited(i)), job(30 + i, "layer", edited(i), name="classifier"))
        events = pipe.until("partial", 20 + i)
        assert time.monotonic() - begun < SOON, "the first value"
        events += pipe.until("result", 20 + i)
        assert time.monotonic() - begun < 4 * SOON
        assert {e["id"] for e in events if e["event"] == "result"} >= {10 + i, 30 + i}
        assert 2 not in {e["id"] for e in events if e["event"] == "result"}, "the sweep is still running"
        reports.append(events[-1]["value"])
    sweep = pipe.until("result", 2)[-1]["value"]
    for i, report in enumerate(reports):
        assert headline(report) == headline(session.measure(Recipe.from_yaml(edited(i))))
    alone = session.sensitivity(Question(tuple(Precision.parse(p) for p in ("w8a8", "w4a8")), samples=384), Recipe())
    assert sweep["scores"] == alone["scores"]
    assert sweep["rankings"] == alone["rankings"]


def test_budgets_are_solved_during_a_search_as_if_alone(pipe: Pipe, session: Session) -> None:
    """The search's own scores serve; while they are being taken, a solve over the same ones waits for them."""
    asked: dict[str, Any] = {"recipe": BASE, "precisions": ["w8a16", "w8a8", "w4a8"], "score_samples": 16}
    search = {**asked, "max_drop": 0.02, "samples": 64, "points": 2, "rounds": 2}
    pipe.send({"id": 2, "verb": "search", "args": search})
    events = pipe.until("progress", 2)
    solved = []
    for i, size in enumerate((0.4, 0.36, 0.33)):
        pipe.send({"id": 10 + i, "verb": "solve", "args": asked | {"max_size": size}})
        events += pipe.until("result", 10 + i)
        solved.append(events[-1]["value"])
    found = pipe.until("result", 2)[-1]["value"] if not any(e["event"] == "result" and e["id"] == 2 for e in events) else next(
        e["value"] for e in events if e["event"] == "result" and e["id"] == 2)
    alone = [session.solve(asked["precisions"], Recipe(), score_samples=16, max_size=size) for size in (0.4, 0.36, 0.33)]
    assert [s["layers"] for s in solved] == [s["layers"] for s in alone]
    given = {k: v for k, v in search.items() if k not in ("recipe", "precisions")}
    again = session.search_report(asked["precisions"], Recipe(), **given)
    assert [(p["kl"], p["size_bytes"]) for p in found["tried"]] == [(p["kl"], p["size_bytes"]) for p in again["tried"]]


def test_during_a_diagnosis_and_a_calibration_too(pipe: Pipe, session: Session) -> None:
    longer = Recipe().set("calibration.samples", 500).to_yaml()
    pipe.send(job(2, "diagnose", BASE), job(3, "calibrate", longer))
    pipe.until("progress", 2)
    pipe.send(job(4, "measure", edited(1)))
    measured = [pipe.until("result", 4)[-1]["value"]]
    diagnosed = pipe.until("result", 2)[-1]["value"]
    pipe.until("progress", 3)
    pipe.send(job(5, "measure", edited(2)), job(6, "measure", longer))  # the first is superseded, the second needs the calibration
    events = pipe.until("result", 6)
    assert [e["id"] for e in events if e["event"] in ("result", "error")] == [5, 3, 6]
    measured.append(events[-1]["value"])
    for report, recipe in zip(measured, (edited(1), longer), strict=True):
        assert headline(report) == headline(session.measure(Recipe.from_yaml(recipe)))
    assert diagnosed == session.diagnose(Recipe())


def test_a_newer_move_aborts_between_batches(pipe: Pipe) -> None:
    pipe.send({"id": 2, "verb": "sensitivity", "args": SWEEP})
    pipe.until("progress", 2)
    waits = []
    for i in range(8):
        pipe.send(job(10 + i, "measure", edited(0, "w8a16" if i % 2 else "w4a8")))
        if i:
            begun = time.monotonic()
            assert pipe.until("error", 9 + i)[-1]["message"].startswith("superseded")
            waits.append(time.monotonic() - begun)
        pipe.until("progress", 10 + i)
    assert sorted(waits)[4] < 0.3
    pipe.until("result", 17)
    pipe.until("result", 2)


@pytest.mark.parametrize("which", ["sweep", "measurement"])
def test_cancel_of_either(pipe: Pipe, which: str) -> None:
    pipe.send({"id": 2, "verb": "sensitivity", "args": SWEEP})
    pipe.until("progress", 2)
    pipe.send(job(3, "measure", edited(0)))
    pipe.until("partial", 3)
    stopped, other = (2, 3) if which == "sweep" else (3, 2)
    begun = time.monotonic()
    pipe.send({"cancel": stopped})
    assert pipe.until("error", stopped)[-1]["kind"] == "Cancelled" and time.monotonic() - begun < 1
    pipe.until("result", other)
    pipe.send(job(4, "measure", BASE))
    pipe.until("result", 4)


def test_an_edit_during_a_repair_is_measured_at_once_and_the_waterfall_ends_as_if_alone(pipe: Pipe, session: Session) -> None:
    steps = Recipe.parse({"mixdown": 1, "precision": "w4a8", "steps": ["fold_batch_norm", {"adaround": {"iterations": 120}}]})
    pipe.send(job(2, "repair", steps.to_yaml()))
    while "AdaRound" not in str(pipe.until("progress", 2)[-1].get("message")):
        pass
    pipe.send(job(3, "measure", edited(0)), job(4, "resolve", steps.to_yaml()))
    events = pipe.until("result", 3)
    assert 2 not in {e["id"] for e in events if e["event"] == "result"}, "the repair is still running"
    assert any(e["id"] == 4 and e["event"] == "result" for e in events), "what follows from the recipe alone waits for no rounding"
    assert headline(events[-1]["value"]) == headline(session.measure(Recipe.from_yaml(edited(0))))
    found = pipe.until("result", 2)
    partials = [e["value"] for e in found if e["event"] == "partial"]
    rows, alone = found[-1]["value"]["rows"], session.repair(steps)["rows"]
    assert [headline(r | {"samples": 0}) for r in rows] == [headline(r | {"samples": 0}) for r in alone]
    assert rows[-1]["change"] == alone[-1]["change"]
    assert any(p["running"] and (p["running"]["live"] or {}).get("loss") is not None for p in partials) or not partials


def test_a_search_lets_moves_pass_and_stops_when_told(pipe: Pipe) -> None:
    args = {"recipe": BASE, "precisions": ["w8a16", "w8a8", "w4a8"], "max_drop": 0.02, "points": 3, "rounds": 4, "score_samples": 32}
    pipe.send({"id": 2, "verb": "search", "args": args})
    pipe.until("progress", 2)
    pipe.send(job(3, "measure", edited(1)))
    assert pipe.until("result", 3)[-1]["value"]["samples"] == 2000
    whole = pipe.until("result", 2)[-1]["value"]
    assert whole["pareto"]
    assert whole["promise"]["samples"] == 1000
    pipe.send({"id": 4, "verb": "search", "args": args | {"max_drop": 0.01}})
    pipe.until("progress", 4)
    pipe.send({"cancel": 4})
    assert pipe.until("error", 4)[-1]["kind"] == "Cancelled"
    pipe.send({"id": 5, "verb": "search", "args": args | {"judge": 3}})
    assert "judge" in pipe.until("error", 5)[-1]["message"]
    pipe.send({"id": 6, "verb": "frontier", "args": args | {"latency": "op_type,precision\n"}})
    assert "microseconds" in pipe.until("error", 6)[-1]["message"]
