"""The search beside AIMET's procedure: `python -m benchmarks.search [--quick] [--models a,b] [--peer FOLDER]`.

Quality: on each model and set of candidates our implementation of AIMET's procedure (`engine/mixed/baselines.py`: groups scored
alone, then changed one after another from all-widest on) is run to its end, once with the rest of the network at 8 and once at 16
bits where both are on offer. For each point on its way, `ratio` is the cost of our cheapest measured recipe whose KL on the
same images is no higher, over the cost of that point. `median` and `worst` are over all points, `over_1` counts those more
than 1 % dearer; `fresh` is the median ratio when both KLs are taken again on other images, for the points that still hold there.
`runs` are whole-network measurements: ours in all, the procedure's with phase 1.
Cost is BOPs, and bytes where the candidates differ in weights alone.

Speed (`mobilenet_v2_224`, 16 images, w8a16 and w8a8): the whole search, from calibration to the cheapest recipe within a KL of the
geometric mean of the two uniform ones, in CPU seconds and in evals (those over the CPU seconds of one float run of the
images); beside it aimet-onnx's `analyze_mixed_precision_sensitivity` and `apply_amp` where FOLDER has them (`aimet.sh`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import CASES
from benchmarks.sensitivity import eval_seconds
from benchmarks.table import show
from engine import Recipe, Session, load_data, load_model
from engine.analysis.sensitivity.kinds import SCORES
from engine.data import Dataset
from engine.group_scores import group_scores
from engine.mixed.baselines import amp, widest_first
from engine.mixed.build import Rows, Wish, bases, space_of
from engine.mixed.goal import Aim, Goal
from engine.mixed.repair import Repair
from engine.mixed.space import COLUMNS, Choice
from engine.mixed.trial import Measured, Trial
from engine.mixed.writing import written
from engine.predicting import Ask
from engine.progress import Progress, silent
from engine.quant.precision import Precision
from engine.sim.kept_cuts import KeptCuts
from engine.sim.quantization import FLOAT
from tests.registry.packages import available

ROOT = Path(__file__).parents[1] / "sample_models"
SETS = (("w8a16", "w8a8", "w4a8"), ("w8a8", "w4a8"))
ROUNDS, IMAGES, MEMORY, PATIENCE = 12, 128, 256 << 20, 4
Row = dict[str, object]


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
        return self.known[key]

    def measure(self, space: int, choice: Choice, progress: Progress) -> Measured:
        """As the search and the procedure ask for it."""
        return Measured(self.kl(space, choice), 0.0, None, len(self.halves[0]), 0.0, 0.0)


def quality(name: str, texts: Sequence[str], images: int, rounds: int) -> list[Row]:
    """One row for each cost."""
    candidates = tuple(Precision.parse(t) for t in texts)
    lab = Lab(MODELS[name](images), candidates)
    points: list[Trial] = []
    runs = 0
    for number, space in enumerate(lab.spaces):
        scores = group_scores(lab.session, lab.recipe, space, widest_first(candidates))
        found = amp(space, number, candidates, scores, lab.measure)
        points += found.trials
        runs += found.evaluations
    costs: tuple[Aim, ...] = ("bops",) if len({p.activations for p in candidates}) > 1 else ("bops", "size_bytes")
    return [_against(lab, name, points, runs, aim, rounds) for aim in costs]


def _against(lab: Lab, name: str, points: list[Trial], runs: int, aim: Aim, rounds: int) -> Row:
    begin, column = time.process_time(), COLUMNS.index(aim)
    repair = Repair(lab.spaces, lab.measure)
    for number, space in enumerate(lab.spaces):
        for precision in lab.candidates:
            repair.run(number, space.uniform(precision), "uniform")
    for point in sorted(points, key=lambda p: p.measured.kl):
        for _ in range(PATIENCE):  # a point that we do not come up to yet is worth more rounds
            found = repair.cheapest(point.measured.kl, Goal({}, aim), rounds)
            if found is not None and found.totals[column] <= point.totals[column]:
                break
    ratios, fresh = [], []
    for point in points:
        best = repair.best(point.measured.kl, Goal({}, aim))
        ratios.append(np.inf if best is None else float(best.totals[column] / point.totals[column]))
        if best is not None and lab.kl(best.space, best.choice, 1) <= lab.kl(point.space, point.choice, 1):
            fresh.append(ratios[-1])
    return {"model": name, "candidates": ",".join(map(str, lab.candidates)), "images": len(lab.halves[0]), "cost": aim,
            "points": len(points), "median": round(float(np.median(ratios)), 3), "worst": round(float(np.max(ratios)), 3),
            "over_1": sum(r > 1.01 for r in ratios), "fresh": round(float(np.median(fresh)), 3) if fresh else None,
            "fresh_points": len(fresh), "runs": len(repair.trials), "amp_runs": runs, "cpu_s": round(time.process_time() - begin, 1)}


def speed(images: int = 16) -> Row:
    """The whole search on MobileNetV2; calibration is the images themselves, as on the peer's side."""
    case = CASES["mobilenet_v2_224"](images)
    one = eval_seconds(case)
    data = Dataset("pictures", dict(case.data.inputs))
    begin = time.process_time()
    session = Session(load_model(case.path), data, data)
    candidates = (Precision.parse("w8a16"), Precision.parse("w8a8"))
    recipe = Recipe(target="generic", precision=candidates[1])
    room = session._room(recipe)
    sim = room.calibrated(recipe)
    runner = room.ready_runner(data)
    name = sim.chain.output_names[0]
    reference = runner.run(FLOAT, data, 0, images)[name]
    rows: Rows = session._predictions(silent).scores(recipe, Ask(candidates, "estimate")).values
    scored = time.process_time() - begin
    sims = [room.enter(replace(recipe, precision=base)) for base in bases(recipe, candidates)]
    spaces = [space_of(s, Wish(candidates), rows) for s in sims]
    kept = KeptCuts()

    def measure(space: int, choice: Choice, progress: Progress) -> Measured:
        moved = room.enter(written(sims[space], spaces[space].named(choice)))
        run = runner.kept_run(moved.quantization, kept, "speed")
        kept.begin(run.keys)
        kl = float(SCORES["kl"].parts(reference, runner.run(moved.quantization, data, 0, images, kept=run)[name]).mean())
        return Measured(kl, 0.0, None, images, 0.0, 0.0)

    repair = Repair(spaces, measure)
    ends = [repair.run(k, s.uniform(s.base), "uniform").measured.kl for k, s in enumerate(spaces)]
    cap = float(np.sqrt(max(min(ends), 1e-12) * max(ends)))
    found = repair.cheapest(cap, Goal({}, "bops"), 12)
    assert found is not None
    seconds = time.process_time() - begin
    uniform = [float(s.totals(s.uniform(s.base))[COLUMNS.index("bops")]) for s in spaces]
    return {"side": "mixdown", "images": images, "cpu_s": round(seconds, 1), "evals": round(seconds / one, 1),
            "scoring_s": round(scored, 1), "network_runs": len(repair.trials), "kl/cap": round(found.measured.kl / cap, 2),
            "bops/widest": round(float(found.totals[2]) / max(uniform), 3)}


