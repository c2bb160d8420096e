"""The session on the bundled samples: what the command line and the desk both say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled, IllegalPrecision
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session


@pytest.fixture(scope="module")
def session(sample: Path) -> Session:
    evaluation = load_data(sample / "evaluation.npz").take(range(600))
    return Session(load_model(sample / "model.onnx"), evaluation, load_data(sample / "calibration.npz"))


def test_open_states_the_facts(session: Session) -> None:
    facts = session.open()
    assert facts["metric"]["name"] == "top1"
    assert facts["data"]["evaluation"]["samples"] == 600
    assert facts["data"]["overlap"] == 0
    assert facts["totals"]["params"] == sum(x["params"] for x in facts["layers"]) + sum(
        np.prod(v.const_value.shape.numpy(), dtype=int)
        for n, v in session.model.graph.initializers.items()
        if v.dtype.is_floating_point() and n not in {w for x in session.model.layers for w in (*x.weights, x.bias)}
    )


def test_resolve_needs_no_data(session: Session) -> None:
    found = Session(session.model).resolve(Recipe(precision="w4a8"))  # type: ignore[arg-type]
    assert {x["precision"] for x in found["layers"]} == {"w4a8"}
    assert found["cost"]["size_bytes"] < found["cost"]["fp32_size_bytes"] / 3  # small layers: their scales and biases weigh
    assert all(t["calibrated"] in (None, "never", "fixed", "constant") for t in found["tensors"])
    assert all(t["explain"] for t in found["tensors"])


def test_measure_counts_what_numpy_counts(session: Session) -> None:
    found, outputs = session.simulate_outputs(Recipe())
    name = session.model.outputs[0].name
    evaluation = session.evaluation
    assert evaluation is not None
    assert session.order is not None
    labels = evaluation.labels[np.argsort(session.order)]  # type: ignore[index]
    before, after = (outputs[f"{kind}/{name}"].argmax(1) == labels for kind in ("fp32", "quantized"))
    assert found["fp32"]["value"] == pytest.approx(before.mean())
    assert found["quantized"]["value"] == pytest.approx(after.mean())
    assert found["drop"]["flips_lost"] == int((before & ~after).sum())
    assert found["drop"]["flips_won"] == int((~before & after).sum())
    noise = ((outputs[f"fp32/{name}"].astype(float) - outputs[f"quantized/{name}"]) ** 2).sum()
    assert found["sqnr_db"] == pytest.approx(10 * np.log10((outputs[f"fp32/{name}"].astype(float) ** 2).sum() / noise))
    assert all(x["sqnr_db"] > 5 for x in found["layers"])


def test_more_bits_make_less_noise(session: Session) -> None:
    values = [session.measure(Recipe(precision=p, target="generic"))["sqnr_db"] for p in ("w3a8", "w4a8", "w8a8", "w8a16")]  # type: ignore[arg-type]
    assert values == sorted(values)


def test_partial_numbers_come_before_the_whole(session: Session) -> None:
    seen: list[int] = []
    found = session.measure(Recipe(), partial=lambda value: seen.append(value["samples"]))
    assert seen == [256, 512, 600], "all of them, before what is told of the layers"
    assert found["samples"] == 600


def test_each_partial_value_is_what_a_measurement_of_so_many_samples_gives(session: Session) -> None:
    recipe = Recipe(precision="w4a8")  # type: ignore[arg-type]
    seen: list[dict[str, Any]] = []
    session.measure(recipe, partial=seen.append)
    assert session.evaluation is not None
    few = Session(session.model, session.evaluation.take(range(256)), session.calibration)
    few.order, few.evaluation = None, session.evaluation.take(range(256))
    found = few.measure(recipe)
    assert {k: found[k] for k in ("quantized", "drop", "agreement")} == {k: seen[0][k] for k in ("quantized", "drop", "agreement")}
    widths = [high - low for low, high in (value["drop"]["ci95"] for value in seen)]
    assert widths == sorted(widths, reverse=True), "it shrinks as samples come in"


def test_what_was_measured_before_changes_no_number(session: Session) -> None:
    """Kept cuts and remembered noise against a session that keeps nothing, over edits and undo."""
    plain = Session(session.model, session.evaluation, session.calibration, kept_bytes=0)
    plain.evaluation, names, recipe = session.evaluation, [x.name for x in session.model.layers], Recipe()
    for name, precision in ((names[-1], "w4a8"), (names[9], "w8a16"), (names[0], "w4a8"), (names[9], None), (names[0], None)):
        recipe = recipe.with_layer(name, precision)
        a, b = session.measure(recipe), plain.measure(recipe)
        kept, own = a["kept_cuts"], b["kept_cuts"]
        assert own["skipped"] == own["bytes"] == 0 and kept["bytes"] > 0
        assert all(a[key] == b[key] for key in a if key not in ("seconds", "steps", "kept_cuts"))
    assert kept["skipped"] > 0.99, "the last step went back to a recipe whose cuts were kept"


def test_the_same_recipe_gives_the_same_numbers(session: Session, sample: Path) -> None:
    again = Session(
        load_model(sample / "model.onnx"), load_data(sample / "evaluation.npz").take(range(600)), load_data(sample / "calibration.npz")
    )
    a, b = session.measure(Recipe(precision="w4a8")), again.measure(Recipe(precision="w4a8"))  # type: ignore[arg-type]
    assert a["quantized"] == b["quantized"]
    assert [x["sqnr_db"] for x in a["layers"]] == [x["sqnr_db"] for x in b["layers"]]


def test_an_edit_and_back_gives_the_first_numbers(session: Session) -> None:
    first = session.measure(Recipe())["sqnr_db"]
    name = session.model.layers[3].name
    assert session.measure(Recipe().with_layer(name, "w4a8"))["sqnr_db"] != first
    assert session.measure(Recipe())["sqnr_db"] == first


def test_bypass_of_everything_is_the_float_model(session: Session) -> None:
    found = session.measure(replace(Recipe(target="generic"), precision=Recipe(precision="fp32").precision))  # type: ignore[arg-type]
    assert found["drop"]["value"] == 0
    assert found["sqnr_db"] > 100


def test_calibration_table_and_state(session: Session) -> None:
    recipe = Recipe().set("calibration.samples", 64)
    found = session.calibrate(recipe)
    assert found["samples"] == 64
    rows = {x["name"]: x for x in found["tensors"]}
    image = rows[session.model.inputs[0].name]
    assert image["clipped_calibration"] == 0
    assert sum(image["histogram"]["counts"]) == 64 * 28 * 28
    assert image["low"] <= image["minimum"] + image["scale"] / 2
    states = {t["calibrated"] for t in session.resolve(recipe)["tensors"] if t["calibrated"]}
    assert "fresh" in states
    states = {t["calibrated"] for t in session.resolve(recipe.set("calibration.samples", 65))["tensors"] if t["calibrated"]}
    assert "stale" in states


def test_layer_facts(session: Session) -> None:
    layer = session.model.layers[1]
    facts = session.layer_facts(Recipe(), layer.name)
    assert sum(facts["histogram"]["counts"]) == np.prod(layer.weight_shape)
    assert facts["explain_weight"]
    assert facts["tensors"][-1]["role"] == "output"
    with pytest.raises(BadInput, match="has no layer"):
        session.layer_facts(Recipe(), "nope")


def test_statistics_survive_in_the_cache(sample: Path, tmp_path: Path) -> None:
    data = {"evaluation": load_data(sample / "evaluation.npz").take(range(64)), "calibration": load_data(sample / "calibration.npz")}
    first = Session(load_model(sample / "model.onnx"), cache=tmp_path, **data).measure(Recipe())  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("statistics_*.npz"))) == 1
    runs: list[str] = []
    again = Session(load_model(sample / "model.onnx"), cache=tmp_path, **data)  # type: ignore[arg-type]
    second = again.measure(Recipe(), lambda fraction, message: runs.append(message))
    assert not any("Calibrating" in message for message in runs)
    assert second["quantized"] == first["quantized"]
    assert second["sqnr_db"] == first["sqnr_db"]


def test_cancel_leaves_a_session_that_works(session: Session) -> None:
    def stop_at(limit: float) -> Callable[[float, str], None]:
        def progress(fraction: float, message: str) -> None:
            if fraction > limit:
                raise Cancelled("stopped")

        return progress

    recipe = Recipe(precision="w6a8", target="generic")  # type: ignore[arg-type]
    for limit in (0.0, 0.1, 0.4, 0.8):
        with pytest.raises(Cancelled):
            session.measure(recipe, stop_at(limit))
    assert session.measure(recipe)["sqnr_db"] > 10


def test_one_set_is_split_disjointly(sample: Path) -> None:
    found = Session(load_model(sample / "model.onnx"), load_data(sample / "evaluation.npz").take(range(100)))
    assert found.calibration is not None
    assert found.evaluation is not None
    assert len(found.calibration) + len(found.evaluation) == 100
    assert found.calibration.overlap(found.evaluation) == 0
    assert "No calibration data" in found.notes[0]


def test_what_is_missing_is_said(session: Session, sample: Path) -> None:
    with pytest.raises(BadInput, match="--evaluation"):
        Session(session.model).measure(Recipe())
    with pytest.raises(BadInput, match="sha256"):
        session.measure(Recipe.parse({"mixdown": 1, "model": {"sha256": "0" * 64}, "steps": []}))
    with pytest.raises(BadInput, match="no layer"):
        session.measure(Recipe().with_layer("nope", "w4a8"))
    wrong = Dataset("wrong", {"picture": np.zeros((4, 1, 28, 28), np.float32)})
    with pytest.raises(BadInput, match="image"):
        Session(session.model, wrong)


def test_illegal_precisions_are_measured_but_not_exported(session: Session, tmp_path: Path) -> None:
    recipe = Recipe(precision="w3a8", target="htp_v73")  # type: ignore[arg-type]
    found = session.measure(recipe)
    assert not any(x["legal"] for x in found["layers"])
    assert all("htp_v73" in x["reason"] for x in found["layers"])
    with pytest.raises(IllegalPrecision, match="--allow-illegal"):
        session.export(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frozen_encodings_come_from_a_file(session: Session, sample: Path, tmp_path: Path) -> None:
    session.export(Recipe(), tmp_path / "out")
    (tmp_path / "fixed.encodings").write_text((tmp_path / "out" / "model.encodings").read_text())
    fresh = Session(
        load_model(sample / "model.onnx"),
        load_data(sample / "evaluation.npz").take(range(64)),
        load_data(sample / "calibration.npz"),
        base=tmp_path,
    )
    recipe = Recipe.parse({"mixdown": 1, "encodings": {"file": "fixed.encodings"}, "calibration": {"samples": 8, "method": "mse"}})
    rows = {x["name"]: x for x in fresh.calibrate(recipe)["tensors"]}
    want = {x["name"]: x for x in session.calibrate(Recipe())["tensors"]}
    assert all(rows[name]["frozen"] for name in want)
    assert {n: (x["scale"], x["zero_point"]) for n, x in rows.items()} == {n: (x["scale"], x["zero_point"]) for n, x in want.items()}
    some = Recipe.parse({"mixdown": 1, "encodings": {"file": "fixed.encodings", "frozen": "image"}, "calibration": {"samples": 8}})
    rows = {x["name"]: x for x in fresh.calibrate(some)["tensors"]}
    assert [n for n, x in rows.items() if x["frozen"]] == ["image"]
    with pytest.raises(BadInput, match="int8 in the file and int16"):
        fresh.measure(Recipe.parse({"mixdown": 1, "precision": "w8a16", "encodings": {"file": "fixed.encodings"}}))


@pytest.mark.parametrize("method", ["min_max", "percentile", "sqnr", "mse", "entropy"])
def test_every_range_method_works_on_the_samples(session: Session, method: str) -> None:
    found = session.measure(Recipe().set("calibration.method", method))
    assert found["sqnr_db"] > (15 if method != "entropy" else 5)


def test_the_readme_s_few_lines_work(sample: Path, tmp_path: Path) -> None:
    from engine import Recipe, Session, load_data, load_model

    session = Session(load_model(sample / "model.onnx"), evaluation=load_data(sample / "evaluation.npz").take(range(64)),
                      calibration=load_data(sample / "calibration.npz"))
    report = session.simulate(Recipe(precision="w8a8", target="htp_v73"))  # type: ignore[arg-type]
    assert report["drop"]["ci95"]
    scores = session.sensitivity(["w8a8", "w4a8"])
    assert {row["precision"] for row in scores["scores"]} == {"w8a8", "w4a8"}
    files = session.export(Recipe(), str(tmp_path / "out"))["files"]
    assert "model.encodings" in {f["name"] for f in files}
