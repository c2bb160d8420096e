"""Metrics on hand-worked outputs, the default rule, and metrics of the user's own."""
from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import METRICS, Dataset, metric, resolve_metric
from engine.data.builtin_metrics import decibels, kl_divergence
from engine.errors import BadInput

LOGITS = np.array([[1.0, 3.0, 2.0], [5.0, 0.0, 1.0], [0.0, 1.0, 2.0]])


def score(name: str, outputs: Any, target: Any, mask: Any = None) -> Any:
    result = METRICS[name].score(np.asarray(outputs, float), np.asarray(target), mask)
    return result if isinstance(result, float) else [float(v) for v in result]


def test_top1_and_top5() -> None:
    assert score("top1", LOGITS, [1, 0, 0]) == [1, 1, 0]
    wide = np.arange(7.0)[None].repeat(2, 0)
    assert score("top5", wide, [2, 1]) == [1, 0]
    with pytest.raises(BadInput, match="3 classes: expected more than 5; use top1"):
        score("top5", LOGITS, [1, 0, 0])


def test_top1_per_position_leaves_out_padding() -> None:
    outputs = np.eye(3)[[[0, 1, 2, 0], [1, 1, 1, 1]]]
    labels = [[0, 1, 0, -100], [1, 1, 0, 0]]
    assert score("top1", outputs, labels) == pytest.approx([2 / 3, 1 / 2])
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    assert score("top1", outputs, labels, mask) == [1, 1]
    assert score("top1", outputs.transpose(0, 2, 1), labels) == pytest.approx([2 / 3, 1 / 2]), "classes on axis 1"


