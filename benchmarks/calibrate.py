"""A calibration pass as a multiple of a float pass of plain ONNX Runtime: `python -m benchmarks.calibrate [--quick]`.

All tensors that the target quantizes are gathered, in one streaming pass over the same images. Goals: min-max 1.5x,
histograms 3x; the ranges of 13 bit-widths from one histogram in less than 1 ms a tensor (`ranges.py` has every method).
"""
from __future__ import annotations

import statistics
import sys
import time

import torch

from benchmarks.models import CASES, Case
from benchmarks.simulate import session
from benchmarks.timing import Run, Spread, race
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram
from engine.quant.ranges import METHODS, find_ranges
from engine.recipe import Recipe
from engine.sim.calibration import Statistics, gather
from engine.sim.quantsim import QuantSim

IMAGES = {"mobilenet_v2_224": 16, "resnet18_224": 8, "fashion_mobilenet": 512, "fashion_vit": 512}
TARGETS = ("htp_v73", "generic")
BASES, GOALS = (1, 2, 16), {"min-max": 1.5, "histograms": 3.0}
Row = dict[str, object]


def names_of(sim: QuantSim) -> list[str]:
    """The tensors whose ranges come from data."""
    return [name for name, slot in sim.placement.slots.items() if slot.quantized and slot.kind != "constant"]


def passes(name: str, case: Case, rounds: int) -> list[Row]:
    """Rows of one model; the base is the fastest of plain runs with 1, 2 and 16 images."""
    plain, runs = session(case.path), dict[str, Run]()
    for size in BASES:
        runs[f"plain {size}"] = lambda size=size: [plain.run(None, feeds) for feeds in case.data.batches(size)]
    tensors = {}
    for target in TARGETS:
        sim = QuantSim(case.model, Recipe(target=target))
        tensors[target] = names_of(sim)
        for kind in GOALS:
            runs[f"{target} {kind}"] = lambda sim=sim, target=target, kind=kind: gather(
                sim.chain, case.data, tensors[target], histograms=kind == "histograms")
    times = race(runs, rounds)
    base = min((f"plain {size}" for size in BASES), key=lambda run: times.spread(run).median)
    return [{"model": name, "calibration": kind, "target": target, "tensors": len(tensors[target]),
             "times_float_pass": times.ratio(f"{target} {kind}", base).text(), "goal": goal}
            for kind, goal in GOALS.items() for target in TARGETS]


def widths(name: str, found: Statistics) -> list[Row]:
    """Milliseconds a tensor for the ranges of 4 to 16 bits, by method, on a model's own histograms."""
    grids = [Grid(bits, "asymmetric") for bits in range(4, 17)]
    made: list[Row] = []
    for method, kind in METHODS.items():
        spent = []
        for observer in found.values():
            assert isinstance(observer, Histogram)
            observer.sums()  # sorted once per tensor, whatever the methods and widths
            begin = time.process_time()
            find_ranges(observer, grids, kind())
            spent.append(1e3 * (time.process_time() - begin))
        made.append({"model": name, "13 widths by": method, "ms_per_tensor": Spread.of(spent).text(3),
                     "mean": round(statistics.mean(spent), 3), "goal": None if method == "entropy" else 1.0})
    return made


def main(quick: bool = False) -> list[Row]:
    """All rows."""
    torch.set_num_threads(1)
    found, last = list[Row](), list[Row]()
    for name, images in IMAGES.items():
        case = CASES[name](images)
        found += passes(name, case, 3 if quick else 7)
        if name in ("mobilenet_v2_224", "fashion_mobilenet"):
            sim = QuantSim(case.model, Recipe())
            last += widths(name, gather(sim.chain, case.data, names_of(sim)))
    return found + last


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
