"""What rounding weights costs: `python -m benchmarks.ptq_speed [--rows GLOB …] [--folder out/aimet_rounding] [--json FILE]`.

MobileNetV2 at 224x224 (random weights cost what trained ones cost), 16 images, W4 per channel, CPU seconds of one thread. The
peer, aimet-onnx 2.42.0, is measured where FOLDER/venv has it (`benchmarks/aimet.sh` says how; `ln -s` its venv) and FOLDER/aimet.json
is not there yet. AdaRound's cost per iteration comes from two short runs on six layers; what is said of 10,000 iterations on 53 layers
is that figure multiplied, an extrapolation. Memory is the peak of a process that rounds, over one that only loads and calibrates.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.models import CASES, Case, large, mobilenet_v2
from benchmarks.peer_rounding import theirs
from benchmarks.table import show
from engine.ptq import gptq
from engine.ptq.lane import Lane
from engine.ptq.matrix import _Rows, _Windows
from engine.ptq.moments import Moments
from engine.ptq.technique import apply_step, apply_steps
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.quantsim import QuantSim
from engine.sim.segment_session import SegmentSession

IMAGES, LAYERS, ROUNDS = 16, 6, 3
SHORT, LONG, PAPER = 20, 60, 10_000  # iterations
STAGES = (  # (what is timed, of what, stage)
    (SegmentSession, "run", "both graphs"), (Lane, "_session", "sessions"), (_Windows, "rows", "windows"), (_Rows, "rows", "windows"),
    (Moments, "_flush", "moments"), (gptq, "best_target", "float target"), (gptq, "search_clip", "ranges"),
    (gptq, "round_layer", "rounding"),
)
MEMORY = """
import sys
from benchmarks.ptq_speed import deep, prepared, rounded
depth, megabytes, images = (int(a) for a in sys.argv[1:])
case = deep(depth, images)
if megabytes:
    rounded(case, "gptq", memory_mb=megabytes)
