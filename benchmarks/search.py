"""The search beside AIMET's procedure: `python -m benchmarks.search [--quick] [--models a,b] [--peer FOLDER] [--again]`.

Every table in one go. Rows are kept in a file as they are made, under the code and the settings that they were made with, so a run
that was stopped goes on where it was; `--again` makes them anew.

Quality: on each model and set of candidates our implementation of AIMET's procedure (`engine/mixed/baselines.py`: groups scored
alone, then changed one after another from all-widest on) is run to its end, once with the rest of the network at 8 and once at 16
bits where both are on offer. For each point on its way, `ratio` is the cost of our cheapest measured recipe whose KL on the
same images is no higher, over the cost of that point. `median` and `worst` are over all points, `over_1` counts those more
than 1 % dearer; `fresh` is the median ratio when both KLs are taken again on other images, for the points that still hold there.
`runs` are whole-network measurements: ours in all, the procedure's with phase 1.
Cost is BOPs, and bytes where the candidates differ in weights alone. Where a network has few enough recipes, all of them are
modelled and those that might be better are measured (`search_limit.py`): what is left to find.

Solver: CPU milliseconds for 300 made-up layers x 5 precisions; the gap is to the Lagrangian bound.

Speed (`mobilenet_v2_224`, 16 images, w8a16 and w8a8): the whole search, from calibration to the cheapest recipe within a KL of the
geometric mean of the two uniform ones, in CPU seconds and in evals (those over the CPU seconds of one float run of the
images); beside it aimet-onnx's `analyze_mixed_precision_sensitivity` and `apply_amp` where FOLDER has them (`aimet.sh`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.search_lab import MODELS, ROOT, Lab
from benchmarks.search_limit import limit
from benchmarks.search_speed import Row, peer, solver, speed
from benchmarks.table import show
from engine.group_scores import group_scores
from engine.mixed.baselines import amp, widest_first
from engine.mixed.goal import Aim, Goal
from engine.mixed.repair import Repair
from engine.mixed.space import COLUMNS
from engine.mixed.trial import Trial
from engine.quant.precision import Precision
from tests.registry.packages import available

SETS = (("w8a16", "w8a8", "w4a8"), ("w8a8", "w4a8"))
ROUNDS, IMAGES, PATIENCE, MOST_TURNS = 12, 128, 4, 10
APART = ("takes", "latency", "certifies", "mix", "shape")  # modules of the search that no row depends on


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
    return [*(_against(lab, name, points, runs, aim, rounds) for aim in costs), *all_found(lab, name, points)]


def _against(lab: Lab, name: str, points: list[Trial], runs: int, aim: Aim, rounds: int) -> Row:
    begin, column = time.process_time(), COLUMNS.index(aim)
    repair = Repair(lab.spaces, lab.measure)
    for number, space in enumerate(lab.spaces):
        for precision in lab.candidates:
            repair.run(number, space.uniform(precision), "uniform")
    for point in sorted(points, key=lambda p: p.measured.kl):
        for turn in range(MOST_TURNS):  # a point that we do not come up to yet is worth more rounds
            found = repair.cheapest(point.measured.kl, Goal({}, aim), rounds)
            if found is not None and found.totals[column] <= point.totals[column] * (1.0 if turn < PATIENCE else 1.01):
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


def all_found(lab: Lab, name: str, points: list[Trial]) -> list[Row]:
    """What is left to find in BOPs, where all recipes can be modelled."""
    cost = COLUMNS.index("bops")
    found = limit(lab, [(float(p.totals[cost]), p.measured.kl) for p in points], cost) if len(lab.spaces) == 1 else None
    return [] if found is None else [{"model": name, "candidates": ",".join(map(str, lab.candidates)), **found}]


class Kept:
    """Rows on disk by what they were made with."""

    def __init__(self, again: bool) -> None:
        mixed = [p for p in sorted((ROOT.parent / "engine" / "mixed").glob("*.py")) if p.stem not in APART]
        sources = [*mixed, *sorted(Path(__file__).parent.glob("search*.py"))]
        self.code = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()
        self.path = Path(tempfile.gettempdir()) / f"mixdown_benchmark_{os.getuid()}" / "search.json"
        self.again = again

    def rows(self, key: str, make: Callable[[], list[Row]]) -> list[Row]:
        """The rows of a key, made now unless they are there; shown at once."""
        try:
            known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            known = {}
        name = f"{key} {self.code}"
        if name not in known or self.again:
            known = {k: v for k, v in known.items() if k.endswith(self.code)} | {name: make()}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(known))
        found: list[Row] = known[name]
        show(found)
        sys.stdout.flush()
        return found


def main(quick: bool = False, names: Sequence[str] = (), again: bool = False) -> list[Row]:
    """The rows of quality; with `quick` one model on fewer images."""
    chosen = names or (("fashion_mobilenet",) if quick else tuple(n for n in MODELS if n != "orientation" or available()))
    images, rounds, kept = (64, 6, Kept(again)) if quick else (IMAGES, ROUNDS, Kept(again))
    return [row for name in chosen for texts in SETS
            for row in kept.rows(f"{name} {','.join(texts)} {images} {rounds}", partial(quality, name, texts, images, rounds))]


def _speeds(folder: Path | None, again: bool) -> None:
    kept = Kept(again)
    kept.rows("solver", solver)
    row = kept.rows("speed", lambda: [speed()])[0]
    other = peer(folder) if folder else None
    if other is None:
        print("aimet-onnx: not measured, its environment is not there; benchmarks/aimet.sh makes it")
        return
    show([other])
    print(f"the peer takes {float(str(other['cpu_s'])) / float(str(row['cpu_s'])):.1f} times the CPU seconds and "
          f"{float(str(other['evals'])) / float(str(row['evals'])):.1f} times the evals")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", default="")
    parser.add_argument("--peer", type=Path, help="the folder of aimet.sh")
    parser.add_argument("--speed", action="store_true", help="the speed alone")
    parser.add_argument("--again", action="store_true", help="makes all rows anew")
    given = parser.parse_args()
    if not given.speed:
        main(given.quick, tuple(n for n in given.models.split(",") if n), given.again)
    _speeds(given.peer, given.again)
