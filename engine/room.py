"""A prepared graph: the model with a recipe's steps applied, its simulation and its calibration."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

from engine.analysis.runner import Runner
from engine.data import Dataset
from engine.errors import BadInput
from engine.graph.model import Model
from engine.progress import Progress, silent
from engine.ptq import StepReport, apply_steps, steps_of
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.sim.statistics_file import load_statistics, save_statistics


class Room:
    """One stepped graph that serves every recipe with the same steps.

    Attributes:
        sim: the simulation; `enter` moves it to another recipe.
        reports: what the steps did.
        runner: of the stepped graph, once data are known.
    """

    def __init__(self, model: Model, recipe: Recipe, calibration: Dataset | None, cache: Path | None,
                 strict: bool = False, progress: Progress = silent) -> None:
        self.sim = QuantSim(model.clone(), recipe, strict=strict)
        self.reports: tuple[StepReport, ...] = apply_steps(self.sim, calibration, progress)
        self.runner: Runner | None = None
        self._data, self._cache = calibration, cache
        self._key = steps_key(recipe)
        self._gathered: str | None = None

    def enter(self, recipe: Recipe) -> QuantSim:
        """The simulation under this recipe, with whatever calibration there is."""
        if self.sim.recipe is not recipe:
            self.sim.update(recipe)
        return self.sim

    def state(self, recipe: Recipe) -> str:
        """`fresh` when the ranges come from the data that the recipe asks for, `stale` when from others, `never` without any."""
        if self._gathered is None:
            return "never"
        return "fresh" if self._gathered == self._wanted(recipe) else "stale"

    def calibrated(self, recipe: Recipe, progress: Progress = silent, again: bool = False) -> QuantSim:
        """The simulation with the ranges that the recipe asks for; one pass over the data when they are not there yet."""
        sim = self.enter(recipe)
        wanted = self._wanted(recipe)
        if self._gathered == wanted and not again:
            return sim
        if self._data is None:
            if sim.missing():
                raise BadInput("this recipe quantizes activations and needs calibration data (--calibration, an .npz of "
                               f"{', '.join(i.describe() for i in sim.model.inputs)}); none were given")
            return sim
        path = None if self._cache is None else self._cache / f"statistics_{wanted}.npz"
        kept = None if path is None or again else load_statistics(path)
        if kept is not None:
            sim.adopt(kept)
        else:
            samples = self._data.subset(recipe.calibration.samples, recipe.calibration.seed)
            sim.calibrate(samples, progress)
            if path is not None:
                save_statistics(path, sim.statistics)
        self._gathered = wanted
        return sim

    def ready_runner(self, data: Dataset, progress: Progress = silent) -> Runner:
        """The runner of the stepped graph; the first call tries which batch size is fastest."""
        if self.runner is None or self.runner.chain is not self.sim.chain:
            progress(0.0, "Trying how many samples per run are fastest")
            self.runner = Runner(self.sim.chain, data)
        return self.runner

    def _wanted(self, recipe: Recipe) -> str:
        data = "none" if self._data is None else self._data.sha256
        text = json.dumps([self.sim.model.sha256, self._key, data, recipe.calibration.samples, recipe.calibration.seed, recipe.target])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def steps_key(recipe: Recipe) -> str:
    """Recipes with equal keys share a stepped graph. Folding looks at the graph alone; later steps look at the precision too."""
    steps = steps_of(recipe)
    names = [[step.name, sorted(dict(step.options).items())] for step in steps]
    if all(step.name == "fold_batch_norm" for step in steps):
        return json.dumps(names)
    return json.dumps([names, recipe.fingerprint()])


