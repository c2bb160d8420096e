"""A model that the function-preserving steps have changed leaves as a file that does what the simulation showed, in ONNX Runtime."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from engine.data import load_data
from engine.export import export, verify
from engine.graph import load_model
from engine.graph.notes import PREFIX
from engine.ptq import apply_steps
from engine.recipe import Recipe, WeightOptions
from engine.recipe.parts import Step
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.equivalence_nets import data
from tests.engine.ptq.test_absorb_bias import normed

SAMPLES = Path(__file__).parents[3] / "sample_models"
CHAINS: dict[str, tuple[str, list[Step]]] = {
    "equalized": ("fashion_imbalanced", [Step("fold_batch_norm"), Step("cle"), Step("absorb_bias")]),
    "a limit per channel": ("fashion_mobilenet", [Step("fold_batch_norm"), Step("cle", {"channel_clip": True})]),
    "statistics anew": ("fashion_mobilenet", [Step("bn_reestimation"), Step("fold_batch_norm")]),
    "smoothed": ("fashion_vit", [Step("smooth_quant"), Step("cle")]),
}


def certified(sim: QuantSim, calibration: Any, evaluation: Any, out: Path, samples: int) -> Any:
    apply_steps(sim, calibration)
    sim.calibrate(calibration, histograms=False)
    export(sim, out)
    return verify(out, evaluation, samples=samples)


@pytest.mark.parametrize("case", CHAINS)
def test_the_samples(case: str, tmp_path: Path) -> None:
    name, steps = CHAINS[case]
    model = load_model(SAMPLES / name / "model.onnx")
    calibration, evaluation = (load_data(SAMPLES / name / f"{part}.npz").bind(model.inputs) for part in ("calibration", "evaluation"))
    recipe = Recipe(target="generic", steps=tuple(steps), weights=WeightOptions(granularity="per_tensor"))
    found = certified(QuantSim(model, recipe), calibration.subset(64), evaluation, tmp_path / "out", 200)
    assert found.passed, found.sentence
    assert found.parity[0].agreement >= 0.995


def test_absorbed_biases(tmp_path: Path) -> None:
    model = normed()
    sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("fold_batch_norm"), Step("cle"), Step("absorb_bias"))))
    found = certified(sim, data(model), data(model, 64, seed=8), tmp_path / "out", 64)
    assert found.passed, found.sentence
    for file in ("model.onnx", "model_qdq.onnx"):
        nodes = onnx.load(tmp_path / "out" / file).graph.node
        assert not any(entry.key.startswith(PREFIX) for node in nodes for entry in node.metadata_props), "notes of the desk stay inside"
