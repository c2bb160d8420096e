"""Results while a sweep runs: coarse to fine, stopped by a time budget, and gone on with."""
from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest

from engine.analysis.sensitivity.kinds import Question
from engine.cli import main
from engine.data import load_data
from engine.graph import load_model
from engine.quant.precision import Precision
from engine.session import Session

W2A8 = Precision.parse("w2a8")


def test_partial_answers_are_whole_tables_of_more_and_more_samples(mobilenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.analysis.sensitivity.answer.TELL_SECONDS", 0.0)
    monkeypatch.setattr("engine.analysis.sensitivity.answer.TELL_SHARE", 0.0)
    session = Session(load_model(mobilenet / "model.onnx"), calibration=load_data(mobilenet / "calibration.npz"))
    for mode in ("one-on", "cumulative"):
        seen: list[dict[str, object]] = []
        whole = session.sensitivity(Question((W2A8,), mode, samples=96), partial=seen.append)  # type: ignore[arg-type]
        main = whole["score"]
        counts = [sorted(r["samples"] for r in s["scores"] if r["metric"] == main) for s in seen]  # type: ignore[attr-defined]
        rows = sum(r["metric"] == main for r in whole["scores"])
        first = next(c for c in counts if len(c) == rows)
        assert first[0] <= 96 / 4, f"{mode}: all items are there early"
        assert all(a[-1] <= b[-1] for a, b in pairwise(counts)), mode
        assert len(counts[0]) < rows or mode == "cumulative", f"{mode}: they come item by item"
        assert counts[-1][-1] == 96


def test_a_time_budget_stops_with_a_whole_table_and_resume_goes_on(mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    """More than a budget of four seconds allows: the answer says where it stopped, and the next one starts from there."""
    monkeypatch.setenv("MIXDOWN_HOME", str(tmp_path / "home"))
    files = [str(mobilenet / "model.onnx"), "--calibration", str(mobilenet / "calibration.npz"), "--json", str(tmp_path / "s.json")]
    question = ["--precisions", "w8a8,w4a8,w3a8,w2a8", "--items", "ops", "--samples", "2048"]
    begin = time.monotonic()
    assert main(["sensitivity", *files, *question, "-q", "--resume", "--time-budget", "4"]) == 0
    spent = time.monotonic() - begin
    first = json.loads((tmp_path / "s.json").read_text())
    assert "--resume goes on from here" in capsys.readouterr().out
    assert 0 < first["samples"] < 2048 and spent < 60
    cells = {(r["layer"], r["precision"]) for r in first["scores"] if r["metric"] == "kl"}
    assert len(cells) == len(first["members"]) * 4, "every cell has some samples"
    assert main(["sensitivity", *files, *question, "-q", "--resume", "--time-budget", "4"]) == 0
    second = json.loads((tmp_path / "s.json").read_text())
    assert second["samples"] > first["samples"]


def test_the_same_cumulative_question_twice_costs_nothing(mobilenet: Path, tmp_path: Path) -> None:
    session = Session(load_model(mobilenet / "model.onnx"), calibration=load_data(mobilenet / "calibration.npz"), cache=tmp_path)
    first = session.sensitivity(Question((W2A8,), "cumulative", samples=24))
    again = session.sensitivity(Question((W2A8,), "cumulative", samples=24))
    assert first["cached_cells"] == 0 and again["cached_cells"] == len(first["members"])
    assert again["scores"] == first["scores"]
    other = session.sensitivity(Question((Precision.parse("w3a8"),), "cumulative", samples=24))
    assert other["cached_cells"] == 0 and other["scores"] != first["scores"]
