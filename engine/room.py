"""A prepared graph: the model with some steps applied, its simulation and its calibration."""
from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from engine.analysis.runner import Runner
from engine.data import Dataset
from engine.errors import BadInput
from engine.export.dialects import read_encodings
from engine.export.entries import to_quantization
from engine.progress import Making, Progress, silent
from engine.ptq import StepReport
from engine.recipe import Recipe
from engine.recipe.parts import EncodingsFile
from engine.sim.calibration import Statistics
from engine.sim.quantsim import QuantSim
from engine.sim.statistics_file import load_statistics, save_statistics

MAX_MOVED = 8


class Room:
    """One stepped graph that serves every recipe to whose steps it belongs (`engine.rooms` knows which these are). Jobs that run
    between each other's batches share it.

    Attributes:
        key: of the steps and all they looked at.
        graph: of the last step that changed the graph: rooms with equal ones have the same statistics and float values.
        sim: the graph with its statistics; `enter` moves it to a recipe.
        reports: what the steps did.
        runner: of the stepped graph, once data are known.
    """

    def __init__(self, sim: QuantSim, key: str, calibration: Dataset | None, cache: Path | None = None, base: Path = Path()) -> None:
        self.sim, self.key, self.graph = sim, key, key
        self.reports: tuple[StepReport, ...] = ()
        self.runner: Runner | None = None
        self._data, self._cache, self._base = calibration, cache, base
        self._moved: list[tuple[Recipe, QuantSim]] = []
        self._gathered: str | None = None
        self._making = Making()

    def then(self, sim: QuantSim, key: str, report: StepReport, changed: bool) -> Room:
        """The room after one more step; one that left the graph as it was leaves the calibration and the runner too."""
        other = Room(sim, key, self._data, self._cache, self._base)
        other.reports = (*self.reports, report)
        if not changed:
            other.graph, other.runner, other._gathered = self.graph, self.runner, self._gathered
            sim.adopt(self.sim.statistics)
        return other

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

    def precision(self, recipe: Recipe) -> list[Any]:
        """All that a step which looks at the precision depends on, as plain values: types, grids, ranges and where these come
        from. What a recipe says of layers is in it only as far as it is resolved to something else."""
        sim = self.enter(recipe)
        activations = [[p.tensor, str(p.dtype), p.symmetry, p.fixed_range, p.tied, repr(p.method), p.minimum, p.maximum]
                       for p in sim.plan.activations.values()]
        weights = [[p.initializer, str(p.dtype), p.symmetry, repr(p.granularity), repr(p.method)] for p in sim.plan.weights.values()]
        fixed = sorted([name, encoding.key()] for name, encoding in sim.fixed.items())
        return [recipe.target, recipe.bias, recipe.calibration.samples, recipe.calibration.seed, activations, weights, fixed]

    def _wanted(self, recipe: Recipe) -> str:
        data = "none" if self._data is None else self._data.sha256
        return digest([self.graph, data, recipe.calibration.samples, recipe.calibration.seed, recipe.target])


def digest(value: Any) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]


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
