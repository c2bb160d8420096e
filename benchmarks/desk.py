"""What an edit on the desk costs, through a real worker and client: move → first measured → fully measured, wall seconds.

Each layer of a sample is moved in turn (and some moves are taken back): a move is written to the history, and `resolve`, `measure`
and `layer` are asked for, as the page does. Goals: first value within 0.4 s; all 2,000 samples within 1 s at the median layer and
2 s at the earliest. `others_cores` is what other programs took meanwhile: a busy machine is slower, the CPU seconds per move (this
process and the worker) hardly change. Then an edit of a 300-layer net in one process, step by step.
"""
from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from app.client import Client
from benchmarks.cpu import Meter
from engine.recipe import Recipe

SAMPLES = ("fashion_mobilenet", "fashion_vit")
Row = dict[str, object]


class Desk:
    """A project of a sample, as the page uses it."""

    def __init__(self, home: Path, sample: str) -> None:
        self.client = Client(home)
        project = self.client.ensure_sample(sample)
        assert project is not None
        self.project = project.id
        self.base = Recipe.from_yaml(self.client.open(self.project).recipe)
        self.layers = [str(x["name"]) for x in self.result("open", {})["layers"]]
        for verb in ("measure", "ready"):  # a sample's first figures are known: as the page does, the worker is made ready for a move
            self.result(verb, {"recipe": self.base.to_yaml()})

    def result(self, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        job = self.client.wait(self.client.submit(self.project, verb, args), 300)
        found = self.client.result(job.id)
        assert found is not None, job.error
        return found

    def move(self, layer: str, precision: str) -> tuple[float, float, dict[str, Any]]:
        """(seconds to the first measured value, to all samples, the report)."""
        begin = time.perf_counter()
        text = self.base.with_layer(layer, precision).to_yaml()
        self.client.edit(self.project, text, f"{layer} to {precision}")
        self.client.submit(self.project, "resolve", {"recipe": text})
        measuring = self.client.submit(self.project, "measure", {"recipe": text})
        self.client.submit(self.project, "layer", {"recipe": text, "name": layer})
        first = full = 0.0
        while (job := self.client.job(measuring)).active:
            if job.partial is not None:
                first = first or time.perf_counter() - begin
                if job.partial["samples"] >= 2000:
                    full = full or time.perf_counter() - begin
            time.sleep(0.001)
        end = time.perf_counter() - begin
        found = self.client.result(measuring)
        assert found is not None, job.error
        return first or end, full or end, found


def sample_rows(name: str, quick: bool) -> list[Row]:
    """One row: percentiles over the layers."""
    with tempfile.TemporaryDirectory() as home:
        desk = Desk(Path(home), name)
        meter = Meter(own=os.getpid())
        moves = [(layer, "w4a8") for layer in desk.layers] + ([] if quick else [(layer, "w8a16") for layer in desk.layers])
        found = [desk.move(*move) for move in moves]
        spent = meter.spent()
        desk.client.shutdown()
    firsts, fulls = [f[0] for f in found], [f[1] for f in found]
    cuts = [f[2]["kept_cuts"] for f in found]
    return [{"model": name, "moves": len(found), "images": found[0][2]["samples"],
             "first_p50": percentile(firsts, 50), "first_p95": percentile(firsts, 95), "goal_first": 0.4,
             "full_p50": percentile(fulls, 50), "full_p95": percentile(fulls, 95), "goal_full": 1.0,
             "earliest_full": round(fulls[0], 2), "goal_earliest": 2.0,
             "hit_rate": round(statistics.mean(c["hit_rate"] for c in cuts), 2),
             "work_skipped": round(statistics.mean(c["skipped"] for c in cuts), 2), "kept_mb": round(max(c["bytes"] for c in cuts) / 1e6),
             "cpu_s_per_move": round(spent["own"] / len(found), 2), "others_cores": round(spent["others"] / spent["wall"], 2),
             "load": round(os.getloadavg()[0], 1)}]


def percentile(values: list[float], share: float) -> float:
    return round(float(np.percentile(values, share)), 3)


def main(quick: bool = False) -> list[Row]:
    """All rows."""
    return [row for name in SAMPLES for row in sample_rows(name, quick)] + deep_rows()


def deep_rows() -> list[Row]:
    """A net of 300 layers, 512 samples, in one process: CPU seconds of opening and of an edit at three depths."""
    import torch

    from engine.data import Dataset
    from engine.graph import from_proto
    from engine.session import Session
    from tests.graphs import conv_net

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    data = [Dataset(name, {"x": rng.normal(size=(n, 3, 12, 12)).astype(np.float32)}) for name, n in (("e", 512), ("c", 64))]
    begin = time.process_time()
    session = Session(from_proto(conv_net(299, residual=0.1), "deep"), *data)
    session.open()
    session.resolve(Recipe())
    rows: list[Row] = [{"model": "300 layers", "step": "open and resolve", "cpu_seconds": round(time.process_time() - begin, 2)}]
    begin = time.process_time()
    session.measure(Recipe())
    rows.append({"model": "300 layers", "step": "first measurement, calibration", "cpu_seconds": round(time.process_time() - begin, 2)})
    for place in (299, 150, 1):
        layer, times = session.model.layers[place].name, []
        recipe = Recipe().with_layer(layer, "w4a8")
        begin = time.process_time()
        session.resolve(recipe)
        times.append(time.process_time() - begin)
        first: list[float] = []
        session.measure(recipe, partial=lambda value, begin=begin, first=first: first.append(time.process_time() - begin))
        rows.append({"model": "300 layers", "step": f"edit of layer {place}: resolved, first, all samples, with the layers' SQNR",
                     "cpu_seconds": " ".join(f"{t:.2f}" for t in (times[0], first[0], first[-1], time.process_time() - begin))})
    return rows


if __name__ == "__main__":
    from benchmarks.table import show

    show(main("--quick" in sys.argv))
