"""The peer's side of `ptq_speed` and `ptq`, run by a Python that has aimet-onnx 2.42.0 and nothing of this project.

    python aimet_rounding.py FOLDER

FOLDER holds `model.onnx`, `images.npy` and `task.json`: {"bits", "batch", "layers": node names, "iterations": one or two
numbers, "seq_mse": true or false}. Only these layers' weights are quantized; activations stay float. Written are `aimet.npz`
(`weight/NAME` as AdaRound left it, `scale/NAME` of its quantizer) and `aimet.json`: CPU seconds of one thread.
Two numbers of iterations tell the cost of one iteration from that of reaching the layers.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from aimet_onnx import apply_adaround, apply_seq_mse
from aimet_onnx.quantsim import QuantizationSimModel
from onnx import numpy_helper

Task = dict[str, Any]


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def prepared(folder: Path, task: Task, feeds: list[dict[str, np.ndarray]], only: set[str] | None) -> QuantizationSimModel:
    """A simulation that quantizes weights alone, those in `only` where given, with per-channel min-max ranges."""
    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    sim = QuantizationSimModel(onnx.load(str(folder / "model.onnx")), param_type=f"int{task['bits']}", dummy_input=feeds[0],
                               providers=["CPUExecutionProvider"], session_options_kwargs=threads)
    for name, quantizer in sim.qc_quantize_op_dict.items():
        quantizer.enabled = name in sim.param_names and (only is None or name in only)
    return sim


def rounded(folder: Path, task: Task, feeds: list[dict[str, np.ndarray]], iterations: int) -> tuple[float, QuantizationSimModel]:
    """AdaRound on the task's layers: CPU seconds and the simulation it leaves."""
    torch.manual_seed(0)
    np.random.seed(0)
    nodes = {node.name: node for node in onnx.load(str(folder / "model.onnx"), load_external_data=False).graph.node}
    sim = prepared(folder, task, feeds, {nodes[layer].input[1] for layer in task["layers"]})
    return cpu(lambda: apply_adaround(sim, feeds, iterations, task["layers"])), sim


def kept(sim: QuantizationSimModel, names: list[str]) -> dict[str, np.ndarray]:
    """Weights and scales of the layers."""
    found = {}
    weights = {w.name: w for w in sim.model.model.graph.initializer}
    for name in names:
        found[f"weight/{name}"] = numpy_helper.to_array(weights[name])
        found[f"scale/{name}"] = np.array([encoding.delta for encoding in sim.qc_quantize_op_dict[name].get_encodings()], np.float32)
    return found


def main(folder: Path) -> None:
    """AdaRound at each number of iterations, and SeqMSE on the whole model where it is asked for."""
    torch.set_num_threads(1)
    task = json.loads((folder / "task.json").read_text())
    images = np.load(folder / "images.npy", allow_pickle=False)
    model = onnx.load(str(folder / "model.onnx"))
    name = model.graph.input[0].name
    feeds = [{name: images[i : i + task["batch"]]} for i in range(0, len(images), task["batch"])]
    result: dict[str, Any] = {"images": len(images), "layers": len(task["layers"])}
    spent = {}
    for iterations in task["iterations"]:
        spent[iterations], sim = rounded(folder, task, feeds, iterations)
    result["adaround"] = spent
    weights = [node.input[1] for node in model.graph.node if node.name in task["layers"]]
    np.savez(folder / "aimet.npz", **kept(sim, weights))
    if task["seq_mse"]:
        sim = prepared(folder, task, feeds, None)
        result["seq_mse"] = cpu(lambda: apply_seq_mse(sim, feeds))
    (folder / "aimet.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
