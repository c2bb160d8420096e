"""A prepared graph: the model with a recipe's steps applied, its simulation and its calibration."""
from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path

from engine.analysis.runner import Runner
from engine.data import Dataset
from engine.errors import BadInput
from engine.export.dialects import read_encodings
from engine.export.entries import to_quantization
from engine.graph.model import Model
from engine.progress import Making, Progress, silent
from engine.ptq import StepReport, apply_steps, steps_of
from engine.recipe import Recipe
from engine.recipe.parts import EncodingsFile
from engine.sim.calibration import Statistics
from engine.sim.quantsim import QuantSim
from engine.sim.statistics_file import load_statistics, save_statistics

MAX_MOVED = 8


class Room:
    """One stepped graph that serves every recipe with the same steps. Jobs that run between each other's batches share it.

    Attributes:
        key: tells the graph from others of the session.
        sim: the graph with its statistics; `enter` moves it to a recipe.
        reports: what the steps did.
        runner: of the stepped graph, once data are known.
    """

    def __init__(self, model: Model, recipe: Recipe, calibration: Dataset | None, cache: Path | None,
                 strict: bool = False, base: Path = Path(), progress: Progress = silent) -> None:
        self.sim = QuantSim(model.clone(), recipe, strict=strict)
        self.reports: tuple[StepReport, ...] = apply_steps(self.sim, calibration, progress)
        self.runner: Runner | None = None
        self._data, self._cache = calibration, cache
        self.key = steps_key(recipe)
        self._base = base
        self._moved: list[tuple[Recipe, QuantSim]] = []
        self._gathered: str | None = None
        self._making = Making()

    def enter(self, recipe: Recipe) -> QuantSim:
        """A simulation under this recipe, with whatever calibration there is and the encodings of its file.

        It stays what it is whatever others enter meanwhile. The last few are kept; a file may change under its name, so one
        with encodings from a file is made anew.
        """
        found = next((sim for known, sim in self._moved if known == recipe), None)
        if found is None:
            found = self.sim.moved(recipe)
            if recipe.encodings is not None:
                use_encodings(found, recipe.encodings, self._base)
                return found
            self._moved = [*self._moved[1 - MAX_MOVED:], (recipe, found)]
        return found

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
        with self._making.of(wanted, "Waits for the calibration that runs"):
            statistics = self._statistics(sim, recipe, wanted, progress, again)
        self.sim.adopt(statistics)
        self._moved, self._gathered = [], wanted
        return self.enter(recipe)

    def _statistics(self, sim: QuantSim, recipe: Recipe, wanted: str, progress: Progress, again: bool) -> Statistics:
        """From the cache unless they are to be gathered `again`."""
        path = None if self._cache is None else self._cache / f"statistics_{wanted}.npz"
        kept = None if path is None or again else load_statistics(path)
        if kept is not None or self._data is None:
            return kept or {}
        found = sim.gathered(self._data.subset(recipe.calibration.samples, recipe.calibration.seed), progress)
        if path is not None:
            save_statistics(path, found)
        return found

    def ready_runner(self, data: Dataset, progress: Progress = silent) -> Runner:
        """The runner of the stepped graph; the first call tries which batch size is fastest."""
        if self.runner is None or self.runner.chain is not self.sim.chain:
            progress(0.0, "Trying how many samples per run are fastest")
            self.runner = Runner(self.sim.chain, data)
        return self.runner

    def _wanted(self, recipe: Recipe) -> str:
        data = "none" if self._data is None else self._data.sha256
        text = json.dumps([self.sim.model.sha256, self.key, data, recipe.calibration.samples, recipe.calibration.seed, recipe.target])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def use_encodings(sim: QuantSim, wanted: EncodingsFile, base: Path) -> None:
    """Encodings from a file: those that match `frozen` stay whatever is calibrated, the others serve until data are seen.

    Raises:
        BadInput: the file does not fit the model, or holds another width than the recipe asks for.
    """
    found = to_quantization(read_encodings(base / wanted.file), sim.model)
    planned = {**{n: p.dtype for n, p in sim.plan.activations.items()}, **{n: p.dtype for n, p in sim.plan.weights.items()}}
    missing = set(sim.missing())
    for name, encoding in {**found.activations, **found.constants}.items():
        frozen = fnmatchcase(name, wanted.frozen)
        if name not in planned or not (frozen or name in missing):
            continue
        if encoding.dtype != planned[name]:
            raise BadInput(f"{wanted.file}: {name!r} is {encoding.dtype} in the file and {planned[name]} under the recipe; "
                           "change the recipe's precision, or leave the tensor out of `encodings.frozen`")
        sim.override(name, encoding)


def steps_key(recipe: Recipe) -> str:
    """Recipes with equal keys share a stepped graph. Folding looks at the graph alone; later steps look at the precision too."""
    steps = steps_of(recipe)
    names = [[step.name, sorted(dict(step.options).items())] for step in steps]
    if all(step.name == "fold_batch_norm" for step in steps):
        return json.dumps(names)
    return json.dumps([names, recipe.fingerprint()])


