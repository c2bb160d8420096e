"""What a model is: the facts that `inspect` prints and the Model page shows. Plain values, ready for JSON."""
from __future__ import annotations

import math
from collections import Counter
from typing import Any

from engine.data import Dataset
from engine.data.metrics import Metric
from engine.graph.model import Model
from engine.ops import find


def model_facts(model: Model) -> dict[str, Any]:
    """Inputs, outputs, layers with cost (of one sample), op support and totals; sizes in bytes."""
    layers = [_layer(layer) for layer in model.layers]
    return {
        "model": {"name": model.name, "sha256": model.sha256, "opset": model.opset,
                  "path": str(model.path) if model.path else None, "bytes": model.path.stat().st_size if model.path else None},
        "inputs": [_tensor(info) for info in model.inputs],
        "outputs": [_tensor(info) for info in model.outputs],
        "layers": layers,
        "ops": op_support(model),
        "totals": {"params": sum(_sizes(model)), "macs": sum(x["macs"] for x in layers), "fp32_size_bytes": 4 * sum(_sizes(model)),
                   "activation_peak_bytes": activation_peak(model), "layers": len(layers), "nodes": len(model.nodes)},
        "warnings": warnings(model),
    }


def _layer(layer: Any) -> dict[str, Any]:
    return {"name": layer.name, "op_type": layer.op_type, "kind": layer.kind, "module": layer.module, "weight": layer.weight,
            "weight_shape": list(layer.weight_shape), "output_shape": list(layer.output_shape), "params": layer.params,
            "macs": layer.macs, "fp32_size_bytes": layer.params * 4, "reads": list(layer.reads), "output": layer.output}


def _tensor(info: Any) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype, "shape": None if info.shape is None else list(info.shape)}


def _sizes(model: Model) -> list[int]:
    return [math.prod(int(d) for d in value.const_value.shape.numpy()) for value in model.graph.initializers.values()
            if value.const_value is not None and value.dtype is not None and value.dtype.is_floating_point()]


def op_support(model: Model) -> list[dict[str, Any]]:
    """Each op type with its count, and whether gradients can pass it (everything runs in ONNX Runtime)."""
    counts = Counter((node.domain, node.op_type) for node in model.graph)
    rows = []
    for (domain, op_type), count in sorted(counts.items(), key=lambda item: -item[1]):
        name = f"{domain}.{op_type}" if domain else op_type
        known = find(domain, op_type, int(model.graph.opset_imports.get(domain, 1))) is not None
        reason = "" if known else "no torch kernel: this op simulates and exports, but no gradient passes it"
        rows.append({"op_type": name, "count": count, "differentiable": known, "reason": reason})
    return rows


def activation_peak(model: Model) -> int:
    """The most bytes of float32 activations that are alive at once, run node by node on one sample."""
    last = {str(v.name): i for i, node in enumerate(model.graph) for v in node.inputs if v is not None}
    outputs = {o.name for o in model.outputs}
    alive = sum(4 * math.prod(model.shapes.get(i.name, ())) for i in model.inputs)
    peak = alive
    for i, node in enumerate(model.graph):
        alive += sum(4 * math.prod(model.shapes.get(str(v.name), ())) for v in node.outputs)
        peak = max(peak, alive)
        dead = {str(v.name) for v in node.inputs if v is not None and v.const_value is None and last[str(v.name)] == i}
        alive -= sum(4 * math.prod(model.shapes.get(name, ())) for name in dead - outputs)
    return peak


def warnings(model: Model) -> list[str]:
    """What a person should know before anything runs."""
    found = []
    if not model.layers:
        found.append("The model has no layer with a constant weight: there is nothing whose precision could be moved.")
    if note := model.ir.meta.get("not_simplified"):
        found.append(f"The graph could not be simplified and is used as it is ({note}).")
    norms = sum(node.op_type == "BatchNormalization" for node in model.graph)
    if norms:
        found.append(f"{norms} BatchNormalization nodes are kept; the step fold_batch_norm (on by default) folds them into their layers.")
    symbolic = [i.name for i in model.inputs if i.shape and any(not isinstance(d, int) for d in i.shape[1:])]
    if symbolic:
        found.append(f"Input {', '.join(symbolic)} has free dimensions: costs are those of the first sample of the data.")
    return found


def data_facts(evaluation: Dataset | None, calibration: Dataset | None, training: Dataset | None) -> dict[str, Any]:
    """Name, size and notes of each set of data, and how many calibration samples are evaluation samples too."""
    sets = {"evaluation": evaluation, "calibration": calibration, "training": training}
    facts: dict[str, Any] = {
        key: None if data is None else {"name": data.name, "samples": len(data), "labels": data.labels is not None,
                                        "notes": list(data.notes)}
        for key, data in sets.items()
    }
    return facts | {"overlap": calibration.overlap(evaluation) if calibration is not None and evaluation is not None else 0}


def metric_facts(metric: Metric | None) -> dict[str, Any] | None:
    """What the metric is called, counts in and means."""
    if metric is None:
        return None
    return {"name": metric.name, "unit": "dB" if metric.name == "sqnr" else "share", "higher_is_better": True, "doc": metric.doc}
