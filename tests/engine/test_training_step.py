"""The step `qat` in a recipe: it trains, is kept, resumes after a kill, and exports what was trained."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Recipe, Session, load_data, load_model
from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.graph import from_proto
from engine.ptq import apply_steps
from engine.recipe import load_recipe
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_models" / "fashion_mobilenet"


def recipe(**qat: Any) -> Recipe:
    return Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w4a4", "steps": ["fold_batch_norm", {"qat": qat}]})


def test_training_without_data_says_what_is_missing() -> None:
    sim = QuantSim(from_proto(conv_net(2), "net"), Recipe.parse({"mixdown": 1, "precision": "w8a8", "steps": ["qat"]}))
    with pytest.raises(BadInput, match="give --training"):
        apply_steps(sim, None)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    evaluation, calibration, training = (load_data(SAMPLE / f"{name}.npz") for name in ("evaluation", "calibration", "training"))
    return Session(load_model(SAMPLE / "model.onnx"), evaluation.take(range(400)), calibration.take(range(128)), training.take(range(1500)),
                   cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_a_trained_recipe_is_better_is_kept_and_exports_what_was_measured(session: Session, tmp_path: Path) -> None:
    plain = session.measure(Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w4a4"}))
    wanted = recipe(epochs=2, learning_rate=3e-3, range_rate=1e-2)
    found = session.measure(wanted)
    assert found["drop"]["value"] < plain["drop"]["value"] - 0.02 and found["sqnr_db"] > plain["sqnr_db"] + 0.3
    step = found["steps"][-1]
    assert step["training"]["best"] == 2 and "1500 samples of training" in step["changes"][0]
    runs = session._rooms.runs
    session.measure(wanted.set("candidates", ["w8a8", "w4a8"]))
    assert session._rooms.runs == runs, "what is not looked at trains nothing again"
    session.export(wanted, tmp_path)
    certificate = session.verify(tmp_path)
    parity = next(p for p in certificate["parity"] if p["optimizations"] is False)
    assert parity["max_lsb"] <= 1 and parity["agreement"] == 1.0
    named = load_recipe(tmp_path / "recipe.yaml").model
    assert named is not None and named.path is None and named.sha256 == session.model.sha256, "on the trained weights it is refused"


@pytest.mark.slow
def test_the_command_survives_a_kill_and_gives_the_same_result(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("mixdown: 1\ntarget: generic\nprecision: w4a8\nsteps: [fold_batch_norm, {qat: {epochs: 3}}]\n")
    rows = load_data(SAMPLE / "training.npz").take(range(600))
    np.savez(tmp_path / "t.npz", image=rows.batch(0, 600)["image"], labels=rows.labels)
    results = []
    for out, killed in (("a", True), ("b", False)):
        command = [sys.executable, "-m", "engine", "quantize", str(tmp_path / "r.yaml"), str(SAMPLE / "model.onnx"),
                   "--evaluation", str(SAMPLE / "calibration.npz"), "--calibration", str(tmp_path / "t.npz"), "--training",
                   str(tmp_path / "t.npz"), "--out", str(tmp_path / out), "--json", str(tmp_path / f"{out}.json"), "-q"]
        if killed:
            _kill_while_training(command, tmp_path)
        subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
        found = json.loads((tmp_path / f"{out}.json").read_text())["report"]
        curve = [(e["loss"], e["validation"]) for e in found["steps"][-1]["training"]["epochs"]]
        results.append((found["quantized"], found["sqnr_db"], curve))
    assert results[0] == results[1]


def _kill_while_training(command: list[str], folder: Path) -> None:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not list(folder.rglob("training_*.safetensors")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.2)
    assert process.poll() is None, "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_settings_are_searched_for_a_recipe_that_trains(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    data = Dataset("tiny", {"x": generator.normal(size=(64, 3, 12, 12)).astype(np.float32)})
    session = Session(from_proto(conv_net(3), "net"), data, data, cache=tmp_path)
    steps = ["fold_batch_norm", {"qat": {"epochs": 1, "batch": 32}}]
    wanted = Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w4a4", "steps": steps})
    seen: list[int] = []
    found = session.tune(wanted, partial=lambda p: seen.append(len(p["trials"])), trials=3, over="learning_rate", prune=False)
    assert seen == [1, 2, 3] and found["steps"][0] == "fold_batch_norm"
    assert found["line"]["qat"]["learning_rate"] == min(found["trials"], key=lambda t: t["loss"])["settings"]["learning_rate"]
    assert found["line"]["qat"]["epochs"] == 1 and "seed" not in found["line"]["qat"]
    again = session.tune(wanted, trials=3, over="learning_rate", prune=False)
    assert [t["number"] for t in again["trials"]] == [0, 1, 2], "trials are kept"
    with pytest.raises(BadInput, match="whose last step is qat"):
        session.tune(wanted.set("steps", ["fold_batch_norm"]))
    with pytest.raises(BadInput, match="has no 'trails'"):
        session.tune(wanted, trails=3)


def test_training_after_rounding_follows_the_float_model_and_starts_where_rounding_ended(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    data = Dataset("tiny", {"x": generator.normal(size=(64, 3, 12, 12)).astype(np.float32)})
    session = Session(from_proto(conv_net(3), "net"), data, data, cache=tmp_path)
    base = {"mixdown": 1, "target": "generic", "precision": "w3a8"}
    starts = {}
    for before in ("fold_batch_norm", "gptq"):
        rounding = [] if before == "fold_batch_norm" else [before]
        steps = ["fold_batch_norm", *rounding, {"qat": {"epochs": 1, "batch": 32, "learning_rate": 0.0}}]
        found = session.measure(Recipe.parse({**base, "steps": steps}))
        starts[before] = found["steps"][-1]["training"]["start"]
    assert starts["gptq"] < 0.5 * starts["fold_batch_norm"]
    reference = session._rooms._before_rounding(session._rooms.room(Recipe.parse({**base, "steps": ["fold_batch_norm", "gptq"]})),
                                                Recipe.parse({**base, "steps": ["fold_batch_norm", "gptq"]}))
    plain = session._rooms.room(Recipe.parse({**base, "steps": ["fold_batch_norm"]})).sim.model
    for layer in plain.layers:
        assert np.array_equal(reference.constant(layer.weight), plain.constant(layer.weight))


def test_a_training_with_int32_biases_exports_what_was_measured(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    data = Dataset("tiny", {"x": generator.normal(size=(64, 3, 12, 12)).astype(np.float32)})
    session = Session(from_proto(conv_net(3), "net"), data, data, cache=tmp_path / "cache")
    steps = ["fold_batch_norm", {"qat": {"epochs": 2, "batch": 16, "learning_rate": 3e-3}}]
    wanted = Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w4a8", "bias": "int32", "steps": steps})
    found = session.measure(wanted)
    assert found["steps"][-1]["training"]["best"] >= 1
    session.export(wanted, tmp_path / "out")
    parity = next(p for p in session.verify(tmp_path / "out")["parity"] if p["optimizations"] is False)
    assert parity["max_lsb"] <= 1 and parity["agreement"] == 1.0


def test_what_is_kept_of_a_stopped_training_is_told_by_another_session(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    data = Dataset("tiny", {"x": generator.normal(size=(64, 3, 12, 12)).astype(np.float32)})
    model = from_proto(conv_net(3), "net")

    def made(**qat: Any) -> Recipe:
        steps = ["fold_batch_norm", "gptq", {"qat": {"epochs": 3, "batch": 16, **qat}}]
        return Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w4a4", "steps": steps})

    def stop(fraction: float, message: str) -> None:
        if "epoch 3 of 3" in message:
            raise Cancelled

    first = Session(model, data, data, cache=tmp_path)
    assert first.training_kept(made()) == {"training": None}
    with pytest.raises(Cancelled):
        first.measure(made(), stop)
    found = Session(from_proto(conv_net(3), "net"), data, data, cache=tmp_path)
    kept = found.training_kept(made())["training"]
    assert [e["number"] for e in kept["epochs"]] == [1, 2] and kept["start"] > 0
    assert found.training_kept(made(stop_after=2))["training"] == kept, "where it is ended does not count"
    assert found.training_kept(made(seed=1)) == {"training": None}, "other settings are another training"
    whole = found.measure(made())["steps"][-1]["training"]["epochs"]
    assert whole[:2] == kept["epochs"] and len(whole) == 3, "it goes on from there"
