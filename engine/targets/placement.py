"""Where a target puts quantizers in a model. Types are no business of this module: see `resolve.py`.

Rules for a float tensor, the first that fits:
 1. inside a one-op pattern or a supergroup: none (`units.py`; depthwise Conv and Conv3D start no supergroup
    where the target says so);
 2. made for masks alone, or the states of a recurrent layer: none, ever;
 3. a graph input: one, where the target quantizes inputs;
 4. moved values (grid-preserving op): it carries its source's encoding; a table looked up has its own;
 5. a product or quotient with one positive constant: the source's encoding, scaled;
 6. an op without output quantizer on the target: none;
 7. else one: with a fixed range (Softmax), tied to its inputs (Concat) or input (AveragePool), or its own.
A constant operand with more than one value has a quantizer like an activation; weights are in `weights.py`.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from engine.graph import Model
from engine.targets.facts import Target
from engine.targets.floats import is_float, starts_data
from engine.targets.moves import Moves
from engine.targets.roles import Roles, find_roles
from engine.targets.slots import DynamicPair, Placement, Slot, SlotKind
from engine.targets.ties import dynamic_pairs, shared_groups, tie
from engine.targets.units import Unit, describe, describe_inner, find_units
from engine.targets.weights import weight_slots


def place(model: Model, target: Target) -> Placement:
    """The slots of a model on a target; the model is not changed."""
    units, patterns = find_units(model, target)
    weights = weight_slots(model, target, patterns)
    roles = find_roles(model, target, units, frozenset(weights))
    slots = {slot.tensor: slot for slot in _Placer(model, target, units, roles).slots()}
    tie(model, target, slots)
    pairs = dynamic_pairs(model, target, slots)
    _symmetric_seconds(slots, pairs, target)
    placement = Placement(
        slots,
        weights,
        (),
        {str(n.name): u.name for u in units for n in u.nodes},
        pairs,
        target.name,
        _others(model, slots, set(weights), roles),
    )
    return replace(placement, groups=shared_groups(model, placement))


class _Placer:
    """One pass over the graph in the order of execution."""

    def __init__(self, model: Model, target: Target, units: list[Unit], roles: Roles) -> None:
        self.model, self.target, self.roles = model, target, roles
        self.unit_of = {id(node): unit for unit in units for node in unit.nodes}
        self.moves = Moves(target)
        self.found: dict[str, Slot] = {}

    def slots(self) -> list[Slot]:
        """Inputs, then constant operands and outputs node by node."""
        for value in self.model.graph.inputs:
            if is_float(value):
                self.add(self.of_input(value))
        for node in self.model.graph:
            for operand in node.inputs:
                if (
                    operand is not None
                    and str(operand.name) in self.roles.operands
                    and str(operand.name) not in self.found
                ):
                    self.add(self.of_constant(operand, node))
            for value in node.outputs:
                if value.name and is_float(value):
                    self.add(self.of_output(value, node))
        return list(self.found.values())

    def add(self, slot: Slot) -> None:
        self.found[slot.tensor] = slot

    def of_input(self, value: ir.Value) -> Slot:
        """Rules 2 and 3."""
        name = str(value.name)
        if name in self.roles.float_only:
            return Slot(name, False, self.roles.float_only[name], "input")
        if not self.target.model_inputs_quantized:
            return Slot(name, False, f"{self.target.name} takes model inputs in float", "input")
        return Slot(name, True, "model input", "input")

    def of_constant(self, value: ir.Value, node: ir.Node) -> Slot:
        """The rule for constant operands: a single value lies on a grid of its own anyway."""
        reason = self.roles.operands[str(value.name)]
        return Slot(
            str(value.name),
            not reason,
            reason or f"constant operand of {node.op_type} {node.name}",
            "constant",
        )

    def of_output(self, value: ir.Value, node: ir.Node) -> Slot:
        """Rules 1, 2, 4, 5, 6 and 7."""
        name, unit = str(value.name), self.unit_of[id(node)]
        kind: SlotKind = "output" if value.is_graph_output() else "activation"
        if value is not unit.output and node is not unit.nodes[-1]:
            return Slot(name, False, describe_inner(unit, node), kind)
        if name in self.roles.float_only:
            return Slot(name, False, self.roles.float_only[name], kind)
        if len(unit.nodes) == 1:
            moved = self.moved(name, node, kind)
            if moved is not None:
                return moved
            if node.op_type in self.target.no_output_quantizer and not starts_data(node):
                return Slot(name, False, f"{self.target.name} puts no quantizer behind {node.op_type}", kind)
        if kind == "output" and not self.target.model_outputs_quantized:
            return Slot(name, False, f"{self.target.name} leaves model outputs in float", kind)
        return Slot(
            name,
            True,
            self.roles.notes.get(name) or describe(unit),
            kind,
            self.target.fixed_ranges.get(unit.op_type),
        )

    def moved(self, name: str, node: ir.Node, kind: SlotKind) -> Slot | None:
        """Rules 4 and 5."""
        move = self.moves.of(node)
        if move is None or not is_float(move.source):
            return None
        source = str(move.source.name)
        if (
            source not in self.found
        ):  # a constant that only moves: the output is where it becomes an activation
            return None
        if move.factor is not None:
            reason = f"{node.op_type} {node.name} multiplies by a positive constant: the encoding is derived"
            return Slot(name, False, reason, kind, scaled=(source, move.factor))
        return Slot(
            name,
            False,
            f"{node.op_type} {node.name} only moves values, so they stay on their grid",
            kind,
            carries=source,
        )


def _symmetric_seconds(slots: dict[str, Slot], pairs: tuple[DynamicPair, ...], target: Target) -> None:
    """An activation in a weight's place takes the weights' symmetry where the target says so."""
    if target.dynamic_weights.symmetry != "weights" or target.weight_symmetry == "asymmetric":
        return
    for pair in pairs:
        slot = slots[pair.second]
        if slot.fixed_range is None:
            why = f"{slot.reason}; read by {pair.node} in the place of a weight"
            slots[pair.second] = replace(slot, symmetric=True, reason=why)


def _others(model: Model, slots: dict[str, Slot], weights: set[str], roles: Roles) -> dict[str, str]:
    """Words for every tensor without a slot."""
    found: dict[str, str] = {}
    for name, value in model.values.items():
        if name in slots or name in weights:
            continue
        if name in roles.float_only:
            found[name] = roles.float_only[name]
        elif not is_float(value):
            found[name] = "integer, boolean and string tensors are never quantized"
        elif value.const_value is not None:
            found[name] = (
                "a bias, bound or other parameter stays float (the recipe's bias option decides on biases)"
            )
        else:
            found[name] = "it is an output that nothing reads"
    return found
