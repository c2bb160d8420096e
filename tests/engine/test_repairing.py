"""The waterfall: each step's gain is a paired difference on the same samples, and harm is called harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.analysis.sensitivity.kinds import Question
from engine.data import load_data
from engine.data.statistics import paired_drop
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.repairing import amount, judged
from engine.session import Session
from engine.sim.quantization import FLOAT


def session(folder: Path, cache: Path | None = None, samples: int = 300) -> Session:
    evaluation = load_data(folder / "evaluation.npz").take(range(samples))
    return Session(load_model(folder / "model.onnx"), evaluation, load_data(folder / "calibration.npz"), cache=cache)


def recipe(*steps: Any, precision: str = "w4a8") -> Recipe:
    return Recipe.parse({"mixdown": 1, "precision": precision, "steps": list(steps)})


STEPS = recipe("fold_batch_norm", "cle", {"adaround": {"iterations": 20}})


@pytest.fixture(scope="module")
def found(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, Any], list[dict[str, Any]], Path]:
    cache, partials = tmp_path_factory.mktemp("cache"), list[dict[str, Any]]()
    used = session(mobilenet, cache)
    return used, used.repair(STEPS, partial=partials.append), partials, cache


def test_every_row_is_what_measuring_that_prefix_gives(found: Any, mobilenet: Path) -> None:
    _, waterfall, _, _ = found
    other = session(mobilenet)
    assert [row["step"] for row in waterfall["rows"]] == [None, "fold_batch_norm", "cle", "adaround"]
    for i in (0, 1, 3):
        alone = other.measure(recipe(*[row["line"] for row in waterfall["rows"][1 : i + 1]]))
        row = waterfall["rows"][i]
        assert {key: row[key] for key in ("quantized", "drop", "sqnr_db", "agreement")} == {key: alone[key] for key in (
            "quantized", "drop", "sqnr_db", "agreement")}
        assert row["layer_sqnr_db"] == {layer["name"]: layer["sqnr_db"] for layer in alone["layers"]}
    assert waterfall["fingerprint"] == STEPS.fingerprint()


def test_a_step_s_gain_is_paired_with_the_row_before(found: Any) -> None:
    used, waterfall, _, _ = found
    labels = used.evaluation.labels
    right = []
    for steps in (("fold_batch_norm", "cle"), ("fold_batch_norm", "cle", {"adaround": {"iterations": 20}})):
        _, outputs = used._measured(recipe(*steps), lambda f, m: None, None)
        right.append((next(iter(outputs.values())).argmax(1) == labels).astype(float))
    expected = paired_drop(right[1], right[0])
    change = waterfall["rows"][3]["change"]
    assert change["value"] == pytest.approx(expected.value) == pytest.approx(right[1].mean() - right[0].mean())
    assert change["ci95"] == pytest.approx(expected.ci95)
    assert change["flips_won"] == int((right[1] > right[0]).sum())
    assert change["flips_lost"] == int((right[1] < right[0]).sum())


def test_partials_grow_and_say_what_runs(found: Any) -> None:
    _, waterfall, partials, _ = found
    assert [p["running"]["step"] for p in partials if p["running"]["live"] is None] == ["fold_batch_norm", "cle", "adaround"]
    assert all(p["rows"] == waterfall["rows"][: len(p["rows"])] for p in partials)
    assert waterfall["running"] is None


def test_rounding_learned_beats_nearest_and_nothing_is_called_harm(found: Any) -> None:
    _, waterfall, _, _ = found
    first, last = waterfall["rows"][0], waterfall["rows"][-1]
    assert last["sqnr_db"] > first["sqnr_db"] + 3 and last["gain"] and not last["harm"]
    assert waterfall["best"] == 3 and waterfall["harmful"] == []
    assert "dB less noise" in last["words"]


def test_a_second_session_runs_no_step_and_measures_nothing(found: Any, mobilenet: Path, tmp_path: Path) -> None:
    _, waterfall, _, cache = found
    messages: list[str] = []
    again = session(mobilenet, cache).repair(STEPS, lambda fraction, message: messages.append(message))
    assert not any("AdaRound" in m or "Quantized" in m for m in messages)
    assert again["rows"][3]["kept"]
    same = [{k: v for k, v in row.items() if k not in ("seconds", "kept", "measure_seconds")} for row in again["rows"]]
    assert same == [{k: v for k, v in row.items() if k not in ("seconds", "kept", "measure_seconds")} for row in waterfall["rows"]]


def test_a_cancelled_waterfall_goes_on_where_it_was(mobilenet: Path, tmp_path: Path) -> None:
    used, rows = session(mobilenet, tmp_path), list[int]()

    def stop(fraction: float, message: str) -> None:
        if message.startswith("AdaRound") and "(5 of" in message:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        used.repair(STEPS, stop, lambda value: rows.append(len(value["rows"])))
    assert max(rows) == 3, "what was finished was told"
    messages: list[str] = []
    found = session(mobilenet, tmp_path).repair(STEPS, lambda fraction, message: messages.append(message))
    assert len(found["rows"]) == 4
    assert not any("features.0.conv: sample" in m for m in messages), "a finished layer is not learned again"


def test_without_evaluation_data_it_says_so(mobilenet: Path) -> None:
    with pytest.raises(BadInput, match="--evaluation"):
        Session(load_model(mobilenet / "model.onnx")).repair(STEPS)


def test_noise_at_every_layer_is_against_the_graph_before_its_weights_were_rounded(mobilenet: Path) -> None:
    """Against the rounded graph itself a rounded weight would look free of noise."""
    used, wanted = session(mobilenet, samples=128), recipe("fold_batch_norm", {"gptq": {"samples": 128}})
    report = used.measure(wanted)
    before = used._room(recipe("fold_batch_norm")).sim
    after = used._room(wanted).calibrated(wanted)
    assert used.evaluation is not None
    feeds, places = used.evaluation.batch(0, 128), {layer.name: layer.output for layer in before.model.layers}
    a, b = (sim.chain.run(q, feeds, places.values()) for sim, q in ((before, FLOAT), (after, after.quantization)))
    for found in report["layers"]:
        x, y = (side[places[found["name"]]].astype(np.float64) for side in (a, b))
        assert found["sqnr_db"] == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), abs=1e-3)
    assert max(layer["sqnr_db"] for layer in report["layers"]) < 40, "four bits leave noise at every layer"


def test_scores_ask_the_graph_that_no_step_has_rounded(mobilenet: Path) -> None:
    used = session(mobilenet, samples=64)
    question = Question((Precision.parse("w4a8"),), samples=32)
    scores = used.sensitivity(question, recipe("fold_batch_norm", {"gptq": {"samples": 64}}))["scores"]
    assert scores == used.sensitivity(question, recipe("fold_batch_norm"))["scores"]


def row(value: float, ci95: tuple[float, float], db: float, changes: tuple[str, ...] = ("x",)) -> dict[str, Any]:
    significant = not ci95[0] <= 0 <= ci95[1]
    return {"step": "cle", "change": {"value": value, "ci95": list(ci95), "significant": significant}, "sqnr_change_db": db,
            "changes": list(changes)}


@pytest.mark.parametrize(
    ("given", "gain", "harm", "words"),
    [
        (row(0.02, (0.01, 0.03), 3.0), True, False, "wins 2.00 points (1.00 to 3.00), 3.0 dB less noise"),
        (row(-0.02, (-0.03, -0.01), 3.0), False, True, "loses 2.00 points (−3.00 to −1.00), 3.0 dB less noise; it does harm: leave it out"),
        (row(-0.001, (-0.01, 0.01), -2.0), False, True, "2.0 dB more noise; it does harm"),
        (row(0.02, (0.01, 0.03), -2.0), True, False, "wins 2.00 points"),
        (row(0.0, (-0.01, 0.01), 0.02), False, False, "the noise stays as it was"),
        (row(0.0, (-0.01, 0.01), 0.0, ()), False, False, "found nothing to change"),
    ],
)
def test_harm_is_a_sure_loss_or_more_noise_without_a_sure_gain(given: dict[str, Any], gain: bool, harm: bool, words: str) -> None:
    verdict = judged(given, "top1")
    assert (verdict["gain"], verdict["harm"]) == (gain, harm)
    assert words in verdict["words"]


def test_amounts_have_the_metric_s_unit() -> None:
    assert amount(0.0123, "top1") == "1.23 points"
    assert amount(1.5, "sqnr") == "1.50 dB"
    assert amount(0.5, "cosine") == "0.5000"
