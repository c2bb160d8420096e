"""Quantized against float images a second, on one thread: `python -m benchmarks.simulate [--quick]`.

The simulation is what a desk measurement runs (the chain of sessions, with the samples per run that a trial found
fastest). Beside it: the file in plain ONNX Runtime, the exported QDQ file in plain ONNX Runtime (its integer kernels,
and with `session.disable_quant_qdq`, which keeps floats), and the torch executor.
"""
from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from benchmarks.memory import peak_of
from benchmarks.models import CASES, Case
from benchmarks.timing import Run, Times, race
from engine.analysis.runner import Runner
from engine.export import export
from engine.recipe import Recipe
from engine.sim.chain import batches
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from engine.sim.torch_executor import TorchExecutor

IMAGES = {"mobilenet_v2_224": 8, "resnet18_224": 4, "fashion_mobilenet": 256, "fashion_vit": 256}
BASE, GOAL = "plain ONNX Runtime, float", 1.6
Row = dict[str, object]
Feeds = dict[str, np.ndarray]


def session(path: Path, keep_qdq: bool = False) -> ort.InferenceSession:
    """A file as anyone would run it, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if keep_qdq:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def contestants(case: Case) -> tuple[dict[str, Run], int]:
    """What runs all images of a case, by name, and the samples per run of the chain."""
    sims = {}
    for precision in ("w8a8", "w8a16"):
        sims[precision] = QuantSim(case.model, Recipe(precision=precision))  # type: ignore[arg-type]
        sims[precision].calibrate(case.data)
    with tempfile.TemporaryDirectory() as folder:
        export(sims["w8a8"], Path(folder) / "out")
        integer, kept = (session(Path(folder) / "out" / "model_qdq.onnx", keep) for keep in (False, True))
    plain, executor = session(case.path), TorchExecutor(case.model)
    chain, batch = sims["w8a8"].chain, Runner(sims["w8a8"].chain, case.data).batch
    small = [case.data.batch(start, stop) for start, stop in batches(len(case.data), batch)]

    def over(run: Callable[[Feeds], object]) -> Run:
        return lambda: [run(feeds) for feeds in small]

    return {
        BASE: over(lambda feeds: plain.run(None, feeds)),
        "chain, float": over(lambda feeds: chain.run(FLOAT, feeds)),
        "simulation W8A8": over(sims["w8a8"].run),
        "simulation W8A16": over(sims["w8a16"].run),
        "plain ONNX Runtime, QDQ file, disable_quant_qdq": over(lambda feeds: kept.run(None, feeds)),
        "plain ONNX Runtime, QDQ file, integer kernels": over(lambda feeds: integer.run(None, feeds)),
        "torch, float": over(lambda feeds: executor.run(FLOAT, feeds)),
        "torch, W8A8": over(lambda feeds: executor.run(sims["w8a8"].quantization, feeds)),
    }, batch


def rows(name: str, case: Case, batch: int, times: Times) -> list[Row]:
    """One row per contestant."""
    made: list[Row] = []
    for run in times.seconds:
        spent, ratio, own = times.spread(run), times.ratio(run, BASE), times.ratio(run, "chain, float")
        made.append({"model": name, "run": run, "samples_per_run": batch, "images_per_second": round(len(case.data) / spent.median, 1),
                     "times_float": ratio.text(), "times_float_chain": own.text(), "goal": GOAL if run.startswith("simulation") else None})
    return made


def main(quick: bool = False) -> list[Row]:
    """All rows; the torch executor takes most of the time."""
    torch.set_num_threads(1)
    found: list[Row] = []
    for name, images in IMAGES.items():
        case = CASES[name](images)
        runs, batch = contestants(case)
        found += rows(name, case, batch, race(runs, 3 if quick else 9))
    return [*found, *peak_of(("mobilenet_v2_224", "fashion_vit"))]


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
