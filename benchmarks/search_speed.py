"""The speed of the search: of the solver alone, and of the whole search beside aimet-onnx's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import CASES
from benchmarks.sensitivity import eval_seconds
from engine import Recipe, Session, load_model
from engine.analysis.error_vector import error_vector
from engine.analysis.sensitivity.kinds import SCORES
from engine.data import Dataset
from engine.mixed.build import Rows, Wish, bases, space_of
from engine.mixed.frontier import budgets
from engine.mixed.goal import Goal
from engine.mixed.repair import Repair
from engine.mixed.solve import Solver
from engine.mixed.space import COLUMNS, Array, Choice
from engine.mixed.trial import Measured
from engine.mixed.writing import written
from engine.predicting import Ask
from engine.progress import Progress, silent
from engine.quant.precision import Precision
from engine.sim.kept_cuts import KeptCuts
from engine.sim.quantization import FLOAT
from tests.engine.mixed.spaces import made_up

Row = dict[str, object]
LAYERS, BUDGETS, MOVES = 300, 200, 12


def solver() -> list[Row]:
    """CPU milliseconds of the solver on 300 made-up layers x 5 precisions: median and worst of a dozen moves of a slider."""
    rows: list[Row] = []
    for seed in range(3):
        space = made_up(LAYERS, seed)
        begin = time.process_time()
        budgets(space, "bops", BUDGETS)
        whole = round(time.process_time() - begin, 2)
        held, widest = Solver([space]), space.totals(space.uniform(space.places[0].options[0].precision))
        for kind in ("bops", "size and bops", "score and size"):
            times, gaps = [], []
            for share in np.linspace(0.35, 0.7, MOVES):
                goal = _goal(kind, float(share), widest)
                begin = time.process_time()
                found = held.fast(goal).solution
                times.append(1e3 * (time.process_time() - begin))
                gaps.append(100 * found.gap(COLUMNS.index(goal.aim)))
            middle, gap = float(np.median(times)), float(np.median(gaps))
            rows.append({"seed": seed, f"{BUDGETS}_budgets_s": whole, "limits": kind, "median_ms": round(middle, 1),
                         "worst_ms": round(max(times), 1), "gap_median_%": round(gap, 2), "gap_worst_%": round(max(gaps), 2)})
    return rows


def _goal(kind: str, share: float, widest: Array) -> Goal:
    """A place of the slider; `widest` are the totals at the most bits."""
    score, size, bops = (float(v) for v in widest[:3])
    if kind == "score and size":
        return Goal({"score": score / share**3, "size_bytes": 0.75 * size}, "bops")
    return Goal({"bops": share * bops} if kind == "bops" else {"bops": share * bops, "size_bytes": 0.75 * size})


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
        found = runner.run(moved.quantization, data, 0, images, kept=run)[name]
        kl = float(SCORES["kl"].parts(reference, found).mean())
        return Measured(kl, 0.0, None, images, 0.0, 0.0, error=error_vector(reference, found, kl))

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
