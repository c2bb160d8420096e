"""A walk through a model's layers in execution order, with the values that each one reads: what layer-wise techniques stand on.

    walk = LayerWalk(sim, data, "gptq()", progress)
    for step in walk:
        if step.kept is not None:          # finished in an earlier run and put back already; step.kept are its facts
            continue
        for batch in step.batches():       # batch.x, batch.y_float, batch.x_float: torch, on the CPU, not to be changed
            ...
        step.put(weight, encoding, bias, facts)

`x` comes from the prefix as it is on the device: layers before this one hold what was put, activations are quantized as the recipe
says. `x_float` and `y_float` come from the float graph as it was when the walk began. Values are carried from layer to layer
(`Lane`), so each node runs once in either graph, and memory is that of the tensors that are alive at one place.

The walk edits a clone. Only when the loop has ended does the simulation get it, with the encodings pinned; a loop that raises, or
is left, leaves the simulation as it was. Layers that were finished are in `sim.kept` all the same.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from engine.graph.layers import Layer
from engine.progress import Progress, part, silent
from engine.ptq.carried import Shelf
from engine.ptq.lane import Lane, replaced
from engine.ptq.layer_keys import LayerKeys, packed, unpacked
from engine.ptq.layer_step import Batch, Facts, LayerStep
from engine.ptq.matrix import FORMS
from engine.ptq.weights import BIASED, bias_array, bias_value, can_bias, set_bias, set_constant
from engine.quant.encoding import Encoding
from engine.quant.methods import MinMax
from engine.quant.precision import Int
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim

__all__ = ["Batch", "LayerStep", "LayerWalk"]
BUDGET = 512 * 1024**2  # bytes of carried tensors that stay in memory
RUN_BYTES, MAX_BATCH = 8 * 1024**2, 32  # the largest tensor of one run stays in the cache


class LayerWalk:
    """See the module. Iterate once.

    Attributes:
        model: the clone that is being changed; `float_model` is the graph as it was.
        skipped: lines on layers that no step is made for, and why.
        shelf: the carried values, with their bytes.
    """

    def __init__(self, sim: QuantSim, data: Samples, signature: str, progress: Progress = silent, budget_bytes: int = BUDGET,
                 biases: bool = True, title: str = "") -> None:
        """
        Args:
            sim: under the recipe that the layers are rounded for; statistics are gathered from `data` where it lacks some.
            signature: the technique with its settings: kept layers of another one are not used.
            biases: layers may get another bias; those that have none, and a place for it, then get zeros.
            title: in front of progress messages, e.g. "GPTQ: ".
        """
        self._owner, self.data, self.progress, self.title, self.biases = sim, data, progress, title, biases
        self.float_model, self.model = sim.model, sim.model.clone()
        self.skipped: list[str] = []
        self._pins: dict[str, Encoding] = {}
        self._edited = False
        self.layers = self._chosen()
        if biases:
            self._own_biases()
        self.sim = self._simulation(part(progress, 0.0, 0.05))
        self.plan = self.sim.plan
        self.spans = self._batches()
        self.shelf = Shelf(budget_bytes)
        self._padding = Padding.of(sim.model)
        self._signature = signature

    def __iter__(self) -> Iterator[LayerStep]:
        if not self.layers:
            return
        self._lanes()
        self._keys = LayerKeys(self.quantized, self._signature, getattr(self.data, "sha256", ""), self.spans)
        try:
            for index, layer in enumerate(self.layers):
                step = LayerStep(self, layer, index, len(self.layers))
                self._restore(step)
                yield step
                self._finish(layer)
            self._swap()
        finally:
            self.shelf.close()

    # ---- what steps call
    def next_place(self, index: int) -> int:
        """Where the float lane goes to after the layer of that index."""
        order = self.floats.place
        return order[self.layers[index + 1].name] if index + 1 < len(self.layers) else order[self.layers[index].name] + 1

    def real(self, batch: int) -> Tensor | None:
        """Which tokens of a batch are no padding; None for models without a mask."""
        if self._padding.mask is None:
            return None
        return torch.from_numpy(np.asarray(self.data.batch(*self.spans[batch])[self._padding.mask])).bool()

    def apply(self, step: LayerStep, weight: Tensor | None, encoding: Encoding | None, bias: Tensor | np.ndarray | None) -> None:
        """Puts a result into the clone and into the lane behind it."""
        values = self.model.graph.initializers
        if weight is not None:
            set_constant(values[step.layer.weight], weight.detach().to(torch.float32).numpy())
        if encoding is not None:
            self._pins[step.layer.weight] = encoding
            self.quantized.quantization = replaced(self.quantized.quantization, {step.layer.weight: encoding})
        if bias is not None:
            set_bias(self.model, step.node, np.asarray(bias))
        self._edited |= weight is not None or bias is not None

    def keep(self, step: LayerStep, weight: Tensor | None, encoding: Encoding | None, bias: Tensor | np.ndarray | None,
             facts: Facts) -> None:
        """Hands a result to the cache."""
        cache = self._owner.kept
        if cache is not None and step.key:
            cache.put(step.key, packed(weight, encoding, bias, facts))

    # ---- making
    def _chosen(self) -> list[Layer]:
        """The layers to walk: those with an integer weight, each weight at its first reader."""
        plan, first, found = self._owner.plan, dict[str, str](), []
        for node in self.float_model.graph:
            for value in node.inputs:
                if value is not None and value.const_value is not None:
                    first.setdefault(str(value.name), str(node.name))
        for layer in self.float_model.layers:
            wanted = plan.weights.get(layer.weight)
            if wanted is None or not isinstance(wanted.dtype, Int):
                continue
            node = self.float_model.nodes[layer.name]
            if layer.op_type not in FORMS:
                self.skipped.append(f"{layer.name}: a {layer.op_type} keeps plain rounding")
            elif first[layer.weight] != layer.name:
                self.skipped.append(f"{layer.name} shares its weight with {first[layer.weight]}, which runs before it and decides")
            elif layer.op_type in BIASED and len(node.inputs) > 2 and node.inputs[2] is not None and layer.bias is None:
                self.skipped.append(f"{layer.name}: its bias is made by other nodes; it keeps plain rounding")
            else:
                found.append(layer)
        return found

    def _own_biases(self) -> None:
        for layer in self.layers:
            node = self.model.nodes[layer.name]
            value = bias_value(node)
            missing = value is None and node.op_type in BIASED
            if can_bias(node) and (missing or (value is not None and len(value.uses()) > 1)):
                set_bias(self.model, node, bias_array(node, _channels(layer)))

    def _simulation(self, progress: Progress) -> QuantSim:
        """The owner's encodings on the clone."""
        sim, owner = QuantSim(self.model, self._owner.recipe, self._owner.target, self._owner.strict), self._owner
        sim.fixed = dict(owner.fixed)
        for name, encoding in owner.pinned.items():
            sim.pin(name, encoding)
        sim.adopt(owner.statistics)
        if sim.missing():
            searching = any(not isinstance(plan.method, MinMax) for plan in sim.plan.activations.values())
            sim.calibrate(self.data, progress, histograms=searching)
        return sim

    def _batches(self) -> list[tuple[int, int]]:
        size = 1
        if not fixed_batch(self._owner.chain):
            largest = max(int(np.prod(shape)) for shape in self.float_model.shapes.values())
            size = max(1, min(MAX_BATCH, RUN_BYTES // (4 * largest)))
        return [(start, min(start + size, len(self.data))) for start in range(0, len(self.data), size)]

    def _lanes(self) -> None:
        found, level = self.sim.quantization, self._owner.chain.level
        own = type(found)(found.activations, found.constants)  # int32 biases follow from the scales, which are not known yet
        outputs = {layer.name: layer.output for layer in self.layers}
        self.floats = Lane("float", self.float_model, FLOAT, level, self.shelf, self.data, self.spans, outputs)
        self.quantized = Lane("quantized", self.model, own, level, self.shelf, self.data, self.spans, dict.fromkeys(outputs, ""))

    def _swap(self) -> None:
        """The simulation gets the changed graph and its pins; where grids alone have changed, its graph stays."""
        if self._edited:
            self._owner.model = self.model
            self._owner.graph_changed()
        for name, encoding in self._pins.items():
            self._owner.pin(name, encoding)

    def _restore(self, step: LayerStep) -> None:
        """Gives the step its key and, where an earlier run finished it, its result."""
        cache = self._owner.kept
        if cache is None or not getattr(self.data, "sha256", ""):
            return
        step.key = self._keys.key(step.layer.name, repr((step.plan, step.encoding.key(), step.fixed)))
        found = cache.get(step.key)
        if found is not None:
            weight, encoding, bias, facts = unpacked(found, step.plan)
            self.apply(step, weight, encoding, bias)
            step.kept = facts

    def _finish(self, layer: Layer) -> None:
        """What the layer is now is part of the keys of those behind it."""
        if self._owner.kept is not None:
            values = [self.model.graph.initializers[layer.weight], bias_value(self.model.nodes[layer.name])]
            self._keys.add(values, self._pins.get(layer.weight))


def _channels(layer: Layer) -> int:
    """How many values a bias of the layer has."""
    return layer.output_shape[1] if layer.op_type in ("Conv", "ConvTranspose") else layer.output_shape[-1]