def peer(folder: Path) -> Row | None:
    """The peer's figures: those in the folder, or measured now where its environment is there."""
    kept, python = folder / "amp.json", folder / "venv" / "bin" / "python"
    if not kept.exists() and python.exists() and (folder / "model.onnx").exists():
        alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run([str(python), "-W", "ignore", str(Path(__file__).with_name("aimet_amp.py")), str(folder)], check=True, env=alone)
    if not kept.exists():
        return None
    found: dict[str, Any] = json.loads(kept.read_text())
    return {"side": "aimet-onnx", "images": found["images"], "cpu_s": round(found["seconds"], 1), "evals": round(found["evals"], 1),
            "scoring_s": round(found["analysis_seconds"], 1), "network_runs": found["runs"], "kl/cap": round(found["kl"] / found["cap"], 2),
            "bops/widest": None}


def main(quick: bool = False, names: Sequence[str] = ()) -> list[Row]:
    """The rows of quality; with `quick` one model on fewer images."""
    chosen = names or (("fashion_mobilenet",) if quick else tuple(n for n in MODELS if n != "orientation" or available()))
    return [row for name in chosen for texts in SETS for row in quality(name, texts, 64 if quick else IMAGES, 6 if quick else ROUNDS)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", default="")
    parser.add_argument("--peer", type=Path, help="the folder of aimet.sh")
    parser.add_argument("--speed", action="store_true", help="the speed alone")
    given = parser.parse_args()
    if not given.speed:
        show(main(given.quick, tuple(n for n in given.models.split(",") if n)))
    if given.speed or given.peer:
        rows = [speed()]
        other = peer(given.peer) if given.peer else None
        show([*rows, *([other] if other else [])])
        if other is None:
            print("aimet-onnx: not measured, its environment is not there; benchmarks/aimet.sh makes it")
        else:
            print(f"the peer takes {float(str(other['cpu_s'])) / float(str(rows[0]['cpu_s'])):.1f} times the CPU seconds and "
                  f"{float(str(other['evals'])) / float(str(rows[0]['evals'])):.1f} times the evals")
