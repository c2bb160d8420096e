"""What a recipe costs: bytes, multiply-accumulates and bit operations.

Bytes of a layer: weight bits / 8 for each value, an int32 bias (float where the layer is float), and
its encodings (a float32 scale for each channel or block, and a zero point of the weight's width where
the grid has one). BOPs of a layer: MACs x weight bits x activation bits; float counts its own width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.graph.layers import Layer
from engine.graph.model import Model
from engine.quant.granularity import PerBlock, PerChannel
from engine.quant.precision import Int
from engine.targets.plan import LayerPlan, Plan, WeightPlan

FP32_BITS = 32


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer for one sample; sizes in bytes."""

    name: str
    size_bytes: int
    fp32_size_bytes: int
    macs: int
    bops: int
    fp32_bops: int


@dataclass(frozen=True)
class Cost:
    """Cost of a whole recipe; `other_bytes` are parameters outside layers (norms, embeddings of positions)."""

    layers: tuple[LayerCost, ...]
    size_bytes: int
    fp32_size_bytes: int
    macs: int
    bops: int
    fp32_bops: int
    other_bytes: int

    def to_json(self) -> dict[str, int]:
        """The shared keys of every report."""
        return {
            "size_bytes": self.size_bytes,
            "fp32_size_bytes": self.fp32_size_bytes,
            "macs": self.macs,
            "bops": self.bops,
            "fp32_bops": self.fp32_bops,
        }


def cost_of(model: Model, plan: Plan) -> Cost:
    """The cost of a resolved recipe. A weight shared by two layers is counted with the first."""
    counted: set[str] = set()
    by_name = {entry.name: entry for entry in plan.layers}
    layers = tuple(_layer_cost(layer, by_name[layer.name], plan.weights, counted) for layer in model.layers)
    outside = [name for name in float_initializers(model) if name not in counted]
    other = sum(_bytes(model, name, plan.weights) for name in outside)
    other_fp32 = sum(4 * values_of(model, name) for name in outside)
    return Cost(
        layers,
        sum(c.size_bytes for c in layers) + other,
        sum(c.fp32_size_bytes for c in layers) + other_fp32,
        sum(c.macs for c in layers),
        sum(c.bops for c in layers),
        sum(c.fp32_bops for c in layers),
        other,
    )


def _layer_cost(
    layer: Layer, entry: LayerPlan, weights: Mapping[str, WeightPlan], counted: set[str]
) -> LayerCost:
    own = [name for name in layer.weights if name not in counted]
    counted.update(layer.weights)
    values = layer.params - bias_count(layer)
    bits = entry.precision.weights.bits
    size = fp32 = 0
    if own:
        size = math.ceil(values * bits / 8) + sum(_encoding_bytes(layer, weights.get(name)) for name in own)
        fp32 = values * 4
    if layer.bias is not None and layer.bias not in counted:
        counted.add(layer.bias)
        size += bias_count(layer) * 4
        fp32 += bias_count(layer) * 4
    activation_bits = entry.precision.activations.bits
    return LayerCost(
        layer.name, size, fp32, layer.macs, layer.macs * bits * activation_bits, layer.macs * FP32_BITS**2
    )


def bias_count(layer: Layer) -> int:
    """Values of a layer's bias."""
    if layer.bias is None:
        return 0
    return layer.params - math.prod(layer.weight_shape) if len(layer.weights) == 1 else 0


def _encoding_bytes(layer: Layer, plan: WeightPlan | None) -> int:
    if plan is None or not isinstance(plan.dtype, Int):
        return 0
    scales, zeros = encoding_form(layer, plan)
    return scales * 4 + (math.ceil(scales * plan.dtype.bits / 8) if zeros else 0)


def encoding_form(layer: Layer, plan: WeightPlan) -> tuple[int, bool]:
    """How many scales the encoding of a layer's weight has, and whether each has a zero point."""
    scales = 1
    if isinstance(plan.granularity, PerChannel):
        scales = layer.weight_shape[plan.granularity.axis]
    elif isinstance(plan.granularity, PerBlock):
        scales = math.ceil(math.prod(layer.weight_shape) / plan.granularity.size)
    return scales, plan.symmetry == "asymmetric"


def float_initializers(model: Model) -> list[str]:
    """The parameters of a graph by name."""
    return [
        name
        for name, value in model.graph.initializers.items()
        if value.dtype is not None and value.dtype.is_floating_point()
    ]


def values_of(model: Model, name: str) -> int:
    """How many values an initializer holds."""
    value = model.graph.initializers[name]
    assert value.const_value is not None
    return math.prod(int(d) for d in value.const_value.shape.numpy())


def _bytes(model: Model, name: str, weights: Mapping[str, WeightPlan]) -> int:
    plan = weights.get(name)
    bits = plan.dtype.bits if plan is not None else FP32_BITS
    return math.ceil(values_of(model, name) * bits / 8)
