"""Learned encodings over a fold: a weight that is multiplied channel by channel keeps its codes when its scales are multiplied alike."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import torch

from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerChannel
from engine.sim.quantsim import QuantSim


def as_learned(model: Model, norm: ir.Node, pinned: Mapping[str, Encoding]) -> None:
    """The norm's factors as the grid has them that they were trained on: the fold then is of what was trained."""
    name = str(norm.inputs[1].name) if norm.inputs[1] is not None else ""
    if name in pinned and name in model.graph.initializers:
        model.set_constant(name, pinned[name].fake_quantize(torch.from_numpy(np.array(model.constant(name)))).numpy())


def carry_pins(sim: QuantSim, before: Mapping[str, Encoding], factors: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """After a fold (and its `graph_changed`): pins what was pinned before, with `factors` [outputs] on the scales of folded weights.

    Activations keep their encodings: a fold changes none that is left. Returns a line for each weight whose grid could not be kept.
    """
    lost = []
    for name, encoding in before.items():
        if name in sim.model.graph.initializers:
            if name not in factors:
                continue  # untouched: its pin still holds
            scaled = _scaled(encoding, factors[name])
            if scaled is None:
                lost.append(f"{name}: its learned grid cannot follow the fold, because a batch norm's factor is not above zero or the "
                            "grid is not one for each output channel; it is read off the weight again")
            else:
                sim.pin(name, scaled)
        elif name in sim.model.values:
            sim.pin(name, encoding)
    return tuple(lost)


def _scaled(encoding: Encoding, factors: np.ndarray) -> Encoding | None:
    if encoding.scale is None:
        return encoding
    if not isinstance(encoding.granularity, PerChannel) or encoding.scale.numel() != len(factors) or not (factors > 0).all():
        return None
    return replace(encoding, scale=(encoding.scale.double() * torch.from_numpy(factors).double()).float())
