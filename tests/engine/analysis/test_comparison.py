"""Comparing runs: against plain numpy on small answers, and on the bundled sample from the first run to the kept one."""
from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.analysis.answers import Answers, AnswerStore, answers_of
from engine.analysis.comparison import SHOWN, compare, per_class, truth_of
from engine.analysis.pictures import SHOWN as SIDE
from engine.analysis.pictures import layout_of, pictures_of
from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session

RNG = np.random.default_rng(7)


def answers(output: np.ndarray, labels: np.ndarray) -> Answers:
    return answers_of((output.argmax(1) == labels).astype(float), output)


def pair(n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two noisy answers to the same questions."""
    labels = RNG.integers(0, 5, n)
    clean = np.eye(5)[labels] * 2 + RNG.normal(size=(n, 5))
    return labels, clean.astype(np.float32), (clean + RNG.normal(size=(n, 5)) * 0.6).astype(np.float32)


def test_flips_are_those_that_numpy_counts_closest_first() -> None:
    labels, a, b = pair()
    found = compare(answers(a, labels), answers(b, labels), truth_of(labels, (), answers(a, labels)))
    was, now = a.argmax(1) == labels, b.argmax(1) == labels
    counts = {"lost": int((was & ~now).sum()), "won": int((~was & now).sum()),
              "changed": int((~was & ~now & (a.argmax(1) != b.argmax(1))).sum())}
    assert found["flips"]["counts"] == counts and min(counts.values()) > 0
    assert (found["drop"]["flips_lost"], found["drop"]["flips_won"]) == (counts["lost"], counts["won"])
    assert found["same_answer"] == pytest.approx((a.argmax(1) == b.argmax(1)).mean())
    top = np.sort(a, 1)
    for row in found["flips"]["samples"]:
        assert row["margin"] == pytest.approx(top[row["index"], -1] - top[row["index"], -2], abs=1e-6)
    for kind in counts:
        margins = [r["margin"] for r in found["flips"]["samples"] if r["kind"] == kind]
        assert margins == sorted(margins) and len(margins) == min(counts[kind], 2 * SHOWN)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_many_flips_keep_both_ends_of_the_ranking() -> None:
    labels = np.zeros(300, np.int64)
    a = np.stack([np.linspace(0.1, 30, 300), np.zeros(300)], 1).astype(np.float32)
    found = compare(answers(a, labels), answers(-a, labels), truth_of(labels, (), answers(a, labels)))
    shown = [r["index"] for r in found["flips"]["samples"]]
    assert shown == [*range(SHOWN), *range(300 - SHOWN, 300)] and found["flips"]["counts"]["lost"] == 300
    assert found["test"]["p"] < 1e-50 and found["drop"]["value"] == 1.0


def test_a_run_against_itself_differs_in_nothing() -> None:
    labels, a, _ = pair()
    found = compare(answers(a, labels), answers(a, labels), truth_of(labels, (), answers(a, labels)))
    assert found["flips"] == {"counts": {"lost": 0, "won": 0, "changed": 0}, "samples": []}
    assert found["test"]["p"] == 1.0 and found["test"]["why"] == "no sample changed between right and wrong"
    assert found["same_answer"] == 1.0 and not any(r["resolved"] for r in found["per_class"])


def test_each_class_has_its_own_paired_drop() -> None:
    labels, a, b = pair()
    labels[:7] = -1  # no class
    rows = per_class(answers(a, labels), answers(b, labels), truth_of(labels, ("zero", "one"), answers(a, labels)))
    assert [r["name"] for r in rows] == ["zero", "one", "class 2", "class 3", "class 4"]
    for row in rows:
        mine = labels == row["class"]
        assert row["drop"]["value"] == pytest.approx((a.argmax(1) == labels)[mine].mean() - (b.argmax(1) == labels)[mine].mean())
        assert row["samples"] == mine.sum() and row["drop"]["ci95"][0] <= row["drop"]["value"] <= row["drop"]["ci95"][1]


def test_without_labels_the_float_model_is_the_truth() -> None:
    _, a, b = pair()
    reference = answers_of(np.ones(len(a)), a)
    right = answers_of((a.argmax(1) == b.argmax(1)).astype(float), b)
    found = compare(reference, right, truth_of(None, (), reference))
    assert found["truth"] == "float" and found["flips"]["counts"]["won"] == 0
    assert found["flips"]["counts"]["lost"] == int((a.argmax(1) != b.argmax(1)).sum())


def test_scores_without_classes_are_ranked_by_their_change() -> None:
    left, right = answers_of(np.full(50, 0.9), np.zeros((50, 3, 4), np.float32)), answers_of(np.linspace(0.5, 1.1, 50), np.zeros((50, 1)))
    found = compare(left, right, truth_of(None, (), left))
    assert found["ranked_by"] == "score" and found["test"]["name"].startswith("Student") and found["per_class"] == []
    assert [r["index"] for r in found["flips"]["samples"][:2]] == [0, 1] and found["flips"]["counts"]["won"] > 0
    one = answers_of(0.5, np.zeros((50, 1)))
    assert compare(one, one, truth_of(None, (), one))["test"]["p"] is None


def test_answers_survive_the_disk_and_damage_is_a_miss(tmp_path: Path) -> None:
    labels, a, _ = pair()
    made = answers_of((a.argmax(1) == labels).astype(float), a, {"cost": {"bops": 3}})
    AnswerStore(tmp_path, ["m"]).save("r", made)
    again = AnswerStore(tmp_path, ["m"]).load("r")
    assert again is not None and again.report == {"cost": {"bops": 3}} and again.value == made.value
    for name in ("scores", "predicted", "second", "margin"):
        assert np.array_equal(getattr(again, name), getattr(made, name))
    assert AnswerStore(tmp_path, ["other"]).load("r") is None
    file = next(tmp_path.rglob("*.npz"))
    assert file.stat().st_size < 20 * len(a)
    file.write_bytes(file.read_bytes()[:100])
    assert AnswerStore(tmp_path, ["m"]).load("r") is None


def test_nan_outputs_are_no_winners() -> None:
    output = np.array([[np.nan, 1, 0], [np.nan, np.nan, np.nan], [np.inf, np.inf, 0]], np.float32)
    made = answers_of(np.zeros(3), output)
    assert made.predicted is not None and made.predicted[0] == 1 and np.isfinite(made.margin).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "expected"), [
    ((1, 28, 28), "chw"), ((3, 224, 224), "chw"), ((32, 32, 3), "hwc"), ((28, 28), "hw"), ((3, 3), None), ((128,), None),
    ((1, 6, 900), None), ((64, 28, 28), None), ((3, 0, 4), None)])
def test_what_looks_like_a_picture(shape: tuple[int, ...], expected: str | None) -> None:
    assert layout_of(shape, "f") == expected
    assert layout_of(shape, "b") is None


@pytest.mark.parametrize("scale", ["bytes", "unit", "full", "normal"])
def test_a_picture_shows_what_is_in_the_array(scale: str) -> None:
    pixels = RNG.integers(0, 256, (80, 3, 20, 10)).astype(np.uint8)
    stored = {"bytes": pixels, "unit": pixels / np.float32(255), "full": pixels.astype(np.float32),
              "normal": (pixels.astype(np.float32) - 120) / 60}[scale]
    found = pictures_of(Dataset("d", {"image": stored, "flag": np.zeros((80, 2), np.float32)}))
    assert found is not None
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.address(3).partition(",")[2]))))
    assert image.shape == (20, 10, 3)
    assert np.abs(image.astype(int) - pixels[3].transpose(1, 2, 0)).max() <= (6 if scale == "normal" else 1)


def test_large_pictures_become_small_ones_and_two_inputs_none() -> None:
    big = np.zeros((2, 300, 200, 3), np.uint8)
    found = pictures_of(Dataset("d", {"image": big}))
    assert found is not None
    assert max(Image.open(io.BytesIO(base64.b64decode(found.address(0).partition(",")[2]))).size) == SIDE
    assert pictures_of(Dataset("d", {"a": big, "b": big})) is None


def test_the_sample_compared_twice_runs_once(sample: Path, tmp_path: Path) -> None:
    def session() -> Session:
        evaluation = load_data(sample / "evaluation.npz").take(range(500))
        return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"), cache=tmp_path)

    recipe = Recipe(precision="w4a8")  # type: ignore[arg-type]
    first = session()
    report, outputs = first.simulate_outputs(recipe)
    found = first.compare(None, recipe)
    assert found["drop"] == report["drop"] and found["right"]["report"]["sqnr_db"] == report["sqnr_db"]
    assert [(r["name"], r["drop"]) for r in found["per_class"]] == [(r["name"], r["drop"]) for r in report["per_class"]]
    assert found["left"]["report"] is None and found["metric"]["name"] == "top1"

    labels = load_data(sample / "evaluation.npz").labels[:500]  # type: ignore[index]
    name = first.model.outputs[0].name
    before, after = outputs[f"fp32/{name}"], outputs[f"quantized/{name}"]
    lost = {int(i) for i in np.flatnonzero((before.argmax(1) == labels) & (after.argmax(1) != labels))}
    assert {r["index"] for r in found["flips"]["samples"] if r["kind"] == "lost"} == lost and lost
    row = found["flips"]["samples"][0]
    top = np.sort(before[row["index"]])
    assert row["margin"] == pytest.approx(top[-1] - top[-2], rel=1e-5)
    assert row["picture"].startswith("data:image/png;base64,") and not row["truth"].startswith("class")

    again, calls = session(), []
    again._measured = lambda *a: calls.append(a)  # type: ignore[method-assign, assignment, func-returns-value]
    begin = time.perf_counter()
    assert again.compare(None, recipe) == found
    assert not calls and time.perf_counter() - begin < 1.0
    assert again.compare(recipe, recipe)["drop"]["value"] == 0.0


def test_comparing_needs_data_and_can_be_cancelled(mobilenet: Path) -> None:
    model = load_model(mobilenet / "model.onnx")
    with pytest.raises(BadInput, match="needs evaluation data"):
        Session(model).compare(None, Recipe())

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise Cancelled("enough")

    session = Session(model, load_data(mobilenet / "evaluation.npz").take(range(64)), load_data(mobilenet / "calibration.npz"))
    with pytest.raises(Cancelled):
        session.compare(None, Recipe(), stop)
    assert session.compare(None, Recipe())["samples"] == 64
