"""One layer under the lens: its weights against the grid, its channels' ranges, its tensors and their encodings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.analysis.ranges_table import clipped, granularity_name
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerChannel
from engine.sim.quantsim import QuantSim

BINS = 96


def layer_facts(sim: QuantSim, name: str) -> dict[str, Any]:
    """Facts for the inspector; needs no data for the weights, and calibrated ranges for the tensors."""
    layer = sim.model.layer(name)
    plan = sim.plan.layer(name)
    weight = np.array(sim.model.constant(layer.weight), dtype=np.float32)
    missing = set(sim.missing())
    encoding = None if missing else sim.quantization.constants.get(layer.weight)
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
        "encoding": None if encoding is None else _weight_encoding(encoding, torch.from_numpy(weight)),
        "channels": _channels(weight, layer.channel_axis, encoding),
        "tensors": [
            _tensor(sim, tensor, role, tensor not in missing and not missing)
            for role, tensor in (*(("reads", t) for t in layer.reads), ("output", layer.output))
        ],
        "explain_weight": sim.placement.explain(layer.weight),
    }


def _weight_encoding(encoding: Encoding, weight: torch.Tensor) -> dict[str, Any]:
    rounded = encoding.fake_quantize(weight)
    noise = float(((weight - rounded).double() ** 2).sum())
    signal = float((weight.double() ** 2).sum())
    facts = {
        "dtype": str(encoding.dtype),
        "granularity": granularity_name(encoding),
        "low": float(encoding.low.min()),
        "high": float(encoding.high.max()),
        "sqnr_db": 10 * float(np.log10(signal / noise)) if noise > 0 and signal > 0 else None,
    }
    if encoding.scale is not None:
        facts["step"] = float(encoding.scale.median())
        facts["symmetry"] = encoding.grid.symmetry if encoding.grid else None
    return facts


def _channels(weight: np.ndarray, axis: int | None, encoding: Encoding | None) -> dict[str, Any] | None:
    """Range of each output channel beside the limits of its grid."""
    if axis is None:
        return None
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    per_channel = encoding is not None and isinstance(encoding.granularity, PerChannel)
    limits = None if not per_channel or encoding is None else {"low": encoding.low.tolist(), "high": encoding.high.tolist()}
    return {"low": rows.min(1).tolist(), "high": rows.max(1).tolist(), "limits": limits}


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
    if encoding is not None and encoding.scale is not None:
        low, high = float(encoding.low), float(encoding.high)
        facts |= {
            "low": low,
            "high": high,
            "scale": float(encoding.scale),
            "clipped_calibration": clipped(sim.statistics.get(root), low, high),
        }
    return facts
