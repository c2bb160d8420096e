"""Time per tensor to derive the ranges of 13 bit-widths (4..16) from one histogram, for each method.

    python benchmarks/ranges.py [--repeats 50]

CPU time of one thread: median, and least, of the repeats (on a busy machine the two lie apart).
`prefix sums` is paid once per tensor after calibration,
whatever the methods and widths; `goal` is 1 ms a tensor (all widths of one method).
"""
from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.quant.grid import Grid, Symmetry
from engine.quant.histogram import Histogram
from engine.quant.ranges import METHODS, find_ranges

GOAL_MS = 1.0


def measure(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median and least CPU milliseconds of `run`, after two runs to warm up."""
    times = []
    for _ in range(repeats + 2):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times[2:]), 1e3 * min(times[2:])


def tensors() -> dict[str, torch.Tensor]:
    """A million values each: a bell curve, after a ReLU, and heavy tails."""
    torch.manual_seed(0)
    normal = torch.randn(1_000_000)
    return {"normal": normal, "relu": normal.relu(), "heavy tails": normal / torch.rand(1_000_000).add(1e-3)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50)
    report(parser.parse_args().repeats)


def report(repeats: int) -> None:
    """Prints one line per tensor and method."""
    torch.set_num_threads(1)
    symmetries: tuple[Symmetry, ...] = ("asymmetric", "symmetric")
    print(f"{'tensor':12} {'grid':11} {'method':12} {'ms for 13 widths':>16} {'least':>8}")
    for name, x in tensors().items():
        histogram = Histogram()
        histogram.update(x)

        def derive(histogram: Histogram = histogram) -> None:
            histogram._sums = None
            histogram.sums()

        spent, least = measure(derive, repeats)
        print(f"{name:12} {'':11} {'prefix sums':12} {spent:16.3f} {least:8.3f}")
        for symmetry in symmetries:
            grids = [Grid(bits, symmetry) for bits in range(4, 17)]
            for method, kind in METHODS.items():
                spent, least = measure(partial(find_ranges, histogram, grids, kind()), repeats)
                note = "" if spent < GOAL_MS else "  above the goal"
                print(f"{name:12} {symmetry:11} {method:12} {spent:16.3f} {least:8.3f}{note}")


if __name__ == "__main__":
    main()
