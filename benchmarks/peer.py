"""Beside aimet-onnx 2.42.0 on the same MobileNetV2: `python -m benchmarks.peer [FOLDER]`.

Measures our side, then the peer's where FOLDER/venv has it (`aimet.sh` makes that) and FOLDER/aimet.json is not there yet, and
prints both; a peer that is not there is said to be not measured. Unit: evals, CPU seconds of one thread over those of one float
run of the same images in plain ONNX Runtime. Both sides run 16 images; `top 10 by racing` and the estimates need more to show
anything and run 256. The peer's sweep runs every item on every image, so its evals are the same for any number of images.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import CASES, Case
from benchmarks.sensitivity import W8A8, cpu, eval_seconds, score
from benchmarks.table import show
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.answer import quantizations_of
from engine.analysis.sensitivity.confidence import TOP
from engine.analysis.sensitivity.estimate import estimate
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Question
from engine.analysis.sensitivity.racing import race
from engine.analysis.sensitivity.sizes import hardest_first
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import batches
from engine.sim.quantsim import QuantSim

MODEL, IMAGES, MANY, ROUNDS = "mobilenet_v2_224", 16, 256, 5
SEVERAL = ("w8a16", "w8a8", "w4a8", "w4a4", "w3a8")
Found = dict[str, Any]


def ours(folder: Path) -> Found:
    """Writes `model.onnx`, `images.npy` and `mixdown.json`."""
    case = CASES[MODEL](IMAGES)
    (folder / "model.onnx").write_bytes(case.path.read_bytes())
    np.save(folder / "images.npy", next(iter(case.data.batch(0, IMAGES).values())))
    one = eval_seconds(case)
    sim = QuantSim(case.model, Recipe(target="generic"))
    sim.calibrate(case.data, histograms=False)  # makes the sessions; both sides are timed from the second pass on
    found: Found = {"images": IMAGES}
    found["calibration"] = cpu(lambda: sim.calibrate(case.data, histograms=False)) / one
    batch = Runner(sim.chain, case.data).batch
    feeds = [case.data.batch(a, b) for a, b in batches(IMAGES, batch)]
    found["simulation"] = float(np.median([cpu(lambda: [sim.run(f) for f in feeds]) for _ in range(ROUNDS + 1)][1:])) / one
    items = items_of(sim, "ops", "both")
    for mode in ("one-on", "one-off"):
        question = Question((W8A8,), mode, "both", "ops", IMAGES)  # type: ignore[arg-type]
        sweep = Sweep(sim.chain, question, items, [sim.quantization], score, batch)
        found[mode] = cpu(lambda s=sweep, q=question: s.run(case.data, Table(q, items), 0, IMAGES)) / one
    found |= {"items": len(items)} | shortcuts(sim, CASES[MODEL](MANY), batch)
    (folder / "mixdown.json").write_text(json.dumps(found, indent=2) + "\n")
    return found


def shortcuts(sim: QuantSim, case: Case, batch: int) -> Found:
    """Racing and the estimate, beginning with nothing but a calibrated simulation."""
    items, one, found = items_of(sim, "ops", "both"), eval_seconds(case), {}

    def raced() -> None:
        question = Question((W8A8,), "one-on", "both", "ops", MANY)
        table = Table(question, items)
        order, table.sizes = hardest_first(sim.chain, case.data, batch)
        sweep = Sweep(sim.chain, question, items, [sim.quantization], score, batch)
        result = race(sweep, case.data.take(order), table, top=TOP)
        found["racing_spent"] = result.spent / result.full

    found["racing"] = cpu(raced) / one
    for name, texts in (("estimate", ("w8a8",)), ("estimates", SEVERAL)):
        question = Question(tuple(Precision.parse(t) for t in texts), "estimate", "both", "ops", MANY)
        quantizations = quantizations_of(sim, question.precisions)
        found[name] = cpu(lambda q=question, z=quantizations: estimate(sim, q, items, z, case.data)) / one
    return found


def theirs(folder: Path) -> Found | None:
    """The peer's figures: those in the folder, or measured now where its environment is there."""
    kept, python = folder / "aimet.json", folder / "venv" / "bin" / "python"
    if not kept.exists() and python.exists():
        alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        subprocess.run([str(python), "-W", "ignore", str(Path(__file__).with_name("aimet_peer.py")), str(folder)], check=True, env=alone)
    return json.loads(kept.read_text()) if kept.exists() else None


def compare(mine: Found, peer: Found | None) -> None:
    """Both sides' evals. The sides' targets quantize different ops, so sweeps are compared item by item too."""
    rows = []
    for job in ("simulation", "calibration", "one-on", "one-off"):
        counts = (mine["items"], peer["items"] if peer else None) if job.startswith("one-") else (1, 1)
        rows.append({"job": job, **_beside(mine[job], peer and peer[job], *counts)})
    for job, key in ((f"top {TOP} by racing, {MANY} images, against the peer's one-on sweep", "racing"),
                     (f"estimate, {MANY} images, against the same", "estimate"),
                     (f"estimate of {len(SEVERAL)} precisions, against one such sweep", "estimates")):
        rows.append({"job": job, **_beside(mine[key], peer and peer["one-on"], mine["items"], peer and peer["items"])})
    show(rows)
    print(f"racing ran {100 * mine['racing_spent']:.0f} % of the sample evaluations")
    if peer is None:
        print("aimet-onnx: not measured, its environment is not there; benchmarks/aimet.sh makes it")


def _beside(mine: float, peer: float | None, items: int, peer_items: int | None) -> dict[str, object]:
    """One row's figures; the peer's are empty where it was not measured."""
    found: dict[str, object] = {"mixdown_evals": round(mine, 2), "mixdown_items": items, "aimet_evals": None, "aimet_items": None,
                                "times_fewer": None, "times_fewer_per_item": None}
    if peer is not None and peer_items is not None:
        found |= {"aimet_evals": round(peer, 2), "aimet_items": peer_items, "times_fewer": round(peer / mine, 1),
                  "times_fewer_per_item": round(peer / peer_items / (mine / items), 1)}
    return found


def main() -> None:
    """Both sides in one table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out") / "aimet"
    folder.mkdir(parents=True, exist_ok=True)
    compare(ours(folder), theirs(folder))


if __name__ == "__main__":
    main()
