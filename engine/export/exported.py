"""What a recipe means in an export: the simulated encodings, muted layers in the device's float type, derived encodings.

Rules:
1. the encodings are those of the simulation;
2. a bypassed layer is fp32 on the desk; where the target has no fp32 its weight, and the tensors that only such
   layers read, are exported in fp16, which is what the device runs;
3. one channel is a tensor: files do not tell them apart;
4. tensors whose values lie on a grid already get the encoding that follows (`derived.py`); these stand in the
   encodings files only, since a Q/DQ pair for them would change nothing.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.export.derived import with_derived
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.granularity import PER_TENSOR, PerChannel
from engine.quant.precision import FP16, FP32, Precision
from engine.sim.quantization import Quantization
from engine.targets.plan import Plan
from engine.targets.slots import Placement
from engine.targets.target import Target


@dataclass(frozen=True)
class Exported:
    """`simulated` is what the QDQ file has, `complete` what the encodings files have; `halved` are the tensors of rule 2."""

    simulated: Quantization
    complete: Quantization
    halved: tuple[str, ...]


def exported(model: Model, target: Target, placement: Placement, plan: Plan, quantization: Quantization) -> Exported:
    """The quantizations of an export."""
    activations, constants = halved(model, target, placement, plan)
    simulated = Quantization({**quantization.activations, **{n: Encoding(FP16) for n in activations}},
                             {**_plain(quantization.constants), **{n: Encoding(FP16) for n in constants}}, _plain(quantization.biases))
    return Exported(simulated, with_derived(placement, simulated), (*activations, *constants))


def _plain(encodings: Mapping[str, Encoding]) -> dict[str, Encoding]:
    """Rule 3."""
    return {n: replace(e, granularity=PER_TENSOR, scale=e.scale.reshape(()), zero_point=e.zero_point.reshape(()))
            if isinstance(e.granularity, PerChannel) and e.scale is not None and e.zero_point is not None and e.scale.numel() == 1 else e
            for n, e in encodings.items()}


def halved(model: Model, target: Target, placement: Placement, plan: Plan) -> tuple[list[str], list[str]]:
    """Rule 2: the tensors and the weights of bypassed layers that become fp16."""
    bypassed = {entry.name for entry in plan.layers if entry.bypassed}
    activations: dict[str, None] = {}
    constants: dict[str, None] = {}
    for layer in model.layers:
        legal = target.legal(layer.op_type, layer.kind)
        if layer.name not in bypassed or Precision(FP32, FP32) in legal or Precision(FP16, FP16) not in legal:
            continue
        constants.update(dict.fromkeys(w for w in layer.weights if w not in plan.weights))
        roots = [placement.root(t) for t in layer.reads if t in placement.slots]
        activations.update(dict.fromkeys(t for t in roots if placement.slots[t].quantized and plan.types.get(t) == FP32))
    return list(activations), list(constants)
