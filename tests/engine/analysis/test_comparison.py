"""Comparing runs: against plain numpy on small answers, and on the bundled sample from the first run to the kept one."""
from __future__ import annotations

import base64
import io
import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from engine.analysis.answers import Answers, AnswerStore
from engine.analysis.answers import answers_of as answers_from
from engine.analysis.class_losses import per_class
from engine.analysis.closeness import closeness
from engine.analysis.comparison import SHOWN, compare
from engine.analysis.decisions import axis_of_classes, decide
from engine.analysis.pictures import SHOWN as SIDE
from engine.analysis.pictures import layout_of, pictures_of
from engine.analysis.truth import truth_of
from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session
from tests.graphs import proto

RNG = np.random.default_rng(7)


def answers_of(scores: object, output: np.ndarray, report: object = None) -> Answers:
    """Answers whose classes, where the output [N, C] has any, lie along its last axis."""
    return answers_from(scores, decide(output, 1) if output.ndim == 2 and output.shape[1] > 1 else None, report)  # type: ignore[arg-type]


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


def sequences(n: int = 120, t: int = 9, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels [N, T] (some are padding) and two runs' class scores [N, T, C]; mistakes come in runs of the same sample."""
    labels = RNG.integers(0, classes, (n, t))
    clean = np.eye(classes)[labels] * 2 + RNG.normal(size=(n, t, classes))
    bad = RNG.random((n, 1, 1)) < 0.2
    after = clean + RNG.normal(size=clean.shape) * np.where(bad, 2.0, 0.2)
    labels[:, 7:] = np.where(RNG.random((n, 1)) < 0.5, -1, labels[:, 7:])
    return labels, clean.astype(np.float32), after.astype(np.float32)


def decided(output: np.ndarray, labels: np.ndarray) -> Answers:
    use = labels >= 0
    return answers_from(((output.argmax(-1) == labels) & use).sum(1) / use.sum(1), decide(output, output.ndim - 1))


def test_positions_flip_one_by_one_and_are_named_by_sample_and_place() -> None:
    labels, a, b = sequences()
    left, right = decided(a, labels), decided(b, labels)
    found = compare(left, right, truth_of(labels, (), left), np.arange(len(labels))[::-1])
    was, now, use = a.argmax(-1) == labels, b.argmax(-1) == labels, labels >= 0
    assert found["flips"]["counts"]["lost"] == int((was & ~now & use).sum()) > found["drop"]["flips_lost"]
    assert found["positions"] == {"shape": [9], "step": 1, "counted": int(use.sum())}
    assert found["same_answer"] == pytest.approx(1 - ((a.argmax(-1) != b.argmax(-1)) & use).sum() / use.sum())
    assert found["test"]["name"].startswith("Student") and found["test"]["n"] == len(labels), "a sample is one observation"
    for row in found["flips"]["samples"]:
        i, (k,) = len(labels) - 1 - row["index"], row["position"]
        top = np.sort(a[i, k])
        assert use[i, k] and row["margin"] == pytest.approx(top[-1] - top[-2], abs=1e-5)
        assert row["left"] == f"class {a[i, k].argmax()}" and row["right"] == f"class {b[i, k].argmax()}"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_classes_of_positions_have_an_interval_that_takes_a_sample_as_one_observation() -> None:
    labels, a, b = sequences(300)
    left, right = decided(a, labels), decided(b, labels)
    for row in per_class(left, right, truth_of(labels, (), left)):
        mine = labels == row["class"]
        was, now = (a.argmax(-1) == labels) & mine, (b.argmax(-1) == labels) & mine
        assert row["drop"]["value"] == pytest.approx((was.sum() - now.sum()) / mine.sum())
        assert row["positions"] == mine.sum() and row["samples"] == mine.any(1).sum() and row["drop"]["method"].startswith("positions")
        drawn = RNG.integers(0, len(labels), (2000, len(labels)))  # the bootstrap over samples
        spread = ((was.sum(1) - now.sum(1))[drawn].sum(1) / mine.sum(1)[drawn].sum(1)).std()
        low, high = row["drop"]["ci95"]
        assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.15)


def test_padding_marked_by_a_mask_is_no_answer_and_images_of_classes_are_reduced() -> None:
    _, a, _ = sequences()
    mask = np.ones(a.shape[:2], np.int64)
    mask[:, 5:] = 0
    left = answers_from(np.ones(len(a)), decide(a, 2))
    truth = truth_of(None, (), left, mask)
    assert truth.source == "float" and (truth.classes[:, 5:] == -1).all() and (truth.classes[:, :5] == a.argmax(-1)[:, :5]).all()  # type: ignore[index]
    maps = RNG.normal(size=(3, 4, 700, 600)).astype(np.float32)
    big = decide(maps, 1)
    assert big.positions == (700, 600) and big.step == 2 and big.predicted.shape == (3, 210_000)
    assert (big.predicted == maps.argmax(1).reshape(3, -1)[:, ::2]).all()


