"""Runs the benchmarks of the README and prints their tables: `python -m benchmarks [--quick] [--json FILE]`.

`estimate`, `diagnosis` (on real networks) and `aimet.sh` (beside the peer) take longer and run by themselves.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from benchmarks import calibrate, desk, page, prediction, racing, ranges, sensitivity, simulate
from benchmarks.table import show

ALL: dict[str, Callable[[bool], list[dict[str, object]]]] = {
    "simulate": simulate.main,
    "calibrate": calibrate.main,
    "desk": desk.main,
    "page": page.main,
    "sensitivity": sensitivity.main,
    "racing": racing.main,
    "prediction": prediction.main,
}


def main() -> None:
    """One table per benchmark, then the range searches."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds instead of seven to nine")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    given = parser.parse_args()
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "threads": 1, "onnxruntime": onnxruntime.__version__,
               "torch": torch.__version__, "unit": "CPU seconds, medians (least-greatest)"}
    found: dict[str, object] = {"machine": machine}
    for name, run in ALL.items():
        begin = time.perf_counter()
        rows = run(given.quick)
        found[name] = rows
        print(f"{name} ({time.perf_counter() - begin:.0f} s)")
        show(rows)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    ranges.report(20)


if __name__ == "__main__":
    main()
