"""The sweep's worst layers are those that exported files show in plain ONNX Runtime: no code in common after the export."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from engine.analysis.sensitivity.items import items_of, switched_on
from engine.analysis.sensitivity.kinds import Question
from engine.data import load_data
from engine.export.qdq import qdq_model
from engine.graph import load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session
from engine.sim.quantsim import QuantSim

SAMPLES = 128


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def run(proto: bytes, name: str, images: np.ndarray) -> np.ndarray:
    """Class probabilities of a file in ONNX Runtime, nothing optimized."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return softmax(ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"]).run(None, {name: images})[0])


@pytest.mark.slow
def test_the_three_most_sensitive_layers_are_the_same(mobilenet: Path) -> None:
    model = load_model(mobilenet / "model.onnx")
    calibration = load_data(mobilenet / "calibration.npz")
    recipe = Recipe(target="generic")
    precision = Precision.parse("w4a8")
    session = Session(model, calibration=calibration, evaluation=load_data(mobilenet / "evaluation.npz"))
    found = session.sensitivity(Question((precision,), samples=SAMPLES), recipe)
    ours = [rank["layer"] for rank in found["rankings"][0]["ranks"]]

    sim = QuantSim(model.clone(), replace(recipe, precision=precision))
    apply_steps(sim, None)
    sim.calibrate(calibration.bind(model.inputs).subset(recipe.calibration.samples, recipe.calibration.seed))
    images = calibration.bind(model.inputs).subset(SAMPLES, 0).batch(0, SAMPLES)[model.inputs[0].name]
    reference = run(sim.model.proto.SerializeToString(), model.inputs[0].name, images)
    scores = {}
    for item in items_of(sim, "layers", "both"):
        proto = qdq_model(sim.model, switched_on(sim.quantization, item))
        changed = run(proto.SerializeToString(), model.inputs[0].name, images)
        scores[item.name] = float((reference * np.log(reference / changed)).sum(1).mean())
    theirs = sorted(scores, key=lambda name: -scores[name])
    assert theirs[:3] == ours[:3]
    values = {row["layer"]: row["value"] for row in found["scores"] if row["metric"] == "kl"}
    for name in theirs[:10]:
        assert values[name] == pytest.approx(scores[name], rel=0.02), "the same numbers, not only the same order"
