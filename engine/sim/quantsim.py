"""QuantSim: a model and a recipe as the graph that would run on the device.

The recipe says what is asked, the target's placement where quantizers stand, `resolve` which type
each has; calibration gives statistics, and from these and the plan every encoding is derived without
data. Changing a recipe re-derives; only calibration touches data.
"""
from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch

from engine.errors import BadInput, nearest
from engine.graph.model import Model
from engine.progress import Progress, silent
from engine.quant.encoding import Encoding, encode_range
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram, MinMax
from engine.quant.precision import Float, Int
from engine.quant.ranges import find_range
from engine.quant.weights import weight_encoding
from engine.recipe import Recipe
from engine.sim.bias import bias_encodings
from engine.sim.calibration import Samples, Statistics, gather, merged
from engine.sim.chain import Chain
from engine.sim.pins import NO_PINS, Pins
from engine.sim.quantization import Quantization
from engine.targets import ActivationPlan, Placement, Plan, Target, WeightPlan, load_target, place, resolve


class QuantSim:
    """Simulates one recipe on one graph.

    Attributes:
        model: the graph, which steps may change (then they call `graph_changed`).
        statistics: of the calibration data, by tensor; empty before `calibrate`.
        fixed: encodings set from outside (frozen or overridden), by tensor or initializer name.
        revision: counts the changes of the graph.
        reference: the float graph whose outputs training follows, where weights of `model` are rounded already; None: `model` itself.
        kept: where steps keep what they finished (`engine.ptq.kept_layers.LayerCache`); None keeps nothing.
    """

    def __init__(self, model: Model, recipe: Recipe, target: Target | None = None, strict: bool = False) -> None:
        self.model = model
        self.target = target or load_target(recipe.target)
        self.recipe = recipe
        self.strict = strict
        self.statistics: Statistics = {}
        self.fixed: dict[str, Encoding] = {}
        self.kept: Any = None
        self.reference: Model | None = None
        self.revision = -1
        self._pins: Pins = NO_PINS
        self._weights: dict[tuple[str, str], Encoding] = {}
        self._activations: dict[tuple[str, str], Encoding] = {}
        self.graph_changed()

    def graph_changed(self) -> None:
        """After a step has edited the graph: everything derived from it is made anew. Statistics of old values go,
        and pins whose weight is another now."""
        self.revision += 1
        self.model.changed()
        self._pins = self._pins.holding(self.model)
        self._forget("plan", "chain")
        self._placements: dict[str, Placement] = {}
        self.statistics, self._weights, self._activations = {}, {}, {}
        self._quantization: Quantization | None = None

    def update(self, recipe: Recipe) -> None:
        """Another recipe on the same graph and statistics: only what changed is derived again."""
        if recipe.target != self.recipe.target:
            self.target = load_target(recipe.target)
        self.recipe = recipe
        self._forget("plan")
        self._quantization = None

    def moved(self, recipe: Recipe) -> QuantSim:
        """Another recipe on the same graph and statistics, as a simulation of its own: what one sets the other does not see.

        Sessions, placements and derived encodings are shared, so that only what differs is made.
        """
        other = copy.copy(self)
        other.__dict__["chain"] = self.chain  # made here once, not in every copy
        other.fixed = {}
        other.update(recipe)
        return other

    def copy(self) -> QuantSim:
        """A simulation that knows all that this one does, on a graph of its own: whatever a step does to it, this one stays."""
        other = copy.copy(self)
        other.fixed = dict(self.fixed)
        other.model = self.model.clone()
        return other

    def take(self, other: QuantSim) -> None:
        """The graph and the pins of a copy that was worked on."""
        self.model, self._pins = other.model, other._pins
        self.graph_changed()

    @property
    def placement(self) -> Placement:
        """Where quantizers stand on this graph and target."""
        if self.target.name not in self._placements:
            self._placements[self.target.name] = place(self.model, self.target)
        return self._placements[self.target.name]

    @cached_property
    def plan(self) -> Plan:
        """What `resolve` makes of the recipe. Made when first asked for: a recipe may name tensors that only a step makes."""
        return resolve(self.model, self.recipe, self.target, self.placement, self.strict)

    @cached_property
    def chain(self) -> Chain:
        """The graph's sessions."""
        return Chain(self.model)

    def _forget(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    def calibrate(self, data: Samples, progress: Progress = silent, histograms: bool = True) -> None:
        """One pass over `data` in the float model; replaces the statistics."""
        self.adopt(self.gathered(data, progress, histograms))

    def gathered(self, data: Samples, progress: Progress = silent, histograms: bool = True) -> Statistics:
        """Statistics of all tensors that a calibration looks at, from one pass over `data` in the float model."""
        names = [name for name, slot in self.placement.slots.items() if slot.quantized and slot.kind != "constant"]
        return gather(self.chain, data, names, progress, histograms)

    def adopt(self, statistics: Statistics) -> None:
        """Statistics gathered earlier from the same graph and data; simulations that have moved away keep theirs."""
        self.statistics = dict(statistics)
        self._activations = {}
        self._quantization = None

    @property
    def quantization(self) -> Quantization:
        """All encodings of the plan; raises `BadInput` naming the tensors that still need calibration."""
        if self._quantization is None:
            self._quantization = self._derive()
        return self._quantization

    def missing(self) -> list[str]:
        """Tensors whose range can only come from data that have not been seen."""
        return [name for name, plan in self.plan.activations.items() if name not in self.fixed and isinstance(plan.dtype, Int)
                and self._pins.of_activation(plan) is None and _given_range(plan) is None and self._observer(plan) is None]

    def override(self, name: str, encoding: Encoding) -> None:
        """Sets a tensor's or a weight's encoding from outside; it stays until `reset`."""
        known = (*self.plan.activations, *self.plan.weights)
        if name not in known:
            raise BadInput(f"{name!r} has no quantizer under this recipe and target. {nearest(name, known)}")
        self.fixed[name] = encoding
        self._quantization = None

    def freeze(self, names: Iterable[str] | None = None) -> None:
        """Keeps the present encodings of these tensors (all of them by default) whatever is calibrated later."""
        current = {**self.quantization.activations, **self.quantization.constants}
        for name in current if names is None else names:
            if name not in current:
                raise BadInput(f"{name!r} has no encoding to freeze. {nearest(name, current)}")
            self.override(name, current[name])

    def reset(self, names: Iterable[str] | None = None) -> None:
        """Drops what `override` and `freeze` set."""
        for name in list(self.fixed) if names is None else names:
            self.fixed.pop(name, None)
        self._quantization = None

    @property
    def pinned(self) -> dict[str, Encoding]:
        """What `pin` set and still holds, by initializer or activation."""
        return self._pins.encodings

    def pin(self, name: str, encoding: Encoding) -> None:
        """A step's encoding for the weight as it is now (set the weight first), or for an activation. It moves along to other
        recipes, and is used while the plan's type, symmetry and granularity are the encoding's. `override` beats it."""
        self._pins = self._pins.having(self.model, name, encoding)
        self._quantization = None

    def unpin(self, names: Iterable[str] | None = None) -> None:
        """Drops pins (all of them by default): the encodings follow from the weights' values again."""
        self._pins = self._pins.without(names)
        self._quantization = None

    def run(self, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """Outputs and watched tensors of the quantized graph, in ONNX Runtime."""
        return self.chain.run(self.quantization, feeds, watch)

    def constants(self) -> dict[str, Encoding]:
        """The encodings of weights and constant operands, which need no data."""
        found: dict[str, Encoding] = {}
        for name, plan in self.plan.activations.items():
            if self.placement.slots[name].kind == "constant":
                found[name] = self.fixed[name] if name in self.fixed else self._activation(plan)
        for name, weight in self.plan.weights.items():
            found[name] = self.fixed[name] if name in self.fixed else self._weight(weight)
        return found

    def _derive(self) -> Quantization:
        missing = self.missing()
        if missing:
            raise BadInput(f"{len(missing)} tensors have no range yet (first: {missing[0]!r}); calibrate on data, or set "
                           "min and max for them in the recipe's `tensors:`")
        own = {name: plan for name, plan in self.plan.activations.items() if self.placement.slots[name].kind != "constant"}
        activations = {name: self.fixed[name] if name in self.fixed else self._activation(plan) for name, plan in own.items()}
        found = Quantization(activations, self.constants())
        if self.recipe.bias == "int32":
            found = bias_encodings(self.model, found)
        return found

    def _activation(self, plan: ActivationPlan) -> Encoding:
        """The encoding of an activation from its plan: fixed range, given min and max, or the range method's."""
        if isinstance(plan.dtype, Float):
            return Encoding(plan.dtype)
        learned = self._pins.of_activation(plan)
        if learned is not None:
            return learned
        key = (plan.tied or plan.tensor, repr((plan.dtype, plan.symmetry, plan.fixed_range, plan.method, plan.minimum, plan.maximum)))
        if key not in self._activations:
            grid = Grid(plan.dtype.bits, plan.symmetry)
            low, high = _given_range(plan) or find_range(_need(self._observer(plan), plan.tensor), grid, plan.method)
            low = plan.minimum if plan.minimum is not None else low
            high = plan.maximum if plan.maximum is not None else high
            self._activations[key] = encode_range(low, high, grid)
        return self._activations[key]

    def _observer(self, plan: ActivationPlan) -> MinMax | None:
        if self.placement.slots[plan.tensor].kind == "constant":
            observer = Histogram()  # any range method may be asked for
            observer.update(torch.from_numpy(np.array(self.model.constant(plan.tensor), dtype=np.float32)))
            return observer
        members = [name for name, slot in self.placement.slots.items() if slot.tied == plan.tied] if plan.tied else [plan.tensor]
        return merged(self.statistics, members)

    def _weight(self, plan: WeightPlan) -> Encoding:
        if isinstance(plan.dtype, Float):
            return Encoding(plan.dtype)
        pinned = self._pins.of(plan)
        if pinned is not None:
            return pinned
        key = (plan.initializer, repr((plan.dtype, plan.symmetry, plan.granularity, plan.method)))
        if key not in self._weights:
            weight = torch.from_numpy(np.array(self.model.constant(plan.initializer)))
            self._weights[key] = weight_encoding(weight, plan.dtype, plan.symmetry, plan.granularity, plan.method)
        return self._weights[key]


def _need(observer: MinMax | None, name: str) -> MinMax:
    if observer is None:
        raise BadInput(f"tensor {name!r} has no statistics; calibrate on data first")
    return observer


def _given_range(plan: ActivationPlan) -> tuple[float, float] | None:
    """A range that needs no data: the recipe's minimum and maximum, else the target's."""
    if plan.minimum is not None and plan.maximum is not None:
        return plan.minimum, plan.maximum
    return plan.fixed_range
