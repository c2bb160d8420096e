"""Encodings that a step found together with a weight, and the question whether they still hold.

A rounded weight lies on the grid it was rounded to. That grid has to stay with it when the recipe moves
elsewhere, but is without meaning once the weight is another, or the recipe asks for another type.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import BadInput, nearest
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.grid import Grid
from engine.quant.precision import Int
from engine.targets import ActivationPlan, WeightPlan


@dataclass(frozen=True)
class Pins:
    """Encodings by initializer, each with the tensor (onnx-ir) that it was found for, and learned ones of activations.

    Frozen: simulations may share one.
    """

    held: Mapping[str, tuple[Encoding, Any]]
    learned: Mapping[str, Encoding] = field(default_factory=dict)

    @property
    def encodings(self) -> dict[str, Encoding]:
        """Initializer or activation → encoding."""
        return {name: encoding for name, (encoding, _) in self.held.items()} | dict(self.learned)

    def having(self, model: Model, name: str, encoding: Encoding) -> Pins:
        """With one more, for the weight as it is in `model` now, or for an activation; raises `BadInput` where there is neither."""
        value = model.graph.initializers.get(name)
        if value is None and name in model.values:
            return Pins(self.held, {**self.learned, name: encoding})
        if value is None or value.const_value is None:
            raise BadInput(f"there is no weight {name!r} to pin an encoding to. {nearest(name, list(model.graph.initializers))}")
        return Pins({**self.held, name: (encoding, value.const_value)}, self.learned)

    def without(self, names: Iterable[str] | None = None) -> Pins:
        """Without these; None drops all."""
        if names is None:
            return NO_PINS
        gone = set(names)
        return Pins({n: pin for n, pin in self.held.items() if n not in gone}, {n: e for n, e in self.learned.items() if n not in gone})

    def holding(self, model: Model) -> Pins:
        """After a change of the graph: those whose weight is in `model` what it was when it was pinned; no activation is what it was."""
        return Pins({name: (encoding, tensor) for name, (encoding, tensor) in self.held.items() if _same(model, name, tensor)})

    def of_activation(self, plan: ActivationPlan) -> Encoding | None:
        """The learned encoding of an activation, if it is of the type that the plan asks for and the recipe sets no range."""
        encoding = self.learned.get(plan.tensor)
        if encoding is None or encoding.dtype != plan.dtype or plan.minimum is not None or plan.maximum is not None:
            return None
        return encoding if not isinstance(plan.dtype, Int) or encoding.grid in _grids(plan) else None

    def of(self, plan: WeightPlan) -> Encoding | None:
        """The pinned encoding of a weight, if it is of the type that the plan asks for."""
        if plan.initializer not in self.held:
            return None
        encoding = self.held[plan.initializer][0]
        return encoding if fits(encoding, plan) else None


def fits(encoding: Encoding, plan: WeightPlan) -> bool:
    """Whether an encoding has the plan's type, symmetry and granularity (`unsigned` may have fallen back to `symmetric`)."""
    if encoding.dtype != plan.dtype or encoding.granularity != plan.granularity:
        return False
    return not isinstance(plan.dtype, Int) or encoding.grid in _grids(plan)


def _grids(plan: WeightPlan | ActivationPlan) -> tuple[Grid, Grid]:
    assert isinstance(plan.dtype, Int)
    grid = Grid(plan.dtype.bits, plan.symmetry)
    return grid, grid.for_low(-1.0)


def _same(model: Model, name: str, tensor: Any) -> bool:
    value = model.graph.initializers.get(name)
    now = None if value is None else value.const_value
    return now is not None and (now is tensor or np.array_equal(now.numpy(), tensor.numpy()))


NO_PINS = Pins({})
