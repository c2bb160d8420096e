"""The task metric and a user's function as scores of a sweep."""
from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.sensitivity.scorer import DROP, metric_key, metric_kind, scorer
from engine.cli import main
from engine.data import Dataset, load_data
from engine.data.metrics import METRICS, Metric, resolve_metric
from engine.errors import BadInput
from engine.graph import load_model
from engine.session import Session

MARGIN = "import numpy as np\ndef margin(outputs, labels):\n    return outputs[np.arange(len(labels)), labels] - outputs.mean(1)\n"
LABELS = np.asarray([0, 2, 1, 1])
DATA = Dataset("d", {"x": np.zeros((4, 1), np.float32)}, LABELS)
FLOAT, FOUND = np.eye(3)[LABELS] * 4.0, np.eye(3)[[0, 1, 1, 0]] * 4.0


def user(function: object) -> Metric:
    return Metric("mine:function", function, "labels", False, builtin=False)  # type: ignore[arg-type]


def right(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (outputs.argmax(1) == labels).astype(float)


@pytest.mark.parametrize("metric", [METRICS["top1"], user(right), user(lambda o, y: right(o, y).mean())])
def test_a_drop_is_float_minus_quantized_per_sample_for_scores_and_for_single_numbers(metric: Metric) -> None:
    score = scorer(metric, DATA)
    assert score(FLOAT, FOUND, np.arange(4))[DROP].tolist() == [0, 1, 0, 1]
    twice = score(np.tile(FLOAT[2:], (2, 1)), np.concatenate([FOUND[2:], FLOAT[2:]]), np.asarray([2, 3, 2, 3]))
    assert twice[DROP].tolist() == [0, 1, 0, 0], "two cells scored together"


def test_a_drop_states_unit_and_direction() -> None:
    kind, note = metric_kind(user(right), DATA, 1)
    assert note is None and kind is not None
    assert (kind.unit, kind.higher_is_better) == ("mine:function, float minus quantized", False)
    assert "positive is a loss" in kind.doc and "each sample by itself" in kind.doc


def test_why_a_metric_is_no_score_is_said() -> None:
    assert metric_kind(METRICS["agreement"], DATA, 1) == (None, None), "it is one of the scores already"
    kind, note = metric_kind(user(right), Dataset("d", DATA.inputs), 1)
    assert kind is None and "no labels" in str(note)
    kind, note = metric_kind(user(right), DATA, 2)
    assert kind is None and "first output" in str(note)


def test_a_picture_without_labels_says_nothing_and_an_error_of_the_user_is_told() -> None:
    labels = np.asarray([[[0, 1]], [[-1, -1]]])
    data = Dataset("d", {"x": np.zeros((2, 1), np.float32)}, labels)
    maps = np.zeros((2, 2, 1, 2))
    maps[:, 1, 0, 1] = 1.0
    drops = scorer(METRICS["miou"], data)(maps, np.zeros_like(maps), np.arange(2))[DROP]
    assert drops[0] > 0 and np.isnan(drops[1])
    with pytest.raises(BadInput, match="mine:function raised"):
        scorer(user(lambda o, y: 1 / 0), DATA)(FLOAT, FOUND, np.arange(4))


def test_scores_of_a_function_are_kept_by_what_stands_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    keys = []
    for text in (MARGIN, MARGIN.replace("mean", "max"), MARGIN):
        (tmp_path / "user_margin_kept.py").write_text(text)
        importlib.invalidate_caches()
        keys.append(metric_key(resolve_metric("user_margin_kept:margin", DATA, allow_code=True)))
    assert keys[0] == keys[2] != keys[1]
    assert metric_key(METRICS["top1"]) == "top1"


def test_only_the_command_line_runs_a_function(mobilenet: Path) -> None:
    with pytest.raises(BadInput, match="only from the command line"):
        Session(load_model(mobilenet / "model.onnx"), load_data(mobilenet / "evaluation.npz").take(range(8)), metric="os:getcwd")


def test_a_function_on_the_command_line(mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """Its drop is in the table and in the file, with its interval, and is what the function gives on the float model's outputs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "user_margin.py").write_text(MARGIN)
    files = [str(mobilenet / "model.onnx"), "--calibration", str(mobilenet / "calibration.npz")]
    command = ["sensitivity", *files, "--precisions", "w2a8", "--samples", "32", "--json", str(tmp_path / "s.json"), "-q"]
    assert main([*command, "--metric", "user_margin:margin"]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    shown = capsys.readouterr().out
    assert "user_margin:margin, float minus quantized" in shown and "positive is a loss" in shown
    assert found["kinds"][DROP]["unit"] == "user_margin:margin, float minus quantized"
    drops = {r["layer"]: r for r in found["scores"] if r["metric"] == DROP}
    worst = found["rankings"][0]["ranks"][0]["layer"]
    assert drops[worst]["value"] > 0 and drops[worst]["samples"] == 32
    assert drops[worst]["ci95"][0] <= drops[worst]["value"] <= drops[worst]["ci95"][1]
