"""Rounding beside aimet-onnx 2.42.0 at the same layers: `python -m benchmarks.ptq_peer [--folder out/aimet_accuracy] [--json FILE]`.

Six layers of fashion_mobilenet at W4 per channel (all else float), 512 calibration images, the peer's min-max quantizers on both
sides, 1,000 iterations of AdaRound. Judged by SQNR at the output of each layer and of the model, on evaluation images and in the
float graph with these weights, so that nothing but the weights (and, for gptq, biases) differs. Needs FOLDER/venv, see `ptq_speed`.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.peer_rounding import theirs
from benchmarks.ptq_cases import Case, case
from benchmarks.ptq_speed import LAYERS
from benchmarks.table import show
from engine.graph import Model
from engine.ptq.technique import apply_step, apply_steps
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerChannel
from engine.quant.grid import Grid
from engine.quant.precision import Int
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim

MODEL, IMAGES, UNSEEN, BITS, ITERATIONS, BATCH = "fashion_mobilenet", 512, 1000, 4, 1000, 32
OURS: dict[str, tuple[str, dict[str, Any], bool]] = {  # name → step, options, on the peer's quantizers
    "adaround faithful": ("adaround", {"mode": "faithful", "iterations": ITERATIONS}, True),
    "adaround gram": ("adaround", {"iterations": ITERATIONS}, True),
    "gptq": ("gptq", {}, True),
    "gptq, own ranges": ("gptq", {}, False),
}


def chosen(model: Model) -> tuple[str, ...]:
    """Six layers from the first to the last convolution."""
    names = [layer.name for layer in model.layers]
    return tuple(names[round(i)] for i in np.linspace(0, len(names) - 2, LAYERS))


def prepared(one: Case, layers: tuple[str, ...], scales: dict[str, np.ndarray] | None) -> QuantSim:
    """Only `layers` quantized, on these scales where given."""
    bypass = [layer.name for layer in one.model.layers if layer.name not in layers]
    recipe = Recipe.parse({"mixdown": 1, "target": "generic", "precision": f"w{BITS}a16", "bypass": bypass,
                           "weights": {"granularity": "per_channel"}})
    sim = QuantSim(one.model.clone(), recipe)
    apply_steps(sim, None)
    sim.calibrate(one.calibration, histograms=False)
    for name, scale in (scales or {}).items():
        zero = torch.zeros(len(scale), dtype=torch.int32)
        sim.override(name, Encoding(Int(BITS), PerChannel(0), Grid(BITS, "symmetric"), torch.from_numpy(scale), zero))
    return sim


def peer_of(one: Case, folder: Path, layers: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float] | None:
    """(weights, scales, CPU seconds) of the peer's AdaRound."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(prepared(one, layers, None).model.proto, folder / "model.onnx")
    np.save(folder / "images.npy", next(iter(one.calibration.batch(0, IMAGES).values())))
    task = {"bits": BITS, "batch": BATCH, "layers": list(layers), "iterations": [ITERATIONS], "seq_mse": False}
    (folder / "task.json").write_text(json.dumps(task))
    found = theirs(folder)
    if found is None:
        return None
    with np.load(folder / "aimet.npz", allow_pickle=False) as arrays:
        parts = [{n.split("/", 1)[1]: arrays[n] for n in arrays.files if n.startswith(kind)} for kind in ("weight/", "scale/")]
    return parts[0], parts[1], found["adaround"][str(ITERATIONS)]


def main() -> None:
    """One column for each way to round, one row for each layer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ptq_peer", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out") / "aimet_accuracy")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    one = case(MODEL)
    one = Case(one.model, one.calibration.take(range(IMAGES)), one.evaluation.take(range(UNSEEN)), None)
    layers = chosen(one.model)
    peer = peer_of(one, given.folder, layers)
    base = prepared(one, layers, None)
    places = {layer.name: layer.output for layer in base.model.layers if layer.name in layers} | {"output": base.chain.output_names[0]}
    feeds = one.evaluation.batch(0, UNSEEN)
    reference = base.chain.run(FLOAT, feeds, places.values())
    columns: dict[str, list[float]] = {}

    def judge(name: str, chain: Chain, quantization: Quantization, seconds: float) -> None:
        found = chain.run(quantization, feeds, places.values())
        columns[name] = [_db(reference[p], found[p]) for p in places.values()] + [seconds]

    scales = None if peer is None else peer[1]
    same = prepared(one, layers, scales)
    judge("nearest", same.chain, Quantization({}, same.constants()), 0.0)
    if peer is not None:
        model = same.model.clone()
        for name, weight in peer[0].items():
            model.set_constant(name, weight)
        # the peer leaves soft weights between two grid points, which its own quantizers then round
        judge("aimet-onnx adaround", Chain(model), Quantization({}, same.constants()), peer[2])
    for name, (step, options, on_peers) in OURS.items():
        sim = prepared(one, layers, scales if on_peers else None)
        begin = time.process_time()
        apply_step(sim, Step(step, options), one.calibration)
        judge(name, sim.chain, Quantization({}, sim.constants()), time.process_time() - begin)
    rows = [{"layer, SQNR dB": place} | {name: f"{values[i]:.1f}" for name, values in columns.items()}
            for i, place in enumerate((*places, "CPU s"))]
    show(rows)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


def _db(reference: np.ndarray, found: np.ndarray) -> float:
    signal, noise = (float(np.square(a, dtype=np.float64).sum()) for a in (reference, reference - found))
    return 10 * float(np.log10(signal / max(noise, 1e-30)))


if __name__ == "__main__":
    main()
