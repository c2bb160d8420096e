"""Changes of type along edges as a function of the layers' precisions: the count that `targets/boundaries.py` finds.

A change is a conversion that the device runs: it reads and writes each value of the tensor. It is charged as one
8 x 8-bit multiplication for each value (`CHARGE` bit operations), beside the BOPs of the layers and never within them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from engine.graph import Model
from engine.quant.precision import DataType, Float, Int, Precision
from engine.targets import Placement
from engine.targets.boundaries import tensors_read
from engine.targets.requests import FLOAT32, Requests

CHARGE = 64


@dataclass(frozen=True)
class Node:
    """One node that converts where types differ: what it reads and makes, and the unit that it runs in.

    `asks` is the type that it asks for, None for a layer whose number is `layer`.
    """

    unit: str
    reads: tuple[str, ...]
    makes: tuple[tuple[str, str], ...]
    asks: DataType | None
    layer: int


@dataclass(frozen=True)
class Edges:
    """All that types along edges follow from.

    Attributes:
        nodes: in graph order.
        class_of: tensor → the set of tensors that share its type.
        asked: set → what others than free layers ask of it.
        pinned: set → a type that the recipe sets.
        readers: set → the numbers of the layers that read it.
        values: tensor → its number of values in one sample.
    """

    nodes: tuple[Node, ...]
    class_of: Mapping[str, str]
    asked: Mapping[str, tuple[DataType, ...]]
    pinned: Mapping[str, DataType]
    readers: Mapping[str, tuple[int, ...]]
    values: Mapping[str, int] = field(default_factory=dict)

    def types(self, precisions: Sequence[Precision]) -> dict[str, DataType]:
        """Set → its type."""
        return {name: self.type_of(name, precisions) for name in set(self.class_of.values())}

    def type_of(self, name: str, precisions: Sequence[Precision]) -> DataType:
        """The type of one set."""
        if name in self.pinned:
            return self.pinned[name]
        own = [precisions[k].activations for k in self.readers.get(name, ()) if precisions[k] != FLOAT32]
        asked = [*self.asked.get(name, ()), *own]
        integers = [a for a in asked if isinstance(a, Int)]
        return max(integers or asked, key=lambda a: a.bits, default=FLOAT32.activations)

    def changes(self, precisions: Sequence[Precision]) -> list[str]:
        """The tensor of each change, in graph order; a tensor is there once for each conversion."""
        return self._changes(self.nodes, self.types(precisions), precisions)

    def near(self, layers: Sequence[int]) -> tuple[Node, ...]:
        """The nodes whose conversions may depend on the precisions of these layers: those of the units that touch their tensors."""
        touched = {name for k in layers for name in self._classes.get(k, ())}
        units = {unit for name in touched for unit in self._units.get(name, ())}
        return tuple(node for unit in sorted(units) for node in self._members[unit])

    def members(self, unit: str) -> list[Node]:
        """The nodes of a unit."""
        return self._members[unit]

    def layers_of(self, nodes: Sequence[Node]) -> tuple[int, ...]:
        """The layers on whose precisions the conversions at some nodes depend; the nodes are whole units."""
        names = {self.class_of[t] for node in nodes for t in (*node.reads, *(made for made, _ in node.makes))}
        found = {k for name in names for k in self.readers.get(name, ())} | {node.layer for node in nodes if node.layer >= 0}
        return tuple(sorted(found))

    def charge_of(self, nodes: Sequence[Node], precisions: Sequence[Precision]) -> float:
        """What the conversions at some nodes cost, in bit operations; the nodes are whole units."""
        names = {self.class_of[t] for node in nodes for t in (*node.reads, *(made for made, _ in node.makes))}
        found = self._changes(nodes, {name: self.type_of(name, precisions) for name in names}, precisions)
        return float(CHARGE * sum(self.values.get(t, 0) for t in found))

    @cached_property
    def _classes(self) -> dict[int, list[str]]:
        """Layer → the sets that it reads."""
        found: dict[int, list[str]] = defaultdict(list)
        for name, layers in self.readers.items():
            for k in layers:
                found[k].append(name)
        return found

    @cached_property
    def _units(self) -> dict[str, list[str]]:
        """Set → the units that read or make it."""
        found: dict[str, list[str]] = defaultdict(list)
        for node in self.nodes:
            for tensor in (*node.reads, *(made for made, _ in node.makes)):
                found[self.class_of[tensor]].append(node.unit)
        return found

    @cached_property
    def _members(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            found[node.unit].append(node)
        return found

    def _changes(self, nodes: Sequence[Node], types: Mapping[str, DataType], precisions: Sequence[Precision]) -> list[str]:
        works: dict[str, DataType] = {}
        for node in nodes:
            for tensor in node.reads:
                kind = self._as_read(node, types[self.class_of[tensor]], precisions)
                if node.unit not in works or kind.bits > works[node.unit].bits:
                    works[node.unit] = kind
        found = []
        for node in nodes:
            have = [(t, types[self.class_of[t]]) for t in node.reads]
            found += [t for t, kind in have if self._as_read(node, kind, precisions) != kind]
            found += [t for t, unit in node.makes if unit in works and works[unit] != types[self.class_of[t]]]
        return found

    def count(self, precisions: Sequence[Precision]) -> int:
        """How many conversions there are."""
        return len(self.changes(precisions))

    def charge(self, precisions: Sequence[Precision]) -> float:
        """The conversions in bit operations of one sample."""
        return float(CHARGE * sum(self.values.get(t, 0) for t in self.changes(precisions)))

    def _as_read(self, node: Node, kind: DataType, precisions: Sequence[Precision]) -> DataType:
        asks = node.asks if node.asks is not None else precisions[node.layer].activations
        return asks if isinstance(asks, Float) and isinstance(kind, Int) else kind


def edges_of(model: Model, placement: Placement, requests: Requests, numbers: Mapping[str, int], class_of: Mapping[str, str],
             asked: Mapping[str, tuple[DataType, ...]], pinned: Mapping[str, DataType]) -> Edges:
    """The edges of a graph; `numbers` are those of the layers with options."""
    nodes, readers = [], dict[str, list[int]]()
    for node in model.graph:
        name = str(node.name)
        layer = numbers.get(name, -1)
        if layer >= 0:
            for tensor in requests.reads(node):
                if tensor in class_of and layer not in readers.setdefault(class_of[tensor], []):
                    readers[class_of[tensor]].append(layer)
        if any(str(v.name) in placement.slots and placement.slots[str(v.name)].source is not None for v in node.outputs):
            continue  # it only moves values
        unit = placement.units.get(name, name)
        made = [placement.slots[str(v.name)] for v in node.outputs if str(v.name) in placement.slots]
        makes = tuple((slot.tensor, unit) for slot in made if slot.quantized and slot.tensor in class_of)
        reads = tuple(t for t in tensors_read(node, placement) if t in class_of)
        if reads or makes:
            nodes.append(Node(unit, reads, makes, None if layer >= 0 else requests.precision(name).activations, layer))
    values = {t: math.prod(model.shapes.get(t, ())) for t in class_of}
    return Edges(tuple(nodes), class_of, asked, pinned, {c: tuple(found) for c, found in readers.items()}, values)
