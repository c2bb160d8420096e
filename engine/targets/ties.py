"""Tensors that share: one encoding (ties), one type (groups), one product (dynamic pairs)."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from engine.graph import Model
from engine.targets.facts import Target
from engine.targets.slots import DynamicPair, Placement, Slot


class Sets:
    """Disjoint sets of names."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        """The name that stands for a set."""
        while (above := self.parent.setdefault(name, name)) != name:
            self.parent[name] = name = self.parent[above]
        return name

    def join(self, first: str, second: str) -> None:
        """Makes one set of two; the first one's name stands for it."""
        self.parent[self.find(second)] = self.find(first)

    def all(self) -> list[frozenset[str]]:
        """The sets with more than one member, in the order in which they were met."""
        found: dict[str, set[str]] = {}
        for name in list(self.parent):
            found.setdefault(self.find(name), set()).add(name)
        return [frozenset(s) for s in found.values() if len(s) > 1]


def tie(model: Model, target: Target, slots: dict[str, Slot]) -> None:
    """Ties the quantizers of inputs and outputs where the target shares one encoding among them."""
    sets, names = Sets(), dict[str, str]()
    for node in model.graph:
        members = _tied(node, target, slots)
        for member in members:
            names.setdefault(member, f"{node.op_type} {node.name}")
            sets.join(members[0], member)
    for name in names:
        head = sets.find(name)
        slots[name] = replace(slots[name], tied=names[head])


def _tied(node: ir.Node, target: Target, slots: dict[str, Slot]) -> list[str]:
    """The tensors with quantizers that a node ties; fewer than two mean none."""
    if node.op_type in target.tied_inputs:
        values = [*node.inputs, *node.outputs]
    elif node.op_type in target.tied_forward:
        values = [*node.inputs[:1], node.outputs[0]]
    else:
        return []
    roots = [_own(str(v.name), slots) for v in values if v is not None]
    members = list(dict.fromkeys(r for r in roots if r is not None))
    return members if len(members) > 1 else []


def _own(tensor: str, slots: dict[str, Slot]) -> str | None:
    """The tensor with the quantizer behind moved values; a scaled one gets its own, since it cannot be tied."""
    slot = slots.get(tensor)
    while slot is not None and slot.carries is not None:
        slot = slots.get(slot.carries)
    if slot is not None and slot.scaled is not None:
        slot = replace(
            slot,
            quantized=True,
            scaled=None,
            reason=f"{slot.reason} where it can, but this one is tied to others",
        )
        slots[slot.tensor] = slot
    return slot.tensor if slot is not None and slot.quantized else None


def dynamic_pairs(model: Model, target: Target, slots: dict[str, Slot]) -> tuple[DynamicPair, ...]:
    """Nodes that take an activation in the place of a weight, with the quantizers of both operands."""
    placement = Placement(slots, {}, (), {}, (), target.name, {})
    found = []
    for node in model.graph:
        if node.op_type not in target.dynamic_weights.ops or len(node.inputs) < 2:
            continue
        operands = [v for v in node.inputs[:2] if v is not None and v.const_value is None]
        roots = [placement.root(str(v.name)) for v in operands]
        if len(roots) == 2 and all(r in slots and slots[r].quantized for r in roots):
            found.append(DynamicPair(str(node.name), roots[0], roots[1]))
    return tuple(found)


def shared_groups(model: Model, placement: Placement) -> tuple[frozenset[str], ...]:
    """Tensors and weights that must have one precision: moved, scaled and tied tensors; W and R of a recurrent layer."""
    sets, first = Sets(), dict[str, str]()
    for name, slot in placement.slots.items():
        root = placement.root(name)
        if root not in placement.slots or not placement.slots[root].quantized:
            continue
        sets.join(root, name)
        if slot.tied is not None:
            sets.join(first.setdefault(slot.tied, name), name)
    for layer in model.layers:
        for weight in layer.weights:
            if weight in placement.weights:
                sets.join(layer.weights[0], weight)
    return tuple(sets.all())
