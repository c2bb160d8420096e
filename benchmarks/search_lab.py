"""Where the search and AIMET's procedure are measured: spaces of a model, and the KL of any recipe on its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from engine import Recipe, Session, load_data, load_model
from engine.analysis.error_vector import error_vector
from engine.analysis.sensitivity.kinds import SCORES
from engine.mixed.baselines import widest_first
from engine.mixed.build import Rows, Wish, bases, space_of
from engine.mixed.space import Choice
from engine.mixed.trial import Measured
from engine.mixed.writing import written
from engine.predicting import Ask
from engine.progress import Progress, silent
from engine.quant.precision import Precision
from engine.sim.kept_cuts import KeptCuts
from engine.sim.quantization import FLOAT

ROOT = Path(__file__).parents[1] / "sample_models"
MEMORY = 256 << 20


def sample(name: str, images: int) -> Session:
    """A bundled sample with twice as many evaluation images, half of them fresh."""
    folder = ROOT / name
    data = load_data(folder / "evaluation.npz").take(range(2 * images))
    return Session(load_model(folder / "model.onnx"), data, load_data(folder / "calibration.npz"))


def orientation(images: int) -> Session:
    """The page orientation model of the registry on rendered pages."""
    from tests.registry import data, models

    count = max(images // 4, 16)
    return Session(models.load("orientation"), data.pages(2 * count, 1), data.pages(count, 0))


MODELS: dict[str, Callable[[int], Session]] = {
    "fashion_mobilenet": partial(sample, "fashion_mobilenet"), "fashion_vit": partial(sample, "fashion_vit"), "orientation": orientation}


@dataclass
class Lab:
    """A session's spaces, and the KL of any choice on the first half of its evaluation images (or on the other)."""

    session: Session
    candidates: tuple[Precision, ...]

    def __post_init__(self) -> None:
        assert self.session.evaluation is not None
        self.recipe, middle = Recipe(precision=widest_first(self.candidates)[-1]), len(self.session.evaluation) // 2
        self.recipe = replace(self.recipe, precision=Precision(widest_first(self.candidates)[0].weights, self.recipe.precision.activations))
        self.halves = [self.session.evaluation.take(range(middle)), self.session.evaluation.take(range(middle, 2 * middle))]
        room = self.session._room(self.recipe)
        sim = room.calibrated(self.recipe)
        self.room, self.runner = room, room.ready_runner(self.halves[0])
        rows: Rows = self.session._predictions(silent).scores(replace(self.recipe), Ask(self.candidates, "exact")).values
        self.sims = [room.enter(replace(self.recipe, precision=base)) for base in bases(self.recipe, self.candidates)]
        self.spaces = [space_of(s, Wish(self.candidates), rows) for s in self.sims]
        self.output = sim.chain.output_names[0]
        self.reference = [self.runner.run(FLOAT, half, 0, middle)[self.output] for half in self.halves]
        self.known: dict[tuple[int, int, Choice], float] = {}
        self.errors: dict[tuple[int, Choice], Any] = {}
        self.kept = [KeptCuts(MEMORY), KeptCuts(MEMORY)]

    def kl(self, space: int, choice: Choice, half: int = 0) -> float:
        """Measured once."""
        key = (half, space, choice)
        if key not in self.known:
            sim = self.room.enter(written(self.sims[space], self.spaces[space].named(choice)))
            run = self.runner.kept_run(sim.quantization, self.kept[half], "lab")
            self.kept[half].begin(run.keys)
            found = self.runner.run(sim.quantization, self.halves[half], 0, len(self.halves[half]), kept=run)[self.output]
            self.known[key] = float(SCORES["kl"].parts(self.reference[half], found).mean())
            if half == 0:
                self.errors[space, choice] = error_vector(self.reference[0], found, self.known[key])
        return self.known[key]

    def measure(self, space: int, choice: Choice, progress: Progress) -> Measured:
        """As the search and the procedure ask for it."""
        return Measured(self.kl(space, choice), 0.0, None, len(self.halves[0]), 0.0, 0.0, error=self.errors[space, choice])
