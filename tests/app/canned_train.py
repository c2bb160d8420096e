"""What the canned session says of a training and of a search for its settings, in the shape of the engine's answers."""
from __future__ import annotations

import time
from typing import Any

START, STEPS = 2.1, 4


def train(options: dict[str, Any], pause: float, progress: Any, tell: Any) -> dict[str, Any]:
    """Epochs, told live; the figures as `engine.qat.Training` has them."""
    wanted = int(options.get("epochs", 4))
    limit = min(int(options.get("stop_after", 0)) or wanted, wanted)
    found: dict[str, Any] = {"start": START, "epochs": [], "best": 0, "notes": [], "metric": "top1", "start_score": 0.31,
                             "float_score": 0.92}
    for number in range(1, limit + 1):
        for step in range(STEPS):
            time.sleep(pause)
            done = (number - 1) * STEPS + step + 1
            progress(done / (limit * STEPS), f"Training: epoch {number} of {limit}")
            tell({"kind": "training", "epoch": number, "epochs": limit, "step": done, "steps": limit * STEPS, "learning_rate": 1e-3,
                  "loss": START / (number + 0.5), "samples_per_second": 610.0, "training": {**found, "epochs": list(found["epochs"])}})
        found["epochs"].append(epoch(number))
        found["best"] = number
    return found


def kept() -> dict[str, Any]:
    """A training of which two epochs are on disk."""
    return {"start": START, "epochs": [epoch(1), epoch(2)], "best": 2, "notes": [], "metric": "top1", "start_score": 0.31,
            "float_score": 0.92}


def epoch(number: int, validation: float | None = None) -> dict[str, Any]:
    """One epoch's figures."""
    held = START / (number + 1) if validation is None else validation
    return {"number": number, "loss": START / (number + 0.5), "validation": held, "score": 0.9 - 0.3 / (number + 1), "seconds": 12.0,
            "rate": 610.0, "learning_rate": 1e-3}


def tune(recipe: Any, space: dict[str, Any], pause: float, progress: Any, partial: Any) -> dict[str, Any]:
    """Trials, each told as it ends; the third is ended early."""
    trials: list[dict[str, Any]] = []
    names = str(space.get("over", "learning_rate")).split()
    values = {"learning_rate": 1e-3, "range_rate": 2e-3, "distillation": 0.5, "epochs": 3, "ranges": "lsq", "ema": 0.9, "augment": "shift"}
    for number in range(int(space.get("trials", 4))):
        time.sleep(pause)
        progress(number / int(space.get("trials", 4)), f"trial {number + 1}")
        scaled = {n: values[n] * (1 + number) if isinstance(values[n], float) else values[n] for n in names}
        trials.append({"number": number, "state": "pruned" if number == 2 else "complete", "settings": scaled, "loss": 0.5 - 0.1 * number,
                       "curve": [0.9, 0.5 - 0.1 * number], "seconds": 24.0})
        partial({"trials": list(trials), "best": {}, "space": space, "line": {"qat": {}}, "steps": []})
    return {"trials": trials, "best": {}, "space": space, "line": {"qat": {}}, "steps": []}