@pytest.mark.parametrize(("outputs", "labels", "words"), [
    (LOGITS, [0, 1, 3], "a label is 3, the model has 3 classes"),
    (LOGITS, [0, 1, -1], "a label is -1: expected 0 to 2"),
    (LOGITS, [0.5, 1, 0], "labels are float64: expected class numbers"),
    (LOGITS, [[0, 1]], r"outputs of shape \[3, 3\] and labels of shape \[1, 2\]"),
    (LOGITS[:, :1], [0, 1, 0], "one value per sample, which is no class score"),
])
def test_labels_that_do_not_fit(outputs: Any, labels: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        score("top1", outputs, labels)


def test_agreement_compares_with_the_float_model() -> None:
    assert score("agreement", LOGITS, LOGITS + np.array([[0, 0, 5], [0, 0, 0], [0, 0, 0]])) == [0, 1, 1]
    broken = LOGITS.copy()
    broken[1, 2] = np.nan
    assert score("agreement", broken, LOGITS) == [1, 0, 1], "a NaN agrees with nothing"
    with pytest.raises(BadInput, match="expected the same shape"):
        score("agreement", LOGITS, LOGITS[:2])
    with pytest.raises(BadInput, match="use cosine"):
        score("agreement", LOGITS[:, :1], LOGITS[:, :1])


def test_cosine_and_sqnr() -> None:
    assert score("cosine", [[1, 0], [1, 1], [0, 0]], [[1.0, 1], [2, 2], [0, 0]]) == pytest.approx([math.sqrt(0.5), 1, 1])
    assert score("sqnr", [[9.0, 10], [10, 10]], [[10.0, 10], [10, 10]]) == pytest.approx(10 * math.log10(400))
    assert score("sqnr", LOGITS, LOGITS) == 200.0
    assert decibels(0.0, 1.0) == -200.0
    assert decibels(1.0, math.inf) == decibels(1.0, math.nan) == -200.0


def test_kl_divergence_of_logits_and_of_probabilities() -> None:
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    wanted = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert kl_divergence(p, q) == pytest.approx([wanted])
    assert kl_divergence(np.log(p) + 3, np.log(q) - 2) == pytest.approx([wanted])
    assert score("neg_kl", q, p) == pytest.approx([-wanted])
    assert kl_divergence(LOGITS, LOGITS) == pytest.approx([0, 0, 0])


def test_miou_and_neg_mse() -> None:
    labels = np.array([[[0, 0], [1, 1]]])
    found = np.array([[[0, 1], [1, 1]]])
    wanted = (1 / 2 + 2 / 3) / 2
    assert score("miou", found, labels) == pytest.approx(wanted)
    assert score("miou", np.eye(2)[found].transpose(0, 3, 1, 2), labels) == pytest.approx(wanted)
    assert score("neg_mse", [[1.0], [2]], [1.0, 4.0]) == [0, -4]


@dataclass(frozen=True)
class Output:
    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: str = "float32"


def test_the_default_rule() -> None:
    x = np.zeros((2, 3), np.float32)
    labelled, plain = Dataset("l", {"x": x}, np.array([0, 1])), Dataset("p", {"x": x})
    assert resolve_metric(None, labelled).name == "top1"
    assert resolve_metric(None, Dataset("r", {"x": x}, np.array([0.5, 1.5]))).name == "neg_mse"
    for output, wanted in [(Output("output", ("b", 10)), "agreement"), (Output("logits", ("b", "s", 9)), "agreement"),
                           (Output("last_hidden_state", ("b", "s", 9)), "cosine"), (Output("embedding", ("b", 9)), "cosine"),
                           (Output("score", ("b", 1)), "cosine"), (Output("y", ("b", 3, 8, 8)), "cosine"), (Output("y", None), "cosine")]:
        assert resolve_metric(None, plain, [output]).name == wanted
    assert resolve_metric(None, plain).name == "cosine"
    assert resolve_metric("sqnr", plain).against == "float"
    with pytest.raises(BadInput, match="metric 'top1' needs labels, p has none"):
        resolve_metric("top1", plain)
    with pytest.raises(BadInput, match=r"unknown metric 'agrement'.*Did you mean 'agreement'"):
        resolve_metric("agrement", plain)
    with pytest.raises(BadInput, match="needs labels in the data"):
        METRICS["top1"].score(LOGITS, None)


def test_a_metric_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_metric_module.py").write_text(
        "import numpy as np\n"
        "def good(outputs, labels): return (outputs[:, 0] > 0) == labels\n"
        "def several(outputs, labels): return float(outputs['a'].sum())\n"
        "def short(outputs, labels): return np.ones(1)\n"
        "def bad(outputs, labels): return outputs['nothing']\n"
        "def nan(outputs, labels): return float('nan')\n")
    monkeypatch.chdir(tmp_path)
    data = Dataset("d", {"x": LOGITS}, np.array([1, 1, 0]))

    def own(name: str, outputs: Any = LOGITS) -> Any:
        return resolve_metric(f"my_metric_module:{name}", data, allow_code=True).score(outputs, data.labels)

    assert own("good").tolist() == [1, 1, 1]
    assert own("good", {"only": LOGITS}).tolist() == [1, 1, 1]
    assert own("several", {"a": LOGITS, "b": LOGITS}) == 15
    for name, words in [("short", r"returned float64 of shape \[1\]: expected one score for each of 3"),
                        ("bad", r"raised IndexError: .* at my_metric_module\.py:5"), ("nan", "returned NaN")]:
        with pytest.raises(BadInput, match=words):
            own(name)
    with pytest.raises(BadInput, match="runs only from the command line"):
        resolve_metric("my_metric_module:good", data)


def test_a_metric_is_registered_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.metrics.METRICS", dict(METRICS))

    @metric("nonzero")
    def nonzero(outputs: Any, labels: Any, mask: Any = None) -> Any:
        """Share of outputs that are not zero."""
        return (outputs != 0).mean(1)

    found = resolve_metric("nonzero", Dataset("d", {"x": LOGITS}, np.zeros(3)))
    assert found.score(LOGITS, np.zeros(3)) == pytest.approx([1, 2 / 3, 2 / 3])
    assert found.doc == "Share of outputs that are not zero."
