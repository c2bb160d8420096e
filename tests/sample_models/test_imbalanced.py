"""fashion_imbalanced: bit-equal to fashion_mobilenet in float, useless at eight bits per tensor, and restored by equalization alone."""
from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from app.samples import bundled_samples
from engine.data import load_data
from engine.graph import load_model
from engine.recipe import load_recipe
from engine.recipe.parts import Step
from engine.session import Session
from sample_models.fashion_imbalanced.make import SOURCE, rescale

ROOT = Path(__file__).parents[2] / "sample_models"
HERE, ORIGINAL = ROOT / "fashion_imbalanced", ROOT / "fashion_mobilenet"


def logits(folder: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": part})[0] for part in np.split(images, 20)])


def test_its_logits_are_those_of_the_original_on_all_evaluation_images() -> None:
    with np.load(ORIGINAL / "evaluation.npz", allow_pickle=False) as file:
        images = file["image"].astype(np.float32) / np.float32(255)
    ours, theirs = logits(HERE, images), logits(ORIGINAL, images)
    assert np.abs(ours - theirs).max() <= 1e-6 * np.ptp(theirs)  # 0 where the kernels are the same


def test_the_script_makes_this_very_file() -> None:
    made = rescale(onnx.load(SOURCE))
    assert made.SerializeToString(deterministic=True) == (HERE / "model.onnx").read_bytes()


def test_factors_reach_five_octaves_both_ways_and_are_powers_of_two() -> None:
    ours, theirs = ({i.name: numpy_helper.to_array(i) for i in onnx.load(f / "model.onnx").graph.initializer} for f in (HERE, ORIGINAL))
    scaled = [name for name in theirs if name.endswith("bn.weight") and not np.array_equal(ours[name], theirs[name])]
    octaves = np.concatenate([np.log2(theirs[name] / ours[name]) for name in scaled])
    assert len(scaled) == 16 and np.array_equal(octaves, np.round(octaves)) and (octaves.min(), octaves.max()) == (-5, 5)


@pytest.mark.parametrize("name", ["calibration.npz", "evaluation.npz", "LICENSE-fashion-mnist.txt"])
def test_data_and_licence_are_the_originals(name: str) -> None:
    assert (HERE / name).read_bytes() == (ORIGINAL / name).read_bytes()


def test_it_is_among_the_bundled_samples() -> None:
    names = [sample.name for sample in bundled_samples()]
    assert names[0] == "fashion_mobilenet" and "fashion_imbalanced" in names
    for file in HERE.iterdir():
        assert file.suffix in (".npz", "") or not re.search(rb"/(home|root|work|tmp|Users)/", file.read_bytes()), file.name


@cache
def measured(target: str, *steps: str) -> dict[str, Any]:
    """The recipe of the card with other steps."""
    session = Session(load_model(HERE / "model.onnx"), load_data(HERE / "evaluation.npz"), load_data(HERE / "calibration.npz"))
    return session.measure(replace(load_recipe(HERE / "equalized.yaml"), target=target, steps=tuple(Step(s) for s in steps)))


@pytest.mark.parametrize("target", ["htp_v73", pytest.param("generic", marks=pytest.mark.slow)])
def test_equalization_alone_restores_it(target: str) -> None:
    collapsed, restored = measured(target, "fold_batch_norm"), measured(target, "fold_batch_norm", "cle")
    assert collapsed["quantized"]["value"] < 0.2
    assert restored["drop"]["value"] <= 0.005, "within half a point of float"
    assert restored["sqnr_db"] > 20.0
    assert restored["fp32"]["value"] == collapsed["fp32"]["value"] > 0.91
