"""What `benchmarks/ptq.py` measures: models with their data, and the rows of its table as plain data."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Dataset, load_data
from engine.graph import Model, load_model

ROOT = Path(__file__).resolve().parents[1]
FOLD = ("fold_batch_norm",)
Step = str | Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A model, data to calibrate on and other data to judge by (never the same samples), and the metric."""

    model: Model
    calibration: Dataset
    evaluation: Dataset
    metric: str | None


@dataclass(frozen=True)
class Row:
    """One line of the table: a recipe on a model. `goal` is in words; `met` judges the row's figures by it."""

    name: str
    case: str
    recipe: Mapping[str, Any]
    goal: str = ""
    met: Callable[[Mapping[str, Any]], bool] | None = None
    ranked: int = 0  # this many activation tensors at 16 bits, the ones that a one-on sweep finds worst


@cache
def case(name: str) -> Case:
    """Loads it once."""
    return CASES[name]()


def _sample(name: str) -> Case:
    folder = ROOT / "sample_models" / name
    model = load_model(folder / "model.onnx")
    calibration, evaluation = (load_data(folder / f"{part}.npz", model.inputs) for part in ("calibration", "evaluation"))
    return Case(model.with_sample(calibration.batch(0, 1)), calibration, evaluation, None)


def _efficientnet() -> Case:
    """48 crops of 16 pictures to calibrate, 192 of 8 other pictures to judge by."""
    from tests.registry import data, models

    model = models.load("efficientnet_lite0")
    counts = {"varied calibration": 48, "evaluation": 192}
    sets = [Dataset(which, {"image": data.pictures(which, count)}).bind(model.inputs) for which, count in counts.items()]
    return Case(model.with_sample(sets[0].batch(0, 1)), *sets, "agreement")


def _efficientnet_crops() -> Case:
    """48 crops of 16 pictures to calibrate, 128 other crops of the same pictures to judge by: no picture is new."""
    from tests.registry import data, models

    model = models.load("efficientnet_lite0")
    crops = [data.pictures(which, 88) for which in ("calibration", "evaluation")]
    sets = [Dataset(name, {"image": np.concatenate([one[part] for one in crops])}).bind(model.inputs)
            for name, part in (("calibration", slice(0, 24)), ("evaluation", slice(24, 88)))]
    return Case(model.with_sample(sets[0].batch(0, 1)), *sets, "agreement")


def _minilm() -> Case:
    from tests.registry import data, models

    model = models.load("minilm")
    sets = [data.texts(count, first).bind(model.inputs) for count, first in ((128, 0), (128, 3))]
    return Case(model.with_sample(sets[0].batch(0, 1)), *sets, "cosine")


CASES: dict[str, Callable[[], Case]] = {
    **{name: partial(_sample, name) for name in ("fashion_mobilenet", "fashion_vit", "fashion_imbalanced")},
    "efficientnet_lite0": _efficientnet,
    "efficientnet_lite0 crops": _efficientnet_crops,
    "minilm": _minilm,
}


def _recipe(precision: str, *steps: Step, **more: Any) -> dict[str, Any]:
    return {"mixdown": 1, "target": "generic", "precision": precision, "steps": [*FOLD, *steps],
            "calibration": {"samples": 512}} | more


def _device(precision: str, *steps: Step, **more: Any) -> dict[str, Any]:
    """Under the rules of the default target, which decide what of a transformer has a quantizer."""
    return _recipe(precision, *steps, **more) | {"target": "htp_v73"}


def _drop(points: float) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row["drop"] <= points


def _value(least: float) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row["value"] >= least


def _sixty(row: Mapping[str, Any]) -> bool:
    return bool(row["value"] - row["nearest"] >= 0.6 and row["sqnr_db"] >= 8)


SIXTY = "agreement 0.60 above nearest, 8 dB"
PER_TENSOR = {"weights": {"granularity": "per_tensor"}}
PER_CHANNEL = {"weights": {"granularity": "per_channel"}}
EMBEDDING = {"layers": {"op:Gather": "w8a16"}}
MSE = {"calibration": {"samples": 512, "method": "mse"}}
PAPER = {"adaround": {"mode": "faithful", "iterations": 2000, "learning_rate": 0.01}}
SMOOTH = "smooth_quant"

