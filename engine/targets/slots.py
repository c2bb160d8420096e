"""Where quantizers go, as data: one slot for each float tensor and each weight, with the reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from engine.errors import BadInput, nearest
from engine.quant.granularity import Granularity
from engine.quant.grid import Symmetry

SlotKind = Literal["input", "activation", "output", "constant"]
WeightKind = Literal["layer", "norm", "prelu", "embedding", "recurrent"]


@dataclass(frozen=True)
class Slot:
    """A float activation tensor, graph input or constant operand.

    Attributes:
        tensor: its name.
        quantized: whether it has a quantizer of its own.
        reason: why, or why not.
        kind: what it is to the model.
        fixed_range: the range that the target fixes.
        carries: the tensor whose encoding it has unchanged (its producer only moves values).
        scaled: that tensor and the positive factor, where its producer only multiplies.
        tied: the group that shares one encoding, the union of its members' ranges.
        symmetric: overrides the target's symmetry for activations.
    """

    tensor: str
    quantized: bool
    reason: str
    kind: SlotKind = "activation"
    fixed_range: tuple[float, float] | None = None
    carries: str | None = None
    scaled: tuple[str, float] | None = None
    tied: str | None = None
    symmetric: bool | None = None

    @property
    def source(self) -> str | None:
        """The tensor whose encoding this one has, unchanged or scaled."""
        return self.carries or (self.scaled[0] if self.scaled else None)


@dataclass(frozen=True)
class WeightSlot:
    """An initializer that is quantized with the nodes that read it.

    Attributes:
        initializer: its name.
        layers: the nodes that read it as their weight.
        op_type: of the first of them.
        channel_axis: the output channels, None where readers disagree or the op has none.
        input_axis: the axis that blocks run along.
        granularity: the target's choice.
        symmetry: the target's choice.
        kind: what it is to its nodes.
        min_bits: never fewer bits.
        symmetric_from_bits: symmetric from this width on.
        follows: the tensor whose bits and symmetry it has.
        shape: of the initializer.
        reason: why the granularity is what it is.
    """

    initializer: str
    layers: tuple[str, ...]
    op_type: str
    channel_axis: int | None
    input_axis: int | None
    granularity: Granularity
    symmetry: Symmetry
    kind: WeightKind
    shape: tuple[int, ...]
    min_bits: int = 2
    symmetric_from_bits: int | None = None
    follows: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class DynamicPair:
    """The two activations that one node multiplies; `first` and `second` are tensors with quantizers."""

    node: str
    first: str
    second: str


@dataclass(frozen=True)
class Placement:
    """All slots of a model on a target.

    Attributes:
        slots: by tensor, in the order in which they are computed.
        weights: by initializer.
        groups: sets of tensors or of weights that share a precision.
        units: node name → name of the last node of the group that the target runs as one op.
        dynamic_pairs: products of two activations that the target has a rule for.
        target: the target's name.
        other: words for tensors that have no slot (integers, shapes, biases).
    """

    slots: Mapping[str, Slot]
    weights: Mapping[str, WeightSlot]
    groups: tuple[frozenset[str], ...]
    units: Mapping[str, str]
    dynamic_pairs: tuple[DynamicPair, ...]
    target: str
    other: Mapping[str, str]

    @cached_property
    def roots(self) -> dict[str, str]:
        """Each tensor with a slot → the tensor whose quantizer its values have passed last."""
        found: dict[str, str] = {}
        for name, slot in self.slots.items():  # sources come before what is made from them
            found[name] = name if slot.source is None else found.get(slot.source, slot.source)
        return found

    def root(self, tensor: str) -> str:
        """The tensor whose quantizer a tensor's values have passed last (itself where it has its own)."""
        return self.roots.get(tensor, tensor)

    def explain(self, tensor: str) -> str:
        """In words, why a tensor has or lacks a quantizer."""
        if tensor in self.slots:
            return _explain_slot(self.slots[tensor])
        if tensor in self.weights:
            return _explain_weight(self.weights[tensor])
        if tensor in self.other:
            return f"{tensor}: no quantizer: {self.other[tensor]}."
        raise BadInput(
            f"the model has no tensor {tensor!r}. {nearest(tensor, [*self.slots, *self.weights, *self.other])}"
        )


def _explain_slot(slot: Slot) -> str:
    parts = [
        f"{slot.tensor}: {'has a quantizer' if slot.quantized else 'no quantizer of its own'}: {slot.reason}"
    ]
    if slot.carries:
        parts.append(f"it has the encoding of {slot.carries}")
    if slot.scaled:
        parts.append(f"its encoding is that of {slot.scaled[0]} times {slot.scaled[1]:g}")
    if slot.fixed_range:
        parts.append(f"its range is fixed to [{slot.fixed_range[0]:g}, {slot.fixed_range[1]:g}]")
    if slot.tied:
        parts.append(f"it shares one encoding with the other tensors of {slot.tied}")
    if slot.symmetric is not None:
        parts.append("its grid is symmetric" if slot.symmetric else "its grid is asymmetric")
    return "; ".join(parts) + "."


def _explain_weight(slot: WeightSlot) -> str:
    readers = ", ".join(slot.layers[:4]) + (
        f" and {len(slot.layers) - 4} more" if len(slot.layers) > 4 else ""
    )
    what = {"norm": "scale", "prelu": "slope", "embedding": "table"}.get(slot.kind, "weight")
    parts = [f"{slot.initializer}: quantized as the {what} of {slot.op_type} {readers}", slot.reason]
    if slot.min_bits > 2:
        parts.append(f"at least {slot.min_bits} bits")
    if slot.follows:
        parts.append(f"with the bits and symmetry of {slot.follows}")
    return "; ".join(p for p in parts if p) + "."
