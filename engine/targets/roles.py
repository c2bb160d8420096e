"""What float tensors are for: data that is quantized, or masks, states and shapes that never are.

1. A mask is a tensor made from integers, shapes and constants that masks scores (the operand of a masked
   softmax, and what only makes it), or one that comes from an input called a mask.
2. The states of an LSTM, GRU or RNN stay float: what only feeds `initial_h`/`initial_c`, every `Y_c`, and a
   `Y_h` that leads nowhere but to states and model outputs.
3. One number computed from shapes and constants alone is a parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph import Model
from engine.graph.layers import constant_shape, weight_index
from engine.graph.masks import FLOATS
from engine.graph.matching import scalar
from engine.targets.target import Target
from engine.targets.units import Unit, is_recurrent

STATE_INPUTS = (5, 6)
_MOVERS = frozenset({"Concat", "Identity", "Cast"})
_BLIND = frozenset({"Shape", "Size"})


@dataclass(frozen=True)
class Roles:
    """Facts about tensors by name.

    Attributes:
        float_only: never quantized, and why.
        operands: float constants in the place of data → why one has no quantizer; empty where it has.
        notes: the reason for a quantizer where it is not just "output of".
    """

    float_only: dict[str, str]
    operands: dict[str, str]
    notes: dict[str, str]

    @staticmethod
    def is_float(value: ir.Value | None) -> bool:
        """Whether a tensor holds floats; one of unknown type does when an input of its node does."""
        if value is None:
            return False
        if value.dtype is not None:
            return value.dtype in FLOATS
        node = value.producer()
        return node is not None and any(Roles.is_float(v) for v in node.inputs)

    @staticmethod
    def starts_data(node: ir.Node) -> bool:
        """Whether float data begins here: no float tensor but constants goes in."""
        return not any(Roles.is_float(v) and v is not None and v.const_value is None for v in node.inputs)


def find_roles(model: Model, target: Target, units: list[Unit], weights: frozenset[str]) -> Roles:
    """The roles of all float tensors and constants."""
    never = {**_shape_numbers(model), **_states(model, target), **_masks(model, units)}
    notes: dict[str, str] = {}
    for node in model.graph:
        if is_recurrent(node):
            notes.update(
                (str(v.name), f"sequence of {node.op_type} {node.name}; its gates and states stay float")
                for v in node.outputs[:2]
            )
        elif node.op_type == "Gather" and weight_index(node) is not None:
            notes[str(node.outputs[0].name)] = (
                f"output of embedding {node.name}, which has a quantizer beside its table's"
            )
        elif node.op_type == "Cast" and Roles.starts_data(node):
            notes[str(node.outputs[0].name)] = f"integer data made float by {node.name}"
    return Roles(never, _operands(model, target, units, never, weights), notes)


def _depends(value: ir.Value, stop: Callable[[ir.Value], bool | None], known: dict[int, bool]) -> bool:
    """Whether all that a tensor is made from passes `stop`: True ends the walk, False fails it, None goes on upwards."""
    if id(value) not in known:
        verdict = stop(value)
        node = value.producer()
        if verdict is None:
            verdict = node is not None and all(_depends(v, stop, known) for v in node.inputs if v is not None)
        known[id(value)] = verdict
    return known[id(value)]


def _from_shapes(value: ir.Value) -> bool | None:
    node = value.producer()
    if value.const_value is not None or (node is not None and node.op_type in _BLIND):
        return True
    return False if node is None or weight_index(node) is not None else None


def _shape_numbers(model: Model) -> dict[str, str]:
    """Rule 3, in graph order so that no walk is deep."""
    found, known = {}, dict[int, bool]()
    for value in _outputs(model):
        if (
            _depends(value, _from_shapes, known)
            and Roles.is_float(value)
            and math.prod(model.shapes.get(str(value.name), (2,))) == 1
        ):
            found[str(value.name)] = "one number computed from shapes and constants"
    return found


def _from_mask_input(value: ir.Value) -> bool | None:
    node = value.producer()
    if node is None:
        return value.const_value is not None or "mask" in str(value.name).lower()
    return (
        True
        if node.op_type in _BLIND or value.const_value is not None
        else False
        if weight_index(node) is not None
        else None
    )


def _masks(model: Model, units: list[Unit]) -> dict[str, str]:
    """Rule 1."""
    softmax = {
        str(node.name): unit.pattern.mask
        for unit in units
        if unit.pattern is not None and unit.pattern.mask
        for node in unit.nodes
    }
    found = dict.fromkeys(softmax.values(), "a mask: it hides scores and never sets a range")
    for node in reversed(list(model.graph)):
        for value in node.outputs:
            if (
                Roles.is_float(value)
                and value.uses()
                and not value.is_graph_output()
                and all(
                    softmax.get(str(user.name)) == value.name or _only_makes(user, found)
                    for user, _ in value.uses()
                )
            ):
                found[str(value.name)] = "it only makes a mask, which never sets a range"
    shapes, masks = dict[int, bool](), dict[int, bool]()
    for value in (*model.graph.inputs, *_outputs(model)):
        if (
            Roles.is_float(value)
            and _depends(value, _from_mask_input, masks)
            and not _depends(value, _from_shapes, shapes)
        ):
            found.setdefault(str(value.name), "made from a mask input alone, and masks are never quantized")
    for value in model.graph.inputs:
        if (
            value.uses()
            and Roles.is_float(value)
            and all(_only_makes(user, found) for user, _ in value.uses())
        ):
            found.setdefault(str(value.name), "it only makes a mask, which never sets a range")
    return found


def _only_makes(node: ir.Node, found: dict[str, str]) -> bool:
    return all(str(v.name) in found or not v.name for v in node.outputs) and bool(node.outputs)


def _states(model: Model, target: Target) -> dict[str, str]:
    """Rule 2."""
    movers = target.grid_preserving | _MOVERS
    known: dict[int, bool] = {}
    found: dict[str, str] = {}
    why = "a state of a recurrent layer, which stays float"

    def leads_to_states(value: ir.Value) -> bool:
        if id(value) not in known:
            known[id(value)] = all(
                (is_recurrent(user) and index in STATE_INPUTS)
                or user.op_type in _BLIND
                or (user.op_type in movers and all(leads_to_states(v) for v in user.outputs))
                for user, index in value.uses()
            )
        return known[id(value)]

    for node in reversed(list(model.graph)):
        fed = [
            v
            for v in node.outputs
            if Roles.is_float(v) and v.uses() and leads_to_states(v) and not v.is_graph_output()
        ]
        if any(_reaches_state(v, movers) for v in fed):
            found.update((str(v.name), why) for v in fed)
    for value in model.graph.inputs:
        if (
            Roles.is_float(value)
            and value.uses()
            and leads_to_states(value)
            and _reaches_state(value, movers)
        ):
            found[str(value.name)] = why
    for node in model.graph:
        if is_recurrent(node):
            found.update(
                (str(v.name), why)
                for i, v in enumerate(node.outputs)
                if v.name and (i == 2 or (i == 1 and leads_to_states(v)))
            )
        elif node.op_type in movers and not Roles.starts_data(node) and _all_in(node, found):
            found.update((str(v.name), why) for v in node.outputs if Roles.is_float(v))
    return found


def _all_in(node: ir.Node, found: dict[str, str]) -> bool:
    """Whether all float tensors but constants that a node reads are among some."""
    values = [v for v in node.inputs if v is not None and v.const_value is None and Roles.is_float(v)]
    return all(str(v.name) in found for v in values)


def _reaches_state(value: ir.Value, movers: Iterable[str]) -> bool:
    return any(
        (is_recurrent(user) and index in STATE_INPUTS)
        or (user.op_type in movers and any(_reaches_state(v, movers) for v in user.outputs))
        for user, index in value.uses()
    )


def _operands(
    model: Model, target: Target, units: list[Unit], never: dict[str, str], weights: frozenset[str]
) -> dict[str, str]:
    """Float constants that nodes read as data."""
    inside = {id(node) for unit in units if unit.pattern is not None for node in unit.nodes}
    found: dict[str, str] = {}
    for node in model.graph:
        if (
            node.op_type not in target.constant_operands
            or id(node) in inside
            or str(node.outputs[0].name) in never
        ):
            continue
        for index, value in enumerate(node.inputs):
            name = "" if value is None else str(value.name)
            if (
                value is None
                or value.const_value is None
                or not Roles.is_float(value)
                or name in weights
                or index == weight_index(node)
            ):
                continue
            if math.prod(constant_shape(value)) == 0:
                continue
            found[name] = (
                "a single value: it lies exactly on a grid of its own" if scalar(value) is not None else ""
            )
    return found


def _outputs(model: Model) -> Iterable[ir.Value]:
    return (value for node in model.graph for value in node.outputs if value.name)
