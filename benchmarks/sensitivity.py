"""The exact sweep against full re-runs and against the bound: `python -m benchmarks.sensitivity [--quick]`.

Unit: evals, CPU seconds over those of one float run of the same images in plain ONNX Runtime, same process.
`bound` is the sum over all items of the share of the graph that follows the item's first node, measured by running
the float chain from each segment on: no method that runs every item's suffix can be cheaper. Items are all ops with a
quantizer, each with all its inputs, its weight and its output.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import onnxruntime as ort

from benchmarks.models import CASES, Case
from benchmarks.simulate import session
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.items import items_of, switched_off, switched_on
from engine.analysis.sensitivity.kinds import SCORES, Array, Item, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from engine.sim.tails import Places

Row = dict[str, object]
IMAGES = {"mobilenet_v2_224": (16, 64), "resnet18_224": (8,), "fashion_vit": (64,), "fashion_mobilenet": (64,)}
QUICK = {"mobilenet_v2_224": (8,), "fashion_vit": (32,)}
W8A8 = Precision.parse("w8a8")


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def score(reference: Array, found: Array, samples: Array) -> dict[str, Array]:
    """KL alone: the additive score."""
    return {"kl": SCORES["kl"].parts(reference, found)}


def eval_seconds(case: Case) -> float:
    """One float run of all images in plain ONNX Runtime, one at a time; the median of five."""
    plain = session(case.path)
    feeds = [case.data.batch(i, i + 1) for i in range(len(case.data))]
    return float(np.median([cpu(lambda: [plain.run(None, f) for f in feeds]) for _ in range(5)]))


def bound_seconds(sim: QuantSim, case: Case, items: tuple[Item, ...], batch: int) -> float:
    """The sum of suffix costs: for each item the float chain from its segment on, and half of that segment for where in it it lies."""
    chain, places = sim.chain, Places(sim.chain)
    starts = [p for item in items if (p := places.first((*item.constants, *item.activations))) is not None]
    suffix: list[float] = []
    wanted = frozenset(chain.output_names)
    for start in range(len(chain.segments)):
        total = 0.0
        for first, last in batches(len(case.data), batch):
            feeds = case.data.batch(first, last)
            kept = chain.run(FLOAT, feeds, chain.needs(start)) if start else feeds
            values = {
                n: ort.OrtValue.ortvalue_from_numpy(kept[n] if n in kept else feeds[n])
                for n in chain.needs(start) | (set() if start else set(feeds))
            }
            total += cpu(lambda s=start, v=values: chain.run_from(s, FLOAT, v, wanted))
        suffix.append(total)
    suffix.append(0.0)
    shares = {(p.segment, p.position): p.position / max(len(chain.segments[p.segment].nodes), 1) for p in starts}
    return sum(suffix[p.segment] - shares[p.segment, p.position] * (suffix[p.segment] - suffix[p.segment + 1]) for p in starts)


def full_seconds(
    sim: QuantSim, case: Case, items: tuple[Item, ...], quantization: Quantization, mode: str, batch: int
) -> tuple[float, list[Array]]:
    """Every item by running the whole changed graph again, its session made anew: what tools without a chain do."""
    switch = switched_on if mode == "one-on" else switched_off
    outputs: list[Array] = []

    def run() -> None:
        for item in items:
            whole = Chain(sim.model, min_nodes=10**6, max_nodes=10**7)
            change = switch(quantization, item)
            parts = [whole.run(change, case.data.batch(a, b)) for a, b in batches(len(case.data), batch)]
            outputs.append(np.concatenate([p[whole.output_names[0]] for p in parts]))

    return cpu(run), outputs


def measure(name: str, images: int, brute: bool) -> list[Row]:
    """Rows of one model at one number of images, both exact modes."""
    case = CASES[name](images)
    sim = QuantSim(case.model, Recipe())
    sim.calibrate(case.data)
    items = items_of(sim, "ops", "both")
    batch = Runner(sim.chain, case.data).batch
    one = eval_seconds(case)
    bound = bound_seconds(sim, case, items, batch) / one
    rows: list[Row] = []
    for mode in ("one-on", "one-off"):
        question = Question((W8A8,), mode, "both", "ops", images)  # type: ignore[arg-type]
        table = Table(question, items)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sweep = Sweep(sim.chain, question, items, [sim.quantization], score, batch)
        made = cpu(sweep.prepare)
        spent = cpu(lambda s=sweep, t=table: s.run(case.data, t, 0, images))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        row: Row = {
            "model": name,
            "items": len(items),
            "images": images,
            "mode": mode,
            "evals": round(spent / one, 1),
            "evals_for_sessions": round(made / one, 1),
            "bound": round(bound, 1) if mode == "one-on" else None,
            "times_bound": round(spent / one / bound, 2) if mode == "one-on" else None,
            "grown_mb": round(grown),
        }
        if brute:
            seconds, outputs = full_seconds(sim, case, items, sim.quantization, mode, batch)
            row |= {"evals_full_rerun": round(seconds / one, 1), "worst_difference": worst(sim, case, outputs, table)}
        rows.append(row)
    return rows


def worst(sim: QuantSim, case: Case, outputs: list[Array], table: Table) -> float:
    """The greatest relative difference of an item's KL between the sweep and full re-runs."""
    reference = sim.chain.run(FLOAT, case.data.batch(0, len(case.data)))[sim.chain.output_names[0]]
    values = np.asarray([SCORES["kl"].parts(reference, found).mean() for found in outputs])
    found = table.value("kl")[:, 0]
    return float(np.max(np.abs(values - found) / np.maximum(np.abs(values), 1e-3 * values.max())))


def main(quick: bool = False) -> list[Row]:
    """All rows."""
    return [
        row
        for name, counts in (QUICK if quick else IMAGES).items()
        for i, count in enumerate(counts)
        for row in measure(name, count, i == 0)
    ]


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
