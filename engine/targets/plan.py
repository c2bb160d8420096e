"""What `resolve` decides, as data: a type for each tensor and weight, and what each layer got of what it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import BadInput, IllegalPrecision, nearest
from engine.quant.granularity import Granularity
from engine.quant.grid import Symmetry
from engine.quant.precision import FP32, DataType, Precision
from engine.quant.ranges import RangeMethod


@dataclass(frozen=True)
class ActivationPlan:
    """A quantizer on a tensor.

    Attributes:
        tensor: its name.
        dtype: never fp32.
        symmetry: of the grid (without meaning for float types).
        fixed_range: the range that the target fixes.
        tied: the group of tensors that share one encoding.
        method: how its range is found.
        minimum: what the recipe says of the range's low end.
        maximum: what the recipe says of the range's high end.
        reason: who asked for the type.
    """

    tensor: str
    dtype: DataType
    symmetry: Symmetry
    fixed_range: tuple[float, float] | None
    tied: str | None
    method: RangeMethod
    minimum: float | None
    maximum: float | None
    reason: str


@dataclass(frozen=True)
class WeightPlan:
    """A quantizer on an initializer; `dtype` is never fp32."""

    initializer: str
    dtype: DataType
    symmetry: Symmetry
    granularity: Granularity
    method: RangeMethod
    reason: str


@dataclass(frozen=True)
class LayerPlan:
    """What a layer asked for and what it got; `reason` has words wherever the two differ or the result is illegal."""

    name: str
    requested: Precision
    precision: Precision
    legal: bool
    reason: str
    bypassed: bool = False


@dataclass(frozen=True)
class Boundary:
    """A change of type along an edge.

    Attributes:
        tensor: the tensor of the edge.
        from_type: before the change.
        to_type: after it.
        reader: the node that reads the tensor in another type than it has; empty where the change is at the
            node that makes the tensor in another type than it works in.
        writer: that node, or empty.
    """

    tensor: str
    from_type: DataType
    to_type: DataType
    reader: str
    writer: str = ""


@dataclass(frozen=True)
class Plan:
    """The resolved recipe.

    Attributes:
        activations: quantizers on tensors, by name, in the order of execution.
        weights: quantizers on initializers.
        layers: in the order of execution.
        boundaries: changes of type.
        types: the type of every float tensor with a slot; fp32 where nothing quantizes it.
    """

    activations: Mapping[str, ActivationPlan]
    weights: Mapping[str, WeightPlan]
    layers: tuple[LayerPlan, ...]
    boundaries: tuple[Boundary, ...]
    types: Mapping[str, DataType]

    def layer(self, name: str) -> LayerPlan:
        """The plan of a layer; raises `BadInput` naming the nearest ones."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise BadInput(f"no layer {name!r} in this plan. {nearest(name, [x.name for x in self.layers])}")

    def illegal(self) -> tuple[LayerPlan, ...]:
        """The layers whose precision the target does not run."""
        return tuple(layer for layer in self.layers if not layer.legal)

    def refuse_illegal(self, allow: bool = False) -> None:
        """Raises `IllegalPrecision` where a layer has a precision that the target does not run, unless that is allowed."""
        illegal = self.illegal()
        if not illegal or allow:
            return
        names = ", ".join(f"{entry.name} ({entry.precision})" for entry in illegal[:4])
        more = f" and {len(illegal) - 4} more" if len(illegal) > 4 else ""
        raise IllegalPrecision(f"{len(illegal)} layers have a precision that the target does not run: {names}{more}. "
                               f"{illegal[0].reason}. Change them, choose another target, or pass --allow-illegal")

    def weight_type(self, initializer: str) -> DataType:
        """The type of an initializer; fp32 where nothing quantizes it."""
        plan = self.weights.get(initializer)
        return plan.dtype if plan is not None else FP32
