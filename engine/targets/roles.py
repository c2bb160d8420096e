"""What float tensors and constants are for: data that is quantized, or what never is (`masking.py`, `states.py`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph import Model
from engine.graph.layers import constant_shape, weight_index
from engine.graph.matching import scalar
from engine.targets.facts import Target
from engine.targets.floats import is_float, starts_data
from engine.targets.masking import find_masks, find_shape_numbers
from engine.targets.states import find_states
from engine.targets.units import Unit, is_recurrent


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


def find_roles(model: Model, target: Target, units: list[Unit], weights: frozenset[str]) -> Roles:
    """The roles of all float tensors and constants."""
    never = {**find_shape_numbers(model), **find_states(model, target), **find_masks(model, units)}
    inside = {id(node) for unit in units if unit.pattern is not None for node in unit.nodes}
    operands: dict[str, str] = {}
    for node in model.graph:
        if node.op_type in target.constant_operands and id(node) not in inside and str(node.outputs[0].name) not in never:
            operands.update((str(v.name), _operand(v)) for v in _data_constants(node) if str(v.name) not in weights)
    return Roles(never, operands, dict(_notes(model)))


def _notes(model: Model) -> Iterator[tuple[str, str]]:
    for node in model.graph:
        first = str(node.outputs[0].name) if node.outputs else ""
        if is_recurrent(node):
            why = f"sequence of {node.op_type} {node.name}; its gates and states stay float"
            yield from ((str(v.name), why) for v in node.outputs[:2])
        elif node.op_type == "Gather" and weight_index(node) is not None:
            yield first, f"output of embedding {node.name}, which has a quantizer beside its table's"
        elif node.op_type == "Cast" and starts_data(node):
            yield first, f"integer data made float by {node.name}"


def _data_constants(node: ir.Node) -> Iterator[ir.Value]:
    """The float constants with values that a node reads, its weight left out."""
    for index, value in enumerate(node.inputs):
        if value is None or value.const_value is None or not is_float(value) or index == weight_index(node):
            continue
        if math.prod(constant_shape(value)):
            yield value


def _operand(value: ir.Value) -> str:
    return "a single value: it lies exactly on a grid of its own" if scalar(value) is not None else ""
