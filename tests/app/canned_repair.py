"""What the canned session says of a chain of steps: rows in the shape of the engine's, with a step that does harm."""
from __future__ import annotations

import math
import time
from typing import Any

from tests.app import canned_train

SAMPLES, FLOAT, NEAREST = 2000, 0.924, 0.301
GAIN = {"fold_batch_norm": 0.0, "cle": 0.117, "absorb_bias": 0.0021, "bias_correction": -0.031, "gptq": 0.462, "adaround": 0.011,
        "qat": 0.52}
DECIBELS = {"fold_batch_norm": 0.0, "cle": 3.1, "absorb_bias": 0.1, "bias_correction": -1.4, "gptq": 7.2, "adaround": 0.9, "qat": 9.1}
SECONDS = {"fold_batch_norm": 0.02, "gptq": 3.4, "adaround": 48.0}


def repair(layers: list[dict[str, Any]], recipe: Any, pause: float, progress: Any, partial: Any) -> dict[str, Any]:
    """The rows of the recipe's steps, one after the other."""
    names = [layer["name"] for layer in layers]
    steps = [s.name for s in recipe.steps] if recipe.steps is not None else ["fold_batch_norm"]
    options = [dict(s.options) for s in recipe.steps] if recipe.steps is not None else [{}]
    rows = [_row(0, None, None, names)]
    for k, step in enumerate(steps, start=1):
        if step == "qat":
            tell = partial_of(rows, k, partial)
            rows.append(_row(k, step, rows[-1], names) | {"training": canned_train.train(options[k - 1], pause, progress, tell)})
            continue
        for i, name in enumerate(names[:8]):
            time.sleep(pause)
            live = {"layer": name, "index": i + 1, "count": 8, "loss": 0.01 / (1 + i), "unit": "error"}
            progress((k - 1 + i / 8) / len(steps), f"{step}: {name}")
            partial(_result(rows, {"index": k, "step": step, "live": live}))
        rows.append(_row(k, step, rows[-1], names))
        partial(_result(rows, None))
    return _result(rows, None)


def partial_of(rows: list[dict[str, Any]], k: int, partial: Any) -> Any:
    """Tells live figures of a step that runs."""
    return lambda live: partial(_result(rows, {"index": k, "step": "qat", "live": live}))


def _row(k: int, step: str | None, before: dict[str, Any] | None, names: list[str]) -> dict[str, Any]:
    gain, up = (GAIN.get(step or "", 0.004), DECIBELS.get(step or "", 0.2)) if step else (0.0, 0.0)
    start, noise = (before["quantized"]["value"], before["sqnr_db"]) if before else (NEAREST, 6.3)
    value, half = start + gain, 0.004 + abs(gain) * 0.08
    change = {"value": gain, "ci95": [gain - half, gain + half], "flips_lost": 9, "flips_won": 9 + int(gain * SAMPLES), "n": SAMPLES,
              "significant": abs(gain) > half}
    own = {n: 14.0 + 6 * math.sin(i * 1.7) + (noise + up) + (up * math.sin(i) * 0.6) for i, n in enumerate(names)}
    lost = FLOAT - value
    return {"index": k, "step": step, "options": {}, "line": step, "change": change if before else None,
            "quantized": {"metric": "top1", "value": value, "ci95": [value - 0.02, value + 0.02]},
            "drop": {"value": lost, "ci95": [lost - 0.01, lost + 0.01], "flips_lost": 30, "flips_won": 4},
            "sqnr_db": noise + up, "sqnr_change_db": up if before else None, "agreement": value, "kept": False,
            "seconds": SECONDS.get(step or "", 0.6), "training": None, "changes": [f"{names[0]} changed"] if step else [],
            "equivalent": step in ("cle", "fold_batch_norm"), "layers": [], "layer_sqnr_db": own,
            "warnings": ["features.1 stays: nothing beside it"] if step == "cle" else [],
            "gain": gain > half, "harm": gain < -half, "tried": [],
            "instead": ["fold_batch_norm", "gptq"] if step == "auto" else None, "words": f"{step} changes {100 * gain:+.2f} points"}


def _result(rows: list[dict[str, Any]], running: dict[str, Any] | None) -> dict[str, Any]:
    return {"metric": "top1", "unit": "share", "samples": SAMPLES, "fp32": {"metric": "top1", "value": FLOAT, "ci95": [0.91, 0.938]},
            "rows": list(rows), "running": running, "best": len(rows) - 1, "harmful": [r["index"] for r in rows if r["harm"]], "words": "",
            "fingerprint": "canned", "seconds": 3.0, "notes": []}
