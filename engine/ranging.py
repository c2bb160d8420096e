"""What a session says of ranges: their table, what they clip on data they have not seen, and why layers lose accuracy."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from engine.analysis.diagnosis import diagnose
from engine.analysis.ranges_table import tensor_rows, weight_rows
from engine.data import Dataset
from engine.errors import BadInput
from engine.progress import Progress, part
from engine.ptq import unrounded
from engine.recipe import Recipe
from engine.room import Room
from engine.sim.calibration import Statistics, gather
from engine.sim.quantsim import QuantSim

CLIP_SAMPLES = 256
Enter = Callable[[Recipe, Progress], Room]


class Ranging:
    """Ranges on one pair of data sets."""

    def __init__(self, room: Enter, calibration: Dataset | None, evaluation: Dataset | None) -> None:
        self._room, self._calibration, self._evaluation = room, calibration, evaluation
        self._clipped: tuple[Statistics, Statistics] | None = None

    def table(self, recipe: Recipe, progress: Progress) -> dict[str, Any]:
        """One pass over the calibration data, and a table of the ranges; clipping is counted on evaluation data too."""
        begin = time.perf_counter()
        if self._calibration is None:
            raise BadInput("there are no calibration data in this project; add an .npz with inputs like those of training")
        sim = self._room(recipe, part(progress, 0.0, 0.05)).calibrated(recipe, part(progress, 0.05, 0.7), again=True)
        unseen = self.unseen(sim, part(progress, 0.7, 1.0))
        return {
            "tensors": tensor_rows(sim, unseen),
            "weights": weight_rows(sim),
            "samples": min(recipe.calibration.samples, len(self._calibration)),
            "unseen_samples": 0 if self._evaluation is None else min(CLIP_SAMPLES, len(self._evaluation)),
            "seconds": time.perf_counter() - begin,
        }

    def unseen(self, sim: QuantSim, progress: Progress) -> Statistics | None:
        """Statistics of some evaluation data, gathered once for a calibration; None without such data."""
        if self._evaluation is None:
            return None
        if self._clipped is None or self._clipped[0] is not sim.statistics:
            some = self._evaluation.take(range(min(CLIP_SAMPLES, len(self._evaluation))))
            self._clipped = sim.statistics, gather(sim.chain, some, sim.statistics, progress)
        return self._clipped[1]

    def causes(self, recipe: Recipe, layers: Sequence[str] | None, progress: Progress) -> dict[str, Any]:
        """Why layers lose accuracy, on the graph before any step that rounds weights; remedies know all of the recipe's steps."""
        if self._calibration is None:
            raise BadInput("causes are found by running layers on calibration data; there are none in this project")
        early = unrounded(recipe)
        sim = self._room(early, progress).calibrated(early, part(progress, 0.0, 0.3))
        unseen = self.unseen(sim, part(progress, 0.3, 0.5))
        if early is not recipe:
            sim = sim.copy()
            sim.update(recipe)
        found = diagnose(sim, self._calibration, unseen, layers, part(progress, 0.5, 1.0))
        return {"diagnoses": [d.to_json() for d in found], "layers": None if layers is None else list(layers)}
