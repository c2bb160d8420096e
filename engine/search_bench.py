"""Measures the recipes of a search: choices on the validation half, the promise on data of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.analysis.error_vector import error_vector
from engine.analysis.measure import Comparison
from engine.analysis.runner import Outputs, Runner
from engine.analysis.sensitivity.kinds import SCORES
from engine.data import Dataset
from engine.mixed.space import Choice
from engine.mixed.trial import Measured
from engine.mixed.trial_cache import TrialCache
from engine.progress import Progress, part
from engine.recipe import Recipe
from engine.sim.kept_cuts import KeptCuts


@dataclass
class Spent:
    """What a search has cost so far. `network_runs`: of the quantized network over the validation samples, less what kept cuts saved."""

    measurements: int = 0
    known: int = 0
    network_runs: float = 0.0
    score_seconds: float = 0.0
    begun: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def to_json(self) -> dict[str, Any]:
        return {"measurements": self.measurements, "known": self.known, "network_runs": self.network_runs,
                "score_seconds": self.score_seconds, "seconds": time.perf_counter() - self.begun,
                "cpu_seconds": time.process_time() - self.cpu}


class Bench:
    """The bench of one search. `recipe` writes a choice of a space; `half` is the validation half."""

    def __init__(self, session: Any, half: Dataset, recipe: Callable[[int, Choice], Recipe], spent: Spent, progress: Progress) -> None:
        self._session, self._recipe, self._spent, self._kept = session, recipe, spent, KeptCuts()
        comparison, metric = session._compare(progress)
        self._runner, self._metric = comparison.runner, metric
        self.comparison = Comparison(comparison.runner, half, metric)
        whole = comparison.reference
        if whole is not None and all(len(a) == len(comparison.data) for a in whole.values()):
            self.comparison.reference = {n: a[: len(self.comparison.data)] for n, a in whole.items()}
        folder = None if session._cache is None else session._cache / "search"
        self._cache = TrialCache(folder, [*session.content(), len(self.comparison.data)])

    def measure(self, space: int, choice: Choice, progress: Progress) -> Measured:
        """A choice on the validation half; at once where it is known."""
        recipe = self._recipe(space, choice)
        key = None if recipe.encodings is not None else recipe.fingerprint()
        found = None if key is None else self._cache.load(key)
        if found is not None:
            self._spent.known += 1
            return found
        found = self._run(self.comparison, recipe, progress, self._kept)
        if key is not None:
            self._cache.save(key, found)
        return found

    def promise(self, recipe: Recipe, data: Dataset, progress: Progress) -> Measured:
        """The recipe with all its steps, on data that nothing was chosen by."""
        return self._run(Comparison(self._runner, data, self._metric), recipe, progress, None)

    def _run(self, comparison: Comparison, recipe: Recipe, progress: Progress, kept: KeptCuts | None) -> Measured:
        reference = comparison.float_outputs(part(progress, 0.0, 0.3))
        room = self._session._room(recipe, part(progress, 0.3, 0.4))
        sim = room.calibrated(recipe, part(progress, 0.4, 0.5))
        runner: Runner = room.ready_runner(comparison.data, progress)
        run = None if kept is None else runner.kept_run(sim.quantization, kept, room.graph)
        if kept is not None and run is not None:
            kept.begin(run.keys)
        outputs = runner.run(sim.quantization, comparison.data, 0, len(comparison.data), part(progress, 0.5, 1.0), kept=run)
        self._spent.measurements += 1
        self._spent.network_runs += 1.0 if kept is None else 1.0 - kept.facts()["skipped"]
        return measured_of(comparison, reference, outputs)


def measured_of(comparison: Comparison, reference: Outputs, outputs: Outputs) -> Measured:
    """The numbers of one run."""
    found = comparison.compare(reference, outputs, len(comparison.data))
    name, drop = comparison.runner.chain.output_names[0], found.drop
    kl = float(np.mean(SCORES["kl"].parts(reference[name], outputs[name])))
    flips = None if drop.flips_lost is None or drop.flips_won is None else (drop.flips_lost, drop.flips_won)
    return Measured(kl, drop.value, drop.ci95, found.samples, found.quantized.value, found.sqnr_db, found.agreement, flips,
                    error_vector(reference[name], outputs[name], kl))
