"""Training with quantizers: `python -m benchmarks.qat [--rows NAME …] [--cache DIR] [--json FILE]`, and its cost: `--cost`.

Each row trains one recipe on the sample's `training.npz` for at most 8 epochs and measures it on the 2,000 evaluation images, which
training has never seen: accuracy lost against the float model (paired interval, points), and what training gives over the best
post-training recipe (`fold_batch_norm, gptq` with the better range method), paired as well. Training starts from `gptq`. With
`--cache` a killed row goes on where it was, to the same result.

The cost compares a training step with the float model's own step by the same executor and optimizer: CPU seconds, steps taken in
turns, the median ratio; and the memory above a process that has only loaded the network, each in a process of its own.
"""
from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.table import show
from benchmarks.timing import race
from engine import Recipe, Session, load_data, load_model
from engine.ptq import apply_steps
from engine.sim.allocator import give_back
from engine.sim.interpreter import Interpreter
from engine.sim.quantsim import QuantSim
from engine.sim.trainable import QuantModule, trainable

FOLDER = Path(__file__).parents[1] / "sample_models"
# Chosen by the loss on samples held out of the training data; the evaluation data chose nothing.
STRONG: dict[str, Any] = {"epochs": 8, "batch": 32, "learning_rate": 2e-3, "range_rate": 3e-3, "ema": 0.99, "temperature": 2.0,
                          "augment": "flip_shift", "shift": 1}
GENTLE: dict[str, Any] = {"epochs": 4, "learning_rate": 3e-4, "range_rate": 1e-3, "ema": 0.99}
BATCH, ROUNDS = 128, 9


@dataclass(frozen=True)
class Case:
    """One recipe to train. `aim`: the drop in points that the project asks for; None where it is only reported. `method`: where the
    ranges of activations begin."""

    sample: str
    precision: str
    options: dict[str, Any]
    aim: float | None
    seeds: Sequence[int] = field(default=(0,))
    method: str = "min_max"


CASES = {
    "mobilenet-w4a4": Case("fashion_mobilenet", "w4a4", STRONG, 1.5, (0, 1, 2), "mse"),
    "mobilenet-w4a8": Case("fashion_mobilenet", "w4a8", GENTLE, 0.3),
    "mobilenet-w8a8": Case("fashion_mobilenet", "w8a8", GENTLE, 0.0),
    "mobilenet-w2a8": Case("fashion_mobilenet", "w2a8", STRONG, None, method="mse"),
    "vit-w4a8": Case("fashion_vit", "w4a8", GENTLE, 0.5),
}


def accuracy(name: str, cache: Path | None) -> list[dict[str, object]]:
    """A row for each seed of a case."""
    case = CASES[name]
    data = [load_data(FOLDER / case.sample / f"{part}.npz") for part in ("evaluation", "calibration", "training")]
    session = Session(load_model(FOLDER / case.sample / "model.onnx"), *data, cache=None if cache is None else cache / case.sample)
    base = {"mixdown": 1, "target": "generic", "precision": case.precision}
    rounding = {"steps": ["fold_batch_norm", "gptq"]}
    nearest = session.measure(Recipe.parse(base | {"steps": ["fold_batch_norm"]}))
    rivals = [base | rounding | {"calibration": {"method": method}} for method in dict.fromkeys(("min_max", case.method))]
    best, repaired = max(((session.measure(Recipe.parse(r)), r) for r in rivals), key=lambda pair: float(pair[0]["quantized"]["value"]))
    rows = []
    for seed in case.seeds:
        begin = time.process_time()
        steps = ["fold_batch_norm", "gptq", {"qat": {**case.options, "seed": seed}}]
        recipe = Recipe.parse(base | {"calibration": {"method": case.method}, "steps": steps})
        found = session.measure(recipe, lambda fraction, message: print(f"  {100 * fraction:3.0f} %  {message}", end="\r", file=sys.stderr))
        gain = session.compare(Recipe.parse(repaired), recipe)["drop"]
        rows.append({"row": name, "seed": seed, "float": _points(found["fp32"]["value"]), "nearest": _points(nearest["quantized"]["value"]),
                     "gptq": _points(best["quantized"]["value"]), "trained": _points(found["quantized"]["value"]),
                     "drop": _interval(found["drop"]), "aim": case.aim, "over gptq": _interval(gain, -1), "dB": round(found["sqnr_db"], 1),
                     "cpu_s": round(time.process_time() - begin)})
    return rows


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _interval(drop: dict[str, Any], sign: int = 1) -> str:
    low, high = sorted(sign * 100 * x for x in drop["ci95"])
    return f"{sign * 100 * drop['value']:.2f} ({low:.2f} to {high:.2f})"


