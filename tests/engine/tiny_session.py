"""A session that really works, sleeps, fails and dies, but loads nothing: for tests of the worker."""
from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from engine.errors import BadInput, IllegalPrecision
from engine.progress import Making, Progress
from engine.recipe import Recipe
from engine.store import Project, Store


class TinySession:
    """What each verb does is chosen by the recipe's base precision, so tests go through the real protocol."""

    def __init__(self, project: Project, store: Store) -> None:
        if project.model.read_bytes().startswith(b"bad"):
            raise BadInput(f"{project.model.name}: not an ONNX file")
        self.project, self.store = project, store
        self.making = Making()

    def open(self, progress: Progress) -> dict[str, Any]:
        print("a library that prints to stdout")
        os.write(1, b"and one that writes to the descriptor\n")
        print("and to stderr", file=sys.stderr)
        return {"model": {"name": self.project.model.name}, "numbers": [float("nan"), float("inf"), 1.5]}

    def resolve(self, recipe: Recipe, progress: Progress) -> dict[str, Any]:
        return {"layers": [], "precision": str(recipe.precision)}

    def float_value(self, progress: Progress) -> dict[str, Any]:
        return {"fp32": {"metric": "top1", "value": 0.9}, "pid": os.getpid()}

    def measure(self, recipe: Recipe, progress: Progress, partial: Any) -> dict[str, Any]:
        if recipe.target == "generic":
            with self.making.of("ranges", "Waits for the calibration"):
                pass
        steps = 25 if str(recipe.precision) == "w8a8" else 3000
        for i in range(steps):
            time.sleep(0.02)
            progress(i / steps, f"sample {i}")
            if i % 5 == 4:
                partial({"samples": i, "quantized": {"value": 0.5}})
        return {"samples": steps, "quantized": {"value": 0.8}, "pad": "x" * 70_000,
                "layers": [{"name": "a", "precision": "w4a8", "size_bytes": 30},
                           {"name": "b", "precision": "w8a8", "size_bytes": 10}]}

    def calibrate(self, recipe: Recipe, progress: Progress) -> dict[str, Any]:
        steps = 20 if str(recipe.precision) == "w8a8" else 200
        with self.making.of("ranges", "Waits for the calibration"):
            for i in range(steps):
                time.sleep(0.02)
                progress(i / steps, "calibrating")
                if i == 10 and str(recipe.precision) == "w2a2":
                    os.kill(os.getpid(), signal.SIGKILL)
        return {"samples": steps}

    def sensitivity(self, question: Any, recipe: Recipe, on: str, racing: bool, progress: Progress, partial: Any) -> dict[str, Any]:
        total = 0
        for i in range(60):
            time.sleep(0.02)
            progress(i / 60, "scoring")
            total += i
        return {"sum": total}

    def solve(self, precisions: list[str], recipe: Recipe, max_score: float | None, progress: Progress, **given: Any) -> dict[str, Any]:
        for i in range(5 if str(recipe.precision) == "w8a8" else 3000):
            time.sleep(0.02)
            progress(0.5, f"solving {i}")
        return {"score": max_score, "asked": given}

    def layer_facts(self, recipe: Recipe, name: str, progress: Progress) -> dict[str, Any]:
        if name == "bug":
            raise KeyError(name)
        if name == "illegal":
            raise IllegalPrecision("w3a3 is illegal for conv1 on this target")
        if name == "memory":
            raise MemoryError
        raise BadInput(f"there is no layer {name!r}")

    def quantize(self, recipe: Recipe, out: Path, progress: Progress) -> dict[str, Any]:
        return {"out": str(out)}

    def verify(self, folder: Path, progress: Progress) -> dict[str, Any]:
        time.sleep(0.3 if folder.name == "brief" else 30)  # deaf: never asks whether it should stop
        return {"passed": True}


def make(project: Project, store: Store) -> TinySession:
    """The factory that `--session` names."""
    return TinySession(project, store)
