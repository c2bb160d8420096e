"""What an edit on the desk costs: 2,000 evaluation images of each sample, quantized, through `Session.measure`.

CPU seconds, goal under 2: the first measurement (with calibration and the float model's run), one after a layer's
precision changed, and one after going back to a recipe whose sessions are kept.
"""
from __future__ import annotations

import sys
import time

import torch

from benchmarks.models import ROOT
from engine.data import load_data
from engine.graph import load_model
from engine.recipe import Recipe
from engine.session import Session

SAMPLES = ("fashion_mobilenet", "fashion_vit")
GOAL = 2.0
Row = dict[str, object]


def measured(name: str) -> list[Row]:
    """Rows of one sample."""
    folder = ROOT / "sample_models" / name
    session = Session(load_model(folder / "model.onnx"), load_data(folder / "evaluation.npz"), load_data(folder / "calibration.npz"))
    base, layers = Recipe(), session.model.layers
    edited = base.with_layer(layers[len(layers) // 2].name, "w8a16")
    rows: list[Row] = []
    for what, recipe in (("first, with calibration", base), ("after one layer changed", edited), ("back again", base)):
        begin = time.process_time()
        found = session.measure(recipe)
        rows.append({"model": name, "measurement": what, "cpu_seconds": round(time.process_time() - begin, 2),
                     "images": len(session.evaluation or ()), "quantized": found["quantized"]["value"],
                     "goal": None if what.startswith("first") else GOAL})
    return rows


def main(quick: bool = False) -> list[Row]:
    """All rows."""
    torch.set_num_threads(1)
    return [row for name in SAMPLES for row in measured(name)]


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