else:
    prepared(case)
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0])
"""


@dataclass
class Clock:
    """CPU seconds by stage; a stage inside another counts for itself alone."""

    seconds: dict[str, float] = field(default_factory=dict)
    _stack: list[float] = field(default_factory=list)

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            begin = time.process_time()
            self._stack.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.process_time() - begin
                self.seconds[stage] = self.seconds.get(stage, 0.0) + spent - self._stack.pop()
                if self._stack:
                    self._stack[-1] += spent
        return run


@contextmanager
def staged() -> Iterator[Clock]:
    """Times the stages while the block runs."""
    clock, old = Clock(), [(owner, name, getattr(owner, name)) for owner, name, _ in STAGES]
    try:
        for (owner, name, function), (_, _, stage) in zip(old, STAGES, strict=True):
            setattr(owner, name, clock.timed(stage, function))
        yield clock
    finally:
        for owner, name, function in old:
            setattr(owner, name, function)


@cache
def deep(depth: int, images: int) -> Case:
    """MobileNetV2 with `depth` times as many blocks."""
    return CASES["mobilenet_v2_224"](images) if depth == 1 else large(f"mobilenet_v2_{depth}", partial(mobilenet_v2, depth), images)


def prepared(case: Case, only: tuple[str, ...] = ()) -> QuantSim:
    """W4 per channel, batch normalization folded; activations at 16 bits. With `only`, all other layers stay float."""
    settings: dict[str, Any] = {"mixdown": 1, "target": "generic", "precision": "w4a16", "weights": {"granularity": "per_channel"}}
    if only:
        settings["bypass"] = [layer.name for layer in case.model.layers if layer.name not in only]
    sim = QuantSim(case.model.clone(), Recipe.parse(settings))
    apply_steps(sim, None)
    sim.calibrate(case.data, histograms=False)
    return sim


def rounded(case: Case, step: str, only: tuple[str, ...] = (), **options: Any) -> float:
    """CPU seconds of one step; calibration is not in it."""
    sim = prepared(case, only)
    begin = time.process_time()
    apply_step(sim, Step(step, options), case.data)
    return time.process_time() - begin


def six(case: Case) -> tuple[str, ...]:
    """Six layers of all sizes, from the first to the last stage."""
    names = [layer.name for layer in case.model.layers]
    return tuple(names[round(i)] for i in np.linspace(0, len(names) - 2, LAYERS))


def whole(case: Case) -> list[dict[str, object]]:
    """GPTQ and SeqMSE of all layers, GPTQ by stage."""
    with staged() as clock:
        runs = [rounded(case, "gptq") for _ in range(ROUNDS)]
    middle = statistics.median(runs)
    spent = {stage: seconds / ROUNDS for stage, seconds in clock.seconds.items()}
    spent["rest"] = sum(runs) / ROUNDS - sum(spent.values())
    layers = len(case.model.layers)
    rows: list[dict[str, object]] = [{"job": f"gptq, {layers} layers", "CPU s": f"{middle:.1f} ({min(runs):.1f}-{max(runs):.1f})",
                                      "goal": "20 [8]"}]
    rows += [{"job": f"  of it {stage}", "CPU s": f"{seconds:.1f}", "goal": ""} for stage, seconds in spent.items()]
    return rows


def per_iteration(case: Case, mode: str) -> tuple[float, float]:
    """(ms per layer and iteration of our AdaRound, CPU seconds per layer to get there)."""
    short, long = (rounded(case, "adaround", six(case), mode=mode, iterations=n) for n in (SHORT, LONG))
    return slope(short, long)


def slope(short: float, long: float) -> tuple[float, float]:
    each = (long - short) / (LONG - SHORT) / LAYERS
    return 1000 * each, short / LAYERS - SHORT * each


def beside(case: Case, folder: Path) -> list[dict[str, object]]:
    """AdaRound on six layers and SeqMSE on all, ours and the peer's."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(prepared(case).model.proto, folder / "model.onnx")
    np.save(folder / "images.npy", next(iter(case.data.batch(0, IMAGES).values())))
    task = {"bits": 4, "batch": IMAGES, "layers": list(six(case)), "iterations": [SHORT, LONG], "seq_mse": True}
    (folder / "task.json").write_text(json.dumps(task))
    peer, count = theirs(folder), len(case.model.layers)
    rows: list[dict[str, object]] = []
    sides: dict[str, tuple[float, float] | None] = {f"AdaRound {mode}": per_iteration(case, mode) for mode in ("faithful", "gram")}
    sides["aimet-onnx AdaRound"] = None if peer is None else slope(*(peer["adaround"][str(n)] for n in (SHORT, LONG)))
    for name, found in sides.items():
        if found is not None:
            each, fixed = found
            rows.append({"job": name, "ms per layer and iteration": f"{each:.1f}", "s per layer beside": f"{fixed:.2f}",
                         f"extrapolated: {count} layers x {PAPER:,}": f"{count * (fixed + each * PAPER / 1000):,.0f} s"})
    ours = statistics.median(rounded(case, "seq_mse") for _ in range(ROUNDS))
    rows.append({"job": f"seq_mse, {count} layers", "CPU s": f"{ours:.1f}", "aimet-onnx": "not measured" if peer is None else
                 f"{peer['seq_mse']:.1f}", "goal": "1/4", "ours / theirs": "" if peer is None else f"{ours / peer['seq_mse']:.2f}"})
    return rows


def memory(case: Case) -> list[dict[str, object]]:
    """What rounding adds to the peak of loading and calibrating, for budgets, depths and numbers of images."""
    rows: list[dict[str, object]] = []
    for depth, images in ((1, IMAGES), (2, IMAGES), (1, 4 * IMAGES)):
        nothing = peak(depth, 0, images)
        extra = {f"{budget} MiB": f"{peak(depth, budget, images) - nothing:.0f}" for budget in (32, 512)}
        rows.append({"job": f"peak MB over calibration, gptq, {len(deep(depth, images).model.layers)} layers, {images} images"} | extra)
    return rows


def peak(depth: int, megabytes: int, images: int) -> float:
    """Peak resident MB of a process that rounds under a budget; 0: that calibrates alone."""
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(depth), str(megabytes), str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """The tables that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ptq_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="GLOB", help="of whole, beside, memory")
    parser.add_argument("--folder", type=Path, default=Path("out") / "aimet_rounding", help="where the peer's environment and results are")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    case = deep(1, IMAGES)
    jobs: Mapping[str, Callable[[], list[dict[str, object]]]] = {
        "whole": lambda: whole(case), "beside": lambda: beside(case, given.folder), "memory": lambda: memory(case)}
    found = {}
    for name, run in jobs.items():
        if any(fnmatchcase(name, pattern) for pattern in given.rows):
            found[name] = run()
            show(found[name])
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
