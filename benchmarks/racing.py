"""What racing saves, and how often it is right: `python -m benchmarks.racing`.

The exact scores of all samples are taken once; then each replay draws a new order of the samples and races on them. A
replay is right when its top is the top of all samples of that replay. No replay runs the network again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.sensitivity.confidence import race, ranking
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Array, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import load_data
from engine.graph import load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

SAMPLES, REPLAYS, TOP = 512, 50, 10
FOLDER = Path(__file__).parents[1] / "sample_models"


def score(reference: Array, found: Array, first: int) -> dict[str, Array]:
    """KL alone."""
    return {"kl": SCORES["kl"].parts(reference, found)}


class Replay:
    """A sweep over scores that are known already, in another order of the samples."""

    def __init__(self, whole: Table, order: Array) -> None:
        self._parts = whole.parts["kl"][:, :, order]

    def run(
        self, data: object, table: Table, start: int, stop: int, progress: object, wants: Callable[[int, int], bool], after: object = None
    ) -> None:
        """Hands out the wanted cells' scores of the next samples."""
        for item in range(len(table.items)):
            if wants(item, 0):
                table.put(item, 0, start, {"kl": self._parts[item, 0, start:stop]})


def main(quick: bool = False) -> list[dict[str, object]]:
    """One row per sample model and precision."""
    rows: list[dict[str, object]] = []
    for name in ("fashion_mobilenet",) if quick else ("fashion_mobilenet", "fashion_vit"):
        for precision in ("w8a8", "w4a8"):
            rows.append({"model": name, "precision": precision, **replays(name, precision)})
    return rows


def replays(name: str, precision: str) -> dict[str, object]:
    """The share of sample evaluations spent (median), how often the race decided, and how often its top was right."""
    model = load_model(FOLDER / name / "model.onnx")
    data = load_data(FOLDER / name / "calibration.npz", model.inputs)
    sim = QuantSim(model.clone(), Recipe(precision=precision, target="generic"))  # type: ignore[arg-type]
    apply_steps(sim, None)
    sim.calibrate(data.subset(256))
    items = items_of(sim, "ops", "both")
    question = Question((Precision.parse(precision),), "one-on", "both", "ops", SAMPLES)
    whole = Table(question, items)
    Sweep(sim.chain, question, items, [sim.quantization], score, 16).run(data, whole, 0, SAMPLES)
    want = top(whole)
    spent, right, decided = [], 0, 0
    for seed in range(REPLAYS):
        table, replay = Table(question, items), Replay(whole, np.random.default_rng(seed).permutation(SAMPLES))
        found = race(replay, data.take(range(SAMPLES)), table, top=TOP)  # type: ignore[arg-type]
        spent.append(1 - found.saved)
        decided += found.decided
        right += top(table) == want
    return {
        "items": len(items),
        "samples": SAMPLES,
        "replays": REPLAYS,
        "top": TOP,
        "spent_median": round(float(np.median(spent)), 2),
        "decided": decided,
        "right": right,
    }


def top(table: Table) -> frozenset[Any]:
    """The items in the top."""
    return frozenset(rank.item for rank in ranking(table, 0).ranks[:TOP])


if __name__ == "__main__":
    from benchmarks.table import show

    show(main())
