"""On a network small enough to run every recipe of it, the search is within a hundredth of the best there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.error_vector import error_vector
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.kinds import SCORES
from engine.data import load_data
from engine.graph import load_model
from engine.mixed.build import Wish, space_of
from engine.mixed.goal import Goal
from engine.mixed.repair import Repair
from engine.mixed.space import Array, Choice, Space
from engine.mixed.trial import Measured
from engine.mixed.writing import written
from engine.progress import Progress
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session
from engine.sim.kept_cuts import KeptCuts
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim

IMAGES = 128


def gray(sizes: list[int]) -> Iterator[Choice]:
    """All choices, each differing from the one before in one layer, the last layers the most often (reflected Gray code)."""
    now, way = [0] * len(sizes), [1] * len(sizes)
    while True:
        yield tuple(now)
        place = len(sizes) - 1
        while place >= 0 and not 0 <= now[place] + way[place] < sizes[place]:
            way[place] = -way[place]
            place -= 1
        if place < 0:
            return
        now[place] += way[place]


class Lab:
    """A bundled sample in which some layers are free and the others stay at w8a8."""

    def __init__(self, folder: Path, free: int, candidates: list[str]) -> None:
        evaluation = load_data(folder / "evaluation.npz").take(range(IMAGES))
        session = Session(load_model(folder / "model.onnx"), evaluation, load_data(folder / "calibration.npz"))
        names = [layer.name for layer in session.model.layers]
        wanted = tuple(Precision.parse(c) for c in candidates)
        self.room = session._room(Recipe())
        self.sim: QuantSim = self.room.calibrated(Recipe())
        given = session.sensitivity(candidates, Recipe())
        scores: dict[str, dict[str, float]] = {}
        for row in given["scores"]:
            if row["metric"] == "kl":
                scores.setdefault(row["layer"], {})[row["precision"]] = row["value"]
        kept = frozenset(set(names) - set(np.random.default_rng(0).permutation(names)[:free]))
        self.space: Space = space_of(self.sim, Wish(wanted, kept), scores)
        assert session.evaluation is not None
        self.data, self.runner = session.evaluation, Runner(self.sim.chain, session.evaluation)
        self.reference = self.runner.run(FLOAT, self.data, 0, IMAGES)
        self.kept, self.known = KeptCuts(256 << 20), dict[Choice, float]()
        self.errors: dict[Choice, Array] = {}

    def kl(self, choice: Choice) -> float:
        if choice not in self.known:
            fixed = [p.name for p in self.space.places if p.fixed]
            sim = self.room.enter(written(self.sim, self.space.named(choice), fixed))
            run = self.runner.kept_run(sim.quantization, self.kept, "lab")
            self.kept.begin(run.keys)
            outputs = self.runner.run(sim.quantization, self.data, 0, IMAGES, kept=run)
            name = self.runner.chain.output_names[0]
            self.known[choice] = float(SCORES["kl"].parts(self.reference[name], outputs[name]).mean())
            self.errors[choice] = error_vector(self.reference[name], outputs[name], self.known[choice])
        return self.known[choice]

    def measure(self, space: int, choice: Choice, progress: Progress) -> Measured:
        return Measured(self.kl(choice), 0.0, None, IMAGES, 0.0, 0.0, error=self.errors[choice])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "free", "candidates"), [
    ("fashion_mobilenet", 10, ["w8a8", "w4a8"]), ("fashion_vit", 7, ["w8a16", "w8a8", "w4a8"])])
def test_within_a_hundredth_of_the_best_of_all_recipes(name: str, free: int, candidates: list[str]) -> None:
    lab = Lab(Path(__file__).parents[3] / "sample_models" / name, free, candidates)
    choices = [c for c in gray([len(p.options) for p in lab.space.places]) if lab.space.allows(c)]
    found = [(float(lab.space.totals(c)[2]), lab.kl(c)) for c in choices]
    assert len(found) >= 500
    for share in (0.15, 0.4, 0.7):
        cap = float(np.quantile([kl for _, kl in found], share))
        best = min(cost for cost, kl in found if kl <= cap)
        repair = Repair([lab.space], lab.measure)
        for precision in candidates:
            repair.run(0, lab.space.uniform(Precision.parse(precision)), "uniform")
        chosen = repair.cheapest(cap, Goal({}, "bops"), 40)
        assert chosen is not None
        assert chosen.measured.kl <= cap
        assert float(chosen.totals[2]) <= 1.01 * best, (share, float(chosen.totals[2]) / best, len(repair.trials))
