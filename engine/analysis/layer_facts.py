"""One layer under the lens: its weights and activations against their grids, its channels' ranges, encodings, neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from engine.analysis.diagnosis.bench import Samples, walk
from engine.analysis.diagnosis.channels import Channels, channels_of
from engine.analysis.diagnosis.diagnose import First
from engine.analysis.diagnosis.operands import CHANNELS_FIRST
from engine.analysis.layer_grids import activation_noise, encoding_facts, weight_noise
from engine.analysis.neighbours import neighbours
from engine.analysis.ranges_table import clipped, histogram
from engine.graph.layers import Layer
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerChannel
from engine.sim.quantsim import QuantSim

BINS = 96
CHANNEL_SAMPLES = 16


def layer_facts(sim: QuantSim, name: str, data: Samples | None = None) -> dict[str, Any]:
    """Facts for the inspector; needs no data for the weights, calibrated ranges for the tensors.

    Args:
        data: of its first samples the ranges of the activations' channels are taken; None leaves them out.
    """
    layer = sim.model.layer(name)
    plan = sim.plan.layer(name)
    weight = np.array(sim.model.constant(layer.weight), dtype=np.float32)
    missing = set(sim.missing())
    encoding = sim.constants().get(layer.weight)
    channels = {} if data is None else _activation_channels(sim, layer, data)
    counts, edges = np.histogram(weight, bins=BINS)
    return {
        "name": name,
        "op_type": layer.op_type,
        "kind": layer.kind,
        "module": layer.module,
        "weight": layer.weight,
        "weight_shape": list(layer.weight_shape),
        "output_shape": list(layer.output_shape),
        "params": layer.params,
        "macs": layer.macs,
        "requested": str(plan.requested),
        "precision": str(plan.precision),
        "legal": plan.legal,
        "reason": plan.reason,
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        "encoding": None if encoding is None else encoding_facts(encoding) | weight_noise(encoding, torch.from_numpy(weight), None),
        "channels": _channels(weight, layer.channel_axis, encoding),
        "tensors": [
            _tensor(sim, tensor, role, not missing) | ({"channels": channels[tensor]} if tensor in channels else {})
            for role, tensor in (*(("reads", t) for t in layer.reads), ("output", layer.output))
        ],
        "explain_weight": sim.placement.explain(layer.weight),
        "neighbours": neighbours(sim, name),
    }


def _channels(weight: np.ndarray, axis: int | None, encoding: Encoding | None) -> dict[str, Any] | None:
    """Range of each output channel beside the limits of its grid."""
    if axis is None:
        return None
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    per_channel = encoding is not None and isinstance(encoding.granularity, PerChannel)
    limits = None if not per_channel or encoding is None else {"low": encoding.low.tolist(), "high": encoding.high.tolist()}
    noise = {} if encoding is None else weight_noise(encoding, torch.from_numpy(weight), axis)["channels"]
    return {"low": rows.min(1).tolist(), "high": rows.max(1).tolist(), "limits": limits} | noise


def _activation_channels(sim: QuantSim, layer: Layer, data: Samples) -> dict[str, dict[str, Any]]:
    """Tensor → `low` and `high` of each channel in the float model, over `samples` samples."""
    axis, some = 1 if layer.op_type in CHANNELS_FIRST else -1, First(data, CHANNEL_SAMPLES)
    found: dict[str, Channels] = {}

    def visit(values: Mapping[str, np.ndarray], valid: Callable[[np.ndarray], np.ndarray]) -> None:
        for name in dict.fromkeys((*layer.reads, layer.output)):
            now = channels_of(values[name] if axis >= 0 else valid(values[name]), axis)
            if now is not None:
                found[name] = now if name not in found else found[name].merged(now)

    walk(sim.chain, some, {*layer.reads, layer.output}, visit)
    return {name: {"low": c.low.tolist(), "high": c.high.tolist(), "samples": len(some)} for name, c in found.items()}


def _tensor(sim: QuantSim, tensor: str, role: str, ready: bool) -> dict[str, Any]:
    root = sim.placement.root(tensor)
    encoding = sim.quantization.activations.get(root) if ready else None
    facts: dict[str, Any] = {
        "name": tensor,
        "role": role,
        "quantizer": root if root in sim.plan.activations else None,
        "dtype": str(sim.plan.activations[root].dtype) if root in sim.plan.activations else "fp32",
        "explain": sim.placement.explain(tensor),
    }
    observer = sim.statistics.get(root)
    facts["histogram"] = histogram(observer)
    if encoding is not None and encoding.scale is not None:
        low, high = float(encoding.low), float(encoding.high)
        facts |= encoding_facts(encoding) | activation_noise(encoding, observer)
        facts |= {"clipped_calibration": clipped(observer, low, high)}
    return facts