class Steps:
    """A training step of a sample's network, float and with quantizers."""

    def __init__(self, sample: str, precision: str) -> None:
        model, folder = load_model(FOLDER / sample / "model.onnx"), FOLDER / sample
        calibration, training = (load_data(folder / f"{part}.npz").bind(model.inputs) for part in ("calibration", "training"))
        self.sim = QuantSim(model, Recipe.parse({"mixdown": 1, "target": "generic", "precision": precision}))
        apply_steps(self.sim, calibration)
        self.sim.calibrate(calibration.take(range(64)))
        self.inputs = {name: torch.from_numpy(array) for name, array in training.batch(0, BATCH).items()}
        self.labels = torch.from_numpy(training.labels[:BATCH])  # type: ignore[index]

    def make(self, kind: str) -> Any:
        """A function that makes one step."""
        if kind == "quantized":
            module = QuantModule(self.sim)
            return self._step(module.run, torch.optim.AdamW(module.groups(1e-4, 1e-4)))
        interpreter = Interpreter(self.sim.model.ir)
        weights = [interpreter.parameters[n] for n in trainable(self.sim.model.graph) if n in interpreter.parameters]
        return self._step(interpreter.run, torch.optim.AdamW([w.requires_grad_() for w in weights], 1e-4))

    def _step(self, run: Any, optimizer: torch.optim.Optimizer) -> Any:
        def step() -> None:
            optimizer.zero_grad()
            scores: Tensor = run(self.inputs)["logits"]
            torch.autograd.backward(functional.cross_entropy(scores, self.labels))
            optimizer.step()
        return step


def cost(sample: str, precision: str) -> dict[str, object]:
    """The step with quantizers as a multiple of the float one."""
    steps = Steps(sample, precision)
    ratio = race({kind: steps.make(kind) for kind in ("float", "quantized")}, ROUNDS).ratio("quantized", "float")
    memory = {kind: _above(sample, precision, kind) for kind in ("float", "quantized")}
    return {"sample": sample, "precision": precision, "batch": BATCH, "step / float step": ratio.text(), "float MB": round(memory["float"]),
            "quantized MB": round(memory["quantized"]), "memory / float": f"{memory['quantized'] / memory['float']:.2f}"}


def _above(sample: str, precision: str, kind: str) -> float:
    command = [sys.executable, "-m", "benchmarks.qat", "--memory", sample, precision, kind]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(sample: str, precision: str, kind: str) -> float:
    """MB that three steps need above a process that has loaded and calibrated the network."""
    steps = Steps(sample, precision)
    gc.collect()
    give_back()
    before = _status("VmRSS")
    _reset_peak()
    step = steps.make(kind)
    for _ in range(3):
        step()
    return _status("VmHWM") - before


def _reset_peak() -> None:
    """From here on the kernel's high-water mark counts anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the rows that were asked for."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qat", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", choices=tuple(CASES), default=tuple(CASES))
    parser.add_argument("--cost", action="store_true", help="the cost of a step instead")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.memory:
        print(memory(*asked.memory))
        return
    rows: list[dict[str, object]] = []
    if asked.cost:
        rows = [cost("fashion_mobilenet", "w4a4"), cost("fashion_vit", "w4a8")]
    for name in () if asked.cost else asked.rows:
        rows += accuracy(name, asked.cache)
        if asked.json:
            asked.json.write_text(json.dumps(rows, indent=1))
    show(rows)


if __name__ == "__main__":
    main()