def test_outputs_without_classes_are_compared_with_the_float_models_sample_by_sample(tmp_path: Path) -> None:
    reference = RNG.normal(size=(60, 5, 8)).astype(np.float32)
    noisy = reference + RNG.normal(size=reference.shape).astype(np.float32) * np.linspace(0.01, 0.5, 60)[:, None, None].astype(np.float32)
    angle, decibels = closeness(noisy, reference)
    flat, base = noisy.reshape(60, -1), reference.reshape(60, -1)
    assert decibels == pytest.approx(10 * np.log10((base**2).sum(1) / ((flat - base) ** 2).sum(1)), abs=1e-3)
    assert angle == pytest.approx((flat * base).sum(1) / np.linalg.norm(flat, axis=1) / np.linalg.norm(base, axis=1), abs=1e-5)
    sides = [answers_from(np.asarray(c[0]), None, None, c) for c in (closeness(reference, reference), (angle, decibels))]
    AnswerStore(tmp_path, ["m"]).save("r", sides[1])
    again = AnswerStore(tmp_path, ["m"]).load("r")
    assert again is not None and np.array_equal(again.sqnr_db, sides[1].sqnr_db)  # type: ignore[arg-type]
    found = compare(sides[0], again, truth_of(None, (), sides[0]))
    assert [r["index"] for r in found["worst"]] == list(np.argsort(decibels)[:20]) and found["same_answer"] is None
    curves = found["closeness"]["sqnr_db"]
    assert curves["left"] == [200.0] * 101 and curves["right"][50] == pytest.approx(np.median(decibels))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_where_the_classes_lie_is_said_by_the_labels_else_by_the_outputs_name() -> None:
    scores, maps = np.zeros((5, 7, 3), np.float32), np.zeros((5, 3, 6, 6), np.float32)
    assert axis_of_classes(scores, np.zeros((5, 7), np.int64), False) == 2
    assert axis_of_classes(maps, np.zeros((5, 6, 6), np.int64), False) == 1
    assert axis_of_classes(scores, None, True) == 2 and axis_of_classes(scores, None, False) is None
    assert axis_of_classes(scores, np.zeros((5, 7), np.float32), True) is None
    assert axis_of_classes(scores, np.zeros(5, np.int64), True) is None


def sequence_net(tmp_path: Path, output: str) -> Path:
    """Two MatMuls over [batch, 6, 8]: per position 5 class scores, or a feature vector, by what the output is called."""
    weights = {"w1": RNG.normal(size=(8, 16)).astype(np.float32), "w2": RNG.normal(size=(16, 5)).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w1"], ["h"], name="mix"), helper.make_node("Relu", ["h"], ["r"], name="relu"),
             helper.make_node("MatMul", ["r", "w2"], [output], name="head")]
    path = tmp_path / f"{output}.onnx"
    onnx.save(proto(nodes, {"x": ["batch", 6, 8]}, {output: ["batch", 6, 5]}, weights), path)
    return path


@pytest.mark.parametrize(("output", "labelled"), [("logits", True), ("logits", False), ("features", False)])
def test_a_session_compares_sequences_by_position_or_by_closeness(tmp_path: Path, output: str, labelled: bool) -> None:
    x = RNG.normal(size=(80, 6, 8)).astype(np.float32)
    labels = RNG.integers(0, 5, (80, 6)) if labelled else None
    np.savez(tmp_path / "d.npz", x=x, **({} if labels is None else {"labels": labels}))
    data = load_data(tmp_path / "d.npz")
    session = Session(load_model(sequence_net(tmp_path, output)), evaluation=data, calibration=data)
    rough = Recipe(precision="w4a8", target="generic")
    found = session.compare(None, rough)
    report = session.simulate(rough)
    if output == "features":
        assert found["positions"] is None and len(found["worst"]) == 20 and found["closeness"]["sqnr_db"]["right"][50] < 60
        return
    assert found["positions"]["shape"] == [6] and sum(found["flips"]["counts"].values()) > 0 and found["worst"] == []
    assert found["truth"] == ("labels" if labelled else "float")
    rows = report["per_class"]
    assert ([r["positions"] for r in rows] == list(np.bincount(labels.ravel(), minlength=5))) if labelled else rows == []  # type: ignore[union-attr]
