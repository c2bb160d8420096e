"""Accuracy after each repair: `python -m benchmarks.ptq [--rows GLOB …] [--again] [--json FILE]`.

Every row is a recipe on a model: the float value and the quantized one on evaluation data that no step has seen, the drop in
points with its paired 95 % interval, SQNR of the first output, and CPU seconds of the steps (one thread; calibration is not in
it). Rows that the JSON file holds already are shown and not run again. `efficientnet` and `minilm` need `make registry`.
"""
from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ptq_cases import ROWS, Row, case
from benchmarks.table import show
from engine.analysis.measure import Comparison
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data.metrics import resolve_metric
from engine.ptq.technique import apply_step, available, registered, steps_of
from engine.quant.precision import Int
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantsim import QuantSim

FILE = Path("out") / "ptq.json"
RANKING = 64  # calibration samples of the one-on sweep
Found = dict[str, Any]


@cache
def comparison(name: str) -> Comparison:
    """The float model's outputs on a case's evaluation data."""
    one = case(name)
    metric = resolve_metric(one.metric, one.evaluation, one.model.outputs)
    return Comparison(Runner(Chain(one.model), one.evaluation), one.evaluation, metric)


def repaired(row: Row, recipe: Recipe) -> tuple[QuantSim, float]:
    """The simulation after the recipe's steps, calibrated, and the CPU seconds of the steps."""
    one, spent = case(row.case), 0.0
    some = one.calibration.subset(recipe.calibration.samples, recipe.calibration.seed)
    sim = QuantSim(one.model.clone(), recipe)
    for step in steps_of(recipe):
        if registered(step.name).quantizes and sim.missing():
            sim.calibrate(some)
        begin = time.process_time()
        apply_step(sim, step, one.calibration)
        spent += time.process_time() - begin
    if sim.missing():
        sim.calibrate(some)
    return sim, spent


def worst_tensors(sim: QuantSim, row: Row) -> tuple[str, ...]:
    """The activation tensors that hurt most alone at the recipe's width, by a one-on sweep on calibration data.

    Tensors that share a type move together; the most that stay within the row's number are taken, worst first.
    """
    data = case(row.case).calibration.take(range(RANKING))
    items = items_of(sim, "groups", "activations")
    question = Question((sim.recipe.precision,), "one-on", "activations", "groups", RANKING)
    table = Table(question, items)
    Sweep(sim.chain, question, items, [sim.quantization], lambda a, b, n: {"kl": SCORES["kl"].parts(a, b)}).run(data, table, 0, RANKING)
    taken: tuple[str, ...] = ()
    for i in np.argsort(-table.value("kl")[:, 0]):
        tried = (*taken, *items[i].activations)
        if raised(sim, tried) <= row.ranked:
            taken = tried
    return taken


def raised(sim: QuantSim, tensors: Sequence[str]) -> int:
    """How many activation tensors have 16 bits when these do: ties and groups take others along."""
    plan = sim.moved(with_tensors(sim.recipe, tensors)).plan
    return sum(isinstance(p.dtype, Int) and p.dtype.bits == 16 for p in plan.activations.values())


def with_tensors(recipe: Recipe, tensors: Sequence[str]) -> Recipe:
    """The recipe with these tensors at 16 bits."""
    return Recipe.parse(recipe.to_dict() | {"tensors": dict.fromkeys(tensors, "a16")})


def measure(row: Row) -> Found:
    """One row's figures."""
    recipe = Recipe.parse(dict(row.recipe))
    sim, spent = repaired(row, recipe)
    more: Found = {}
    if row.ranked:
        tensors = worst_tensors(sim, row)
        sim = sim.moved(with_tensors(recipe, tensors))
        more = {"tensors": list(tensors), "a16": raised(sim, tensors), "of": len(sim.plan.activations)}
    found, _ = comparison(row.case).measure(Runner(sim.chain, case(row.case).evaluation), sim.quantization)
    low, high = found.drop.ci95 or (float("nan"), float("nan"))
    return {"float": found.fp32.value, "value": found.quantized.value, "drop": 100 * found.drop.value, "low": 100 * low,
            "high": 100 * high, "sqnr_db": found.sqnr_db, "samples": found.samples, "metric": comparison(row.case).metric.name,
            "cpu_s": spent} | more


def line(row: Row, found: Mapping[str, Any], rows: Mapping[str, Found]) -> dict[str, object]:
    """What the table shows."""
    nearest = rows.get(f"{row.name.rsplit(',', 1)[0]}, nearest", {})
    met = "" if row.met is None else "met" if row.met({**found, "nearest": nearest.get("value", 1.0)}) else "missed"
    return {"row": row.name, "metric": found["metric"], "float": f"{found['float']:.4f}", "quantized": f"{found['value']:.4f}",
            "drop, points": f"{found['drop']:.2f} ({found['low']:.2f} to {found['high']:.2f})", "SQNR dB": f"{found['sqnr_db']:.2f}",
            "CPU s": f"{found['cpu_s']:.1f}", "goal": row.goal, "": met}


def main() -> None:
    """Runs the rows that are asked for and prints all that are known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ptq", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="GLOB", help="names of rows; * and ? are wild")
    parser.add_argument("--again", action="store_true", help="run rows that the file holds, too")
    parser.add_argument("--json", type=Path, default=FILE, help=f"results, read and written; default {FILE}")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known: dict[str, Found] = json.loads(given.json.read_text()) if given.json.exists() else {}
    chosen = [row for row in ROWS if any(fnmatchcase(row.name, pattern) for pattern in given.rows)]
    for row in chosen:
        steps = [step.name for step in steps_of(Recipe.parse(dict(row.recipe)))]
        if (row.name in known and not given.again) or not set(steps) <= set(available()):
            continue
        known[row.name] = measure(row)
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(known, indent=1) + "\n")
        print(" | ".join(str(value) for value in line(row, known[row.name], known).values()), flush=True)
    show([line(row, known[row.name], known) for row in chosen if row.name in known])


if __name__ == "__main__":
    main()
