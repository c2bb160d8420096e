"""Our side of `aimet.sh`: `python -m benchmarks.peer FOLDER [--compare]`.

Without `--compare`: writes the model and the images for both sides, and our own figures. With it: prints both.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.models import CASES
from benchmarks.sensitivity import W8A8, cpu, eval_seconds, score
from benchmarks.table import show
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.recipe import Recipe
from engine.sim.chain import batches
from engine.sim.quantsim import QuantSim

MODEL, IMAGES, ROUNDS = "mobilenet_v2_224", 16, 5


def ours(folder: Path) -> None:
    """Writes `model.onnx`, `images.npy` and `mixdown.json`."""
    case = CASES[MODEL](IMAGES)
    (folder / "model.onnx").write_bytes(case.path.read_bytes())
    np.save(folder / "images.npy", next(iter(case.data.batch(0, IMAGES).values())))
    one = eval_seconds(case)
    sim = QuantSim(case.model, Recipe(target="generic"))
    sim.calibrate(case.data, histograms=False)  # makes the sessions; both sides are timed from the second pass on
    found: dict[str, object] = {"images": IMAGES}
    found["calibration"] = cpu(lambda: sim.calibrate(case.data, histograms=False)) / one
    batch = Runner(sim.chain, case.data).batch
    feeds = [case.data.batch(a, b) for a, b in batches(IMAGES, batch)]
    found["simulation"] = float(np.median([cpu(lambda: [sim.run(f) for f in feeds]) for _ in range(ROUNDS + 1)][1:])) / one
    items = items_of(sim, "ops", "both")
    for mode in ("one-on", "one-off"):
        question = Question((W8A8,), mode, "both", "ops", IMAGES)  # type: ignore[arg-type]
        sweep = Sweep(sim.chain, question, items, [sim.quantization], score, batch)
        found[mode] = cpu(lambda s=sweep, q=question: s.run(case.data, Table(q, items), 0, IMAGES)) / one
    found["items"] = len(items)
    (folder / "mixdown.json").write_text(json.dumps(found, indent=2) + "\n")


def compare(folder: Path) -> None:
    """Both sides' evals. The sides' targets quantize different ops, so the sweeps are compared item by item."""
    mine, theirs = (json.loads((folder / f"{name}.json").read_text()) for name in ("mixdown", "aimet"))
    rows = []
    for job in ("simulation", "calibration", "one-on", "one-off"):
        counts = (mine["items"], theirs["items"]) if job.startswith("one-") else (1, 1)
        rows.append({"job": job, "mixdown_evals": round(mine[job], 2), "mixdown_items": counts[0], "aimet_evals": round(theirs[job], 2),
                     "aimet_items": counts[1], "times_fewer_per_item": round(theirs[job] / counts[1] / (mine[job] / counts[0]), 1)})
    show(rows)


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    place.mkdir(parents=True, exist_ok=True)
    (compare if "--compare" in sys.argv else ours)(place)
