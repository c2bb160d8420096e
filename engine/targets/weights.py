"""Which initializers are quantized as weights, and how the target would do it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from engine.graph import Layer, Model
from engine.graph.layers import constant_shape
from engine.graph.patterns import Pattern
from engine.quant.granularity import Granularity, PerChannel, PerTensor
from engine.targets.facts import NormRule, Target
from engine.targets.slots import WeightKind, WeightSlot
from engine.targets.units import OP_OF_PATTERN

NORM_OPS = ("BatchNormalization", "InstanceNormalization", "GroupNormalization")
_KINDS: dict[str, WeightKind] = {"embedding": "embedding", "recurrent": "recurrent"}


def weight_slots(model: Model, target: Target, patterns: tuple[Pattern, ...]) -> dict[str, WeightSlot]:
    """Slots by initializer; one that several nodes read has one slot, per-tensor if they disagree on its axis."""
    found: dict[str, WeightSlot] = {}
    if not target.parameters_quantized:
        return found
    for slot in (*_of_layers(model, target), *_of_norms(model, target, patterns), *_of_prelu(model, target)):
        known = found.get(slot.initializer)
        found[slot.initializer] = slot if known is None else _shared(known, slot)
    return found


def _of_layers(model: Model, target: Target) -> Iterator[WeightSlot]:
    for layer in model.layers:
        for name in layer.weights:
            granularity, reason = _granularity(layer, target)
            yield WeightSlot(
                name,
                (layer.name,),
                layer.op_type,
                layer.channel_axis,
                layer.input_axis,
                granularity,
                target.symmetry_of_weights(layer.op_type),
                _KINDS.get(layer.kind, "layer"),
                constant_shape(model.values[name]),
                reason=reason,
            )


def _granularity(layer: Layer, target: Target) -> tuple[Granularity, str]:
    if layer.kind == "embedding":
        return PerTensor(), "an embedding table has one scale"
    if layer.kind == "recurrent":
        return (
            PerTensor(),
            "recurrent weights have one scale each, W and R one precision; gates and states stay float",
        )
    if layer.channel_axis is None:
        return PerTensor(), "per-tensor: a grouped ConvTranspose has no axis of output channels"
    if layer.op_type not in target.per_channel_ops:
        return PerTensor(), f"per-tensor: {target.name} has no per-channel weights for {layer.op_type}"
    return PerChannel(layer.channel_axis), f"one scale for each output channel (axis {layer.channel_axis})"


def _of_norms(model: Model, target: Target, patterns: tuple[Pattern, ...]) -> Iterator[WeightSlot]:
    for pattern in patterns:
        op = OP_OF_PATTERN[pattern.kind]
        if pattern.kind in ("LayerNorm", "RMSNorm") and pattern.weight is not None:
            yield _norm(model, target, op, pattern.weight, pattern.nodes[-1], pattern.output)
    inside = {name for pattern in patterns for name in pattern.nodes}
    for node in model.graph:
        if (
            node.op_type in (*NORM_OPS, *target.norms)
            and str(node.name) not in inside
            and len(node.inputs) > 1
        ):
            scale = node.inputs[1]
            if scale is not None and scale.const_value is not None:
                yield _norm(
                    model, target, node.op_type, str(scale.name), str(node.name), str(node.outputs[0].name)
                )


def _norm(model: Model, target: Target, op: str, weight: str, node: str, output: str) -> WeightSlot:
    rule = target.norms.get(op, NormRule())
    return WeightSlot(
        weight,
        (node,),
        op,
        None,
        None,
        PerTensor(),
        target.symmetry_of_weights(op),
        "norm",
        constant_shape(model.values[weight]),
        rule.min_bits,
        rule.symmetric_from_bits,
        output if rule.follows_output else None,
        "the scale of a normalization has one scale",
    )


def _of_prelu(model: Model, target: Target) -> Iterator[WeightSlot]:
    for node in model.graph:
        slope = node.inputs[1] if node.op_type == "PRelu" and len(node.inputs) > 1 else None
        if slope is None or slope.const_value is None:
            continue
        shape = constant_shape(slope)
        # The channels of a slope are its only axis that is longer than one; 1-D: axis 0.
        axis = next((i for i, d in enumerate(shape) if d == math.prod(shape)), None) if shape else None
        channels = axis is not None and "PRelu" in target.per_channel_ops
        granularity: Granularity = PerChannel(axis) if channels and axis is not None else PerTensor()
        yield WeightSlot(
            str(slope.name),
            (str(node.name),),
            "PRelu",
            axis,
            None,
            granularity,
            target.symmetry_of_weights("PRelu"),
            "prelu",
            shape,
            reason="one slope for each channel" if channels else "per-tensor",
        )


def _shared(first: WeightSlot, second: WeightSlot) -> WeightSlot:
    """One slot for two readers: the stricter of their rules."""
    slot = replace(
        first,
        layers=tuple(dict.fromkeys((*first.layers, *second.layers))),
        min_bits=max(first.min_bits, second.min_bits),
    )
    if first.granularity == second.granularity and first.channel_axis == second.channel_axis:
        return slot
    return replace(
        slot,
        channel_axis=None,
        input_axis=None,
        granularity=PerTensor(),
        reason=f"per-tensor: {first.layers[0]} and {second.layers[0]} share it and disagree on the channel axis",
    )
