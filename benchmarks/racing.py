"""What racing saves, and how often it is right: `python -m benchmarks.racing [--quick]`.

The exact scores of a pool of 2,000 evaluation images are taken once. Each replay draws 512 of them without replacement and races
for the top 10; no replay runs the network again. `spent` is the share of the 512-image sweep's sample evaluations. `right` counts
replays whose top is that of all their 512 images, `with_ties` those that differ by nothing but items which racing calls tied.
`pool` is how often the top of all 512 images is that of the pool: what no rule on 512 images can promise. Rows with `order`
"as drawn" race without sizes: what outputs that are no class scores get.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.sensitivity.confidence import TOP, ranking
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Array, Question
from engine.analysis.sensitivity.racing import race
from engine.analysis.sensitivity.sizes import hardest_first
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.graph import load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

POOL, SAMPLES, REPLAYS = 2000, 512, 100
FOLDER = Path(__file__).parents[1] / "sample_models"


def score(reference: Array, found: Array, samples: Array) -> dict[str, Array]:
    """KL alone."""
    return {"kl": SCORES["kl"].parts(reference, found)}


class Replay:
    """A sweep over scores that are known already, of some samples in an order of their own."""

    def __init__(self, whole: Table, samples: Array) -> None:
        self.parts = whole.parts["kl"][:, :, samples]

    def run(
        self, data: object, table: Table, start: int, stop: int, progress: object, wants: Callable[[int, int], bool], after: object = None
    ) -> None:
        """Hands out the wanted cells' scores of the next samples."""
        for item in range(len(table.items)):
            if wants(item, 0):
                table.put(item, 0, start, {"kl": self.parts[item, 0, start:stop]})


def main(quick: bool = False) -> list[dict[str, object]]:
    """Rows of each sample model at two precisions, in both orders."""
    return [
        row
        for name in (("fashion_mobilenet",) if quick else ("fashion_mobilenet", "fashion_vit"))
        for precision in ("w8a8", "w4a8")
        for row in rows(name, precision)
    ]


def rows(name: str, precision: str) -> list[dict[str, object]]:
    """Both orders of one model at one precision."""
    model = load_model(FOLDER / name / "model.onnx")
    calibration, data = (load_data(FOLDER / name / f"{part}.npz", model.inputs) for part in ("calibration", "evaluation"))
    sim = QuantSim(model.clone(), Recipe(precision=precision, target="generic"))  # type: ignore[arg-type]
    apply_steps(sim, None)
    sim.calibrate(calibration.subset(256))
    data = data.take(range(POOL))
    items = items_of(sim, "ops", "both")
    whole = Table(Question((Precision.parse(precision),), "one-on", "both", "ops", POOL), items)
    Sweep(sim.chain, whole.question, items, [sim.quantization], score, 16).run(data, whole, 0, POOL)
    order, sizes = hardest_first(sim.chain, data, 16)
    assert sizes is not None
    by_sample = np.empty(POOL)
    by_sample[order] = sizes
    shared = {"model": name, "precision": precision, "items": len(items), "samples": SAMPLES, "replays": REPLAYS}
    return [{**shared, "order": word, **replays(whole, data, s)} for word, s in (("hardest first", by_sample), ("as drawn", None))]


def replays(whole: Table, data: Dataset, sizes: Array | None) -> dict[str, object]:
    """The share of sample evaluations spent (median, most), and how often the top was right."""
    spent, right, tied, pool, decided = [], 0, 0, 0, 0
    best = top(whole)
    for seed in range(REPLAYS):
        drawn = np.random.default_rng(seed).permutation(POOL)[:SAMPLES]
        if sizes is not None:
            drawn = drawn[np.argsort(-sizes[drawn], kind="stable")]
        question = Question(whole.question.precisions, "one-on", "both", "ops", SAMPLES)
        table, full, replay = Table(question, whole.items), Table(question, whole.items), Replay(whole, drawn)
        table.sizes = None if sizes is None else sizes[drawn] / sizes[drawn].mean()
        replay.run(data, full, 0, SAMPLES, None, lambda item, precision: True)
        found = race(replay, data.take(drawn), table)  # type: ignore[arg-type]
        want, value = top(full), dict(zip((i.name for i in full.items), full.value("kl")[:, 0], strict=True))
        wrong = found.best[0] ^ want
        same = sorted(value[i] for i in found.best[0]) == sorted(value[i] for i in want)  # two names of one change are one
        spent.append(found.spent / found.full)
        right += same
        tied += same or wrong <= set(found.tied[0])
        pool += want == best
        decided += found.decided
    return {"spent_median": round(float(np.median(spent)), 2), "spent_most": round(max(spent), 2), "decided": decided,
            "right": right, "with_ties": tied, "pool": pool}


def top(table: Table) -> frozenset[Any]:
    """The items in the top."""
    return frozenset(rank.item for rank in ranking(table, 0).ranks[:TOP])


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
