"""The most bytes of activations that are alive at once, for one sample, as a function of the tensors' types.

Units run in graph order; what is made and read within one unit (before the activation that runs in one step with its layer) is
never stored. Tensors that only move values are counted like any other: whether a device copies is not known here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from engine.graph import Model
from engine.quant.precision import DataType
from engine.targets import Placement

FLOAT_BITS = 32


@dataclass(frozen=True)
class Peak:
    """Tensors as they come and go.

    Attributes:
        begins: tensors alive before the first node.
        steps: for each node the tensors that it makes, and those that die after it.
        values: tensor → its number of values in one sample.
    """

    begins: tuple[str, ...]
    steps: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    values: Mapping[str, int]

    def bytes(self, types: Mapping[str, DataType], class_of: Mapping[str, str]) -> int:
        """The peak, where each set of tensors has a type; a tensor in none is float32."""
        size = {t: n * (types[class_of[t]].bits if t in class_of else FLOAT_BITS) / 8 for t, n in self.values.items()}
        alive = sum(size[t] for t in self.begins)
        peak = alive
        for made, dead in self.steps:
            alive += sum(size[t] for t in made)
            peak = max(peak, alive)
            alive -= sum(size[t] for t in dead)
        return math.ceil(peak)


def peak_of(model: Model, placement: Placement) -> Peak:
    """The life of every tensor that is stored."""
    unit = {str(node.name): placement.units.get(str(node.name), str(node.name)) for node in model.graph}
    readers: dict[str, set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    for i, node in enumerate(model.graph):
        for value in node.inputs:
            if value is not None and value.const_value is None:
                readers[str(value.name)].add(unit[str(node.name)])
                last[str(value.name)] = i
    outputs = {o.name for o in model.outputs}
    inner = {str(v.name) for node in model.graph for v in node.outputs
             if str(v.name) not in outputs and readers[str(v.name)] == {unit[str(node.name)]}}
    begins = tuple(i.name for i in model.inputs)
    steps, values = [], {t: math.prod(model.shapes.get(t, ())) for t in begins}
    for i, node in enumerate(model.graph):
        made = tuple(str(v.name) for v in node.outputs if v.name and str(v.name) not in inner)
        values.update((t, math.prod(model.shapes.get(t, ()))) for t in made)
        read = dict.fromkeys(str(v.name) for v in node.inputs if v is not None)
        unread = tuple(t for t in made if t not in last and t not in outputs)
        steps.append((made, tuple(t for t in read if last.get(t) == i and t in values and t not in outputs) + unread))
    return Peak(begins, tuple(steps), values)
