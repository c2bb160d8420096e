"""How well the estimate from gradients ranks and scales: against the exact one-on sweep on other samples.

    python benchmarks/estimate.py [--models fashion_mobilenet,fashion_vit] [--samples 64] [--probes 1] [--items layers] [--json F]

The estimate is made on calibration samples, the exact scores on as many evaluation samples. `spearman` compares the
ranks of all items at one precision; `scale` is the median of estimate / exact over the items with a score; `half` is
the Spearman of the exact scores of two halves of the evaluation samples, which no estimate can be asked to pass;
`top` counts the items that are among the ten (a third, for small models) most sensitive of both. The real models
(efficientnet_lite0, orientation, minilm) need `make registry`. Seconds are CPU seconds of one thread; an eval is one
float run of the same samples in ONNX Runtime.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.analysis.sensitivity.estimate import estimate
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Array, ItemKind, Question, What
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.graph import Model, load_model
from engine.ptq import apply_steps
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.calibration import fixed_batch
from engine.sim.chain import batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim

ROOT = Path(__file__).resolve().parents[1]
ASKED: tuple[tuple[What, tuple[str, ...]], ...] = (("weights", ("w8a16", "w4a16", "w3a16", "w2a16")),
                                                   ("activations", ("w16a16", "w16a8", "w16a4")))
CALIBRATION = 128  # samples for the ranges
RECIPE = Recipe(target="generic")
Case = tuple[Model, Dataset, Dataset]  # calibration and evaluation samples, disjoint


@dataclass(frozen=True)
class Row:
    """One model, one precision."""

    model: str
    what: str
    bits: int
    items: int
    samples: int
    probes: int
    spearman: float
    half: float
    scale: float
    top: int
    of: int


def bundled(name: str, count: int) -> Case:
    folder = ROOT / "sample_models" / name
    model = load_model(folder / "model.onnx")
    calibration, evaluation = (load_data(folder / f"{part}.npz", model.inputs) for part in ("calibration", "evaluation"))
    return model, calibration, evaluation


def packaged(name: str, count: int) -> Case:
    """A model of `make registry` with inputs made on the spot."""
    from tests.registry import data, models

    sets: dict[str, Callable[[], tuple[Dataset, Dataset]]] = {
        "efficientnet_lite0": lambda: (Dataset("c", {"image": data.pictures("calibration", count)}),
                                       Dataset("e", {"image": data.pictures("evaluation", count)})),
        "orientation": lambda: (data.pages(count, 1), data.pages(count, 2)),
        "minilm": lambda: (data.texts(count), data.texts(count, first=3)),
    }
    model = models.load(name)
    calibration, evaluation = sets[name]()
    return model, calibration.bind(model.inputs), evaluation.bind(model.inputs)


CASES: dict[str, Callable[[str, int], Case]] = {"fashion_mobilenet": bundled, "fashion_vit": bundled, "efficientnet_lite0": packaged,
                                                "orientation": packaged, "minilm": packaged}


def spearman(a: Array, b: Array) -> float:
    return float(np.corrcoef(*(np.argsort(np.argsort(x)) for x in (a, b)))[0, 1])


def encodings(sim: QuantSim, precisions: Sequence[Precision]) -> list[Quantization]:
    found = []
    for precision in precisions:
        sim.update(replace(RECIPE, precision=precision))
        found.append(sim.quantization)
    return found


def float_seconds(sim: QuantSim, data: Dataset, count: int) -> float:
    """CPU seconds of one eval."""
    size = 1 if fixed_batch(sim.chain) else 2
    sim.chain.run(FLOAT, data.batch(0, size))
    begin = time.process_time()
    for start, stop in batches(count, size):
        sim.chain.run(FLOAT, data.batch(start, stop))
    return time.process_time() - begin


def compare(name: str, question: Question, estimated: Array, exact: Table) -> list[Row]:
    """A row for each precision."""
    parts, rows = exact.parts["kl"], []
    n = parts.shape[2]
    for p, precision in enumerate(question.precisions):
        a, b = estimated[:, p], parts[:, p].mean(1)
        some = b > 0
        bits = int(str(precision).split("a")[0][1:] if question.what == "weights" else str(precision).split("a")[1])
        of = min(10, max(3, len(a) // 3))
        top = len(set(np.argsort(-a)[:of]) & set(np.argsort(-b)[:of]))
        half = spearman(parts[:, p, :n // 2].mean(1), parts[:, p, n // 2:].mean(1))
        rows.append(Row(name, question.what, bits, len(a), n, question.probes, spearman(a, b), half,
                        float(np.median(a[some] / b[some])), top, of))
    return rows


def measure(name: str, count: int, probes: int, kind: ItemKind) -> list[Row]:
    """All rows of one model; the costs go to stderr."""
    model, calibration, evaluation = CASES[name](name, count)
    sim = QuantSim(model.clone(), RECIPE)
    apply_steps(sim, None)
    sim.calibrate(calibration.subset(CALIBRATION))
    unit = float_seconds(sim, calibration, count)
    rows = []
    for what, texts in ASKED:
        question = Question(tuple(Precision.parse(t) for t in texts), "estimate", what, kind, count, probes=probes)
        items, quantizations = items_of(sim, kind, what), encodings(sim, question.precisions)
        begin = time.process_time()
        table = estimate(sim, question, items, quantizations, calibration)
        spent = time.process_time() - begin
        exact = Table(question, items)
        begin = time.process_time()
        sweep = Sweep(sim.chain, replace(question, mode="one-on"), items, quantizations, lambda a, b, n: {"kl": SCORES["kl"].parts(a, b)})
        sweep.run(evaluation, exact, 0, count)
        swept = time.process_time() - begin
        print(f"{name} {what}: estimate {spent:.2f} s = {spent / unit:.1f} evals, exact {swept:.1f} s = {swept / unit:.0f} evals, "
              f"{len(items)} items x {len(texts)} precisions", file=sys.stderr, flush=True)
        rows += compare(name, question, table.value("kl"), exact)
    return rows


def main() -> None:
    """Prints one line per model and precision."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", default="fashion_mobilenet,fashion_vit", help=",".join(CASES))
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--probes", type=int, default=1)
    parser.add_argument("--items", default="layers", choices=("layers", "ops", "groups", "blocks"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    print(f"{'model':20} {'what':12} {'bits':>4} {'items':>5} {'samples':>7} {'spearman':>8} {'half':>5} {'scale':>5} {'top':>6}")
    for name in arguments.models.split(","):
        for row in measure(name, arguments.samples, arguments.probes, arguments.items):
            rows.append(row)
            print(f"{row.model:20} {row.what:12} {row.bits:4} {row.items:5} {row.samples:7} {row.spearman:8.2f} {row.half:5.2f} "
                  f"{row.scale:5.2f} {row.top:3}/{row.of}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
