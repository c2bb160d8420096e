"""The recipe's step `qat`: training among the other steps."""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.data import Dataset
from engine.errors import BadInput
from engine.graph.model import Model
from engine.progress import Progress
from engine.ptq import steps_of
from engine.ptq.technique import StepReport, build, technique
from engine.qat import Qat, Training, train
from engine.qat.checkpoints import kept_state
from engine.recipe import Recipe
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

FOLDER = "training"
FORMAT = 2  # of the state that is kept: one of another format is no start for a run


@technique("qat", Qat, looks_at="training")
def qat(sim: QuantSim, data: Samples | None, config: Qat, progress: Progress) -> StepReport:
    """Fine-tunes weights and ranges with the recipe's quantizers in the loop; the best epoch on held-out samples is kept."""
    if not isinstance(data, Dataset):
        raise BadInput("training needs data: give --training (images or texts like those the network was trained on; labels are needed "
                       "only where `distillation` is below 1), or --calibration, which then serves")
    folder = None if sim.kept is None else sim.kept.folder.parent / FOLDER
    found = train(sim, data, config, progress, folder, run_key(sim, data, config))
    return StepReport("qat", changes=_words(found, data), warnings=tuple(found.notes), training=found.to_json())


def kept_training(recipe: Recipe, before_last: Callable[[Recipe], QuantSim | None], data: Dataset, cache: Path) -> dict[str, Any] | None:
    """What is kept of the training that a recipe ends with, as `Training.to_json` tells it; None where no epoch of it is.

    Args:
        before_last: the simulation that it begins with; None where that is not at hand.
        cache: the folder that results of steps are kept in.
    """
    steps = steps_of(recipe)
    sim = before_last(recipe) if steps and steps[-1].name == "qat" else None
    if sim is None:
        return None
    state = kept_state(cache / FOLDER, run_key(sim, data, build(steps[-1])))
    found: dict[str, Any] | None = (state or {}).get("training")
    return found if found and found.get("epochs") else None


def run_key(sim: QuantSim, data: Dataset, config: Qat) -> str:
    """Names what a run depends on. Where it is stopped does not count: a run that goes further goes on from there."""
    digest = hashlib.sha256(f"{FORMAT}|{replace(config, stop_after=0)}|{data.sha256}|{_content(sim.model)}".encode())
    for name, encoding in sorted({**sim.quantization.activations, **sim.quantization.constants}.items()):
        digest.update(f"{name}={encoding.key()}".encode())
    return digest.hexdigest()[:24]


def _content(model: Model) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is not None:
            digest.update(f"{name}|{value.dtype}".encode())
            digest.update(np.ascontiguousarray(value.const_value.numpy()).tobytes())
    for node in model.graph:
        digest.update(f"{node.name}|{node.op_type}|{[v and v.name for v in node.inputs]}".encode())
    return digest.hexdigest()


def _words(found: Training, data: Dataset) -> tuple[str, ...]:
    told = f"{len(found.epochs)} epochs on {len(data)} samples of {data.name}"
    if not found.best:
        return (f"{told}; the validation loss never fell below its start, {found.start:.4g}",)
    return (f"{told}; the validation loss fell from {found.start:.4g} to {found.best_loss:.4g} in epoch {found.best}, which was kept",)