ROWS = (
    Row("imbalanced w8a8 tensor, nearest", "fashion_imbalanced", _recipe("w8a8", **PER_TENSOR)),
    Row("imbalanced w8a8 tensor, cle", "fashion_imbalanced", _recipe("w8a8", "cle", **PER_TENSOR), "drop <= 0.5", _drop(0.5)),
    Row("mobilenet w4a8 channel, nearest", "fashion_mobilenet", _recipe("w4a8", **PER_CHANNEL)),
    Row("mobilenet w4a8 channel, gptq", "fashion_mobilenet", _recipe("w4a8", "gptq", **PER_CHANNEL), "drop <= 0.5", _drop(0.5)),
    Row("mobilenet w4a8 channel, adaround gram", "fashion_mobilenet", _recipe("w4a8", "adaround", **PER_CHANNEL)),
    Row("mobilenet w4a8 channel, adaround faithful 2,000", "fashion_mobilenet", _recipe("w4a8", PAPER, **PER_CHANNEL)),
    Row("mobilenet w4a8 channel, seq_mse", "fashion_mobilenet", _recipe("w4a8", "seq_mse", **PER_CHANNEL)),
    Row("mobilenet w4a8 tensor, nearest", "fashion_mobilenet", _recipe("w4a8", **PER_TENSOR)),
    Row("mobilenet w4a8 tensor, gptq", "fashion_mobilenet", _recipe("w4a8", "gptq", **PER_TENSOR), "drop <= 2", _drop(2.0)),
    Row("mobilenet w3a8 channel, nearest", "fashion_mobilenet", _recipe("w3a8", **PER_CHANNEL)),
    Row("mobilenet w3a8 channel, gptq", "fashion_mobilenet", _recipe("w3a8", "gptq", **PER_CHANNEL), "drop <= 1.5", _drop(1.5)),
    Row("vit w8a8, nearest", "fashion_vit", _recipe("w8a8", **PER_CHANNEL), "drop <= 0.3", _drop(0.3)),
    Row("vit w4a8 channel, nearest", "fashion_vit", _recipe("w4a8", **PER_CHANNEL)),
    Row("vit w4a8 channel, gptq", "fashion_vit", _recipe("w4a8", "gptq", **PER_CHANNEL), "drop <= 1", _drop(1.0)),
    Row("vit w4a8 channel, adaround gram", "fashion_vit", _recipe("w4a8", "adaround", **PER_CHANNEL)),
    Row("vit w4a8 channel, adaround faithful 2,000", "fashion_vit", _recipe("w4a8", PAPER, **PER_CHANNEL)),
    Row("efficientnet w4 other pictures, nearest", "efficientnet_lite0", _recipe("w4a16", **PER_CHANNEL)),
    Row("efficientnet w4 other pictures, gptq", "efficientnet_lite0", _recipe("w4a16", "gptq", **PER_CHANNEL), SIXTY, _sixty),
    Row("efficientnet w4 other crops, nearest", "efficientnet_lite0 crops", _recipe("w4a16", **PER_CHANNEL)),
    Row("efficientnet w4 other crops, gptq", "efficientnet_lite0 crops", _recipe("w4a16", "gptq", **PER_CHANNEL), SIXTY, _sixty),
    Row("minilm w8a16", "minilm", _device("w8a16"), "cosine >= 0.995", _value(0.995)),
    Row("minilm w8a8, nearest", "minilm", _device("w8a8")),
    Row("minilm w8a8, smooth_quant", "minilm", _device("w8a8", SMOOTH)),
    Row("minilm w8a8, mse ranges", "minilm", _device("w8a8", **MSE)),
    Row("minilm w8a8, smooth_quant + mse ranges", "minilm", _device("w8a8", SMOOTH, **MSE), "cosine > 0.86", _value(0.86)),
    Row("minilm w8a8, 20 tensors at a16", "minilm", _device("w8a8"), "cosine >= 0.985", _value(0.985), ranked=20),
    Row("minilm w4a16, embedding w8, nearest", "minilm", _device("w4a16", **EMBEDDING)),
    Row("minilm w4a16, embedding w8, gptq", "minilm", _device("w4a16", "gptq", **EMBEDDING), "cosine >= 0.96", _value(0.96)),
)
