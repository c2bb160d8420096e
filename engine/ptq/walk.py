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

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir
import onnxruntime
import torch
from torch import Tensor

from engine.graph.layers import Layer, weight_index
from engine.progress import Progress, part, silent
from engine.ptq.carried import Shelf
from engine.ptq.lane import Lane, replaced
from engine.ptq.matrix import FORMS, MatrixForm
from engine.ptq.weights import BIASED, bias_array, bias_value, can_bias, set_bias, set_constant
from engine.quant.encoding import Encoding
from engine.quant.grid import Grid
from engine.quant.methods import MinMax
from engine.quant.precision import Int
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from engine.targets import WeightPlan

BUDGET = 512 * 1024**2  # bytes of carried tensors that stay in memory
RUN_BYTES, MAX_BATCH = 8 * 1024**2, 32  # the largest tensor of one run stays in the cache
Facts = Mapping[str, float]


@dataclass(frozen=True)
class Batch:
    """What one layer reads and makes for the samples `start`..`stop`; `real` marks tokens that are no padding [batch, tokens]."""

    index: int
    start: int
    stop: int
    x: Tensor
    x_float: Tensor
    y_float: Tensor
    real: Tensor | None


class LayerStep:
    """One layer of a walk.

    Attributes:
        layer: what it is; `node` is its node in the graph that is being changed.
        index: its place among the `count` layers of the walk, from 0.
        plan: what the recipe asks of its weight.
        form: the layer as a matrix.
        weight: the float weight, in its ONNX shape.
        encoding: the grid that the simulation has for it at present; `fixed` says that it came from outside and has to stay.
        bias: float64 [channels], what is added to the output at present.
        inside: whether `y_float` has that bias in it (behind a MatMul it is added by another node).
        can_bias: whether `put` takes a bias.
        kept: facts of an earlier run that finished this layer, which is then done; else None.
    """

    def __init__(self, walk: LayerWalk, layer: Layer, index: int, count: int) -> None:
        self._walk, self.layer, self.index, self.count = walk, layer, index, count
        self.node: onnx_ir.Node = walk.model.nodes[layer.name]
        self.plan: WeightPlan = walk.plan.weights[layer.weight]
        self.form = MatrixForm.of(walk.model, layer)
        self.weight = torch.from_numpy(np.array(walk.float_model.constant(layer.weight), dtype=np.float32))
        self.encoding: Encoding = walk.sim.quantization.constants[layer.weight]
        self.fixed = layer.weight in walk.sim.fixed
        outputs = self.form.outputs * (self.form.groups if layer.op_type in BIASED else 1)
        self.bias = bias_array(self.node, outputs)
        self.inside = layer.op_type in BIASED
        self.can_bias = walk.biases and _own_bias(self.node)
        self.kept: dict[str, float] | None = None
        self.key = ""
        self._source = str(self.node.inputs[1 - (weight_index(self.node) or 0)].name)  # type: ignore[union-attr]

    def batches(self) -> Iterator[Batch]:
        """What the layer reads and makes, batch by batch; may be asked for again."""
        walk, name = self._walk, self.layer.name
        quantized, floats = walk.quantized, walk.floats
        self.tell(0.0, f"{name}: bringing its input up")
        quantized.move(quantized.place[name], lambda share: self.tell(0.3 * share, f"{name}: its input in the quantized graph"))
        floats.move(floats.place[name])
        stop = walk.next_place(self.index)
        for i, values in floats.look(stop, self.layer.output):
            begin, end = walk.spans[i]
            self.tell(0.3 + 0.5 * i / len(walk.spans), f"{name}: sample {begin} of {len(walk.data)}")
            x = _tensor(quantized.values(i)[self._source])
            yield Batch(i, begin, end, x, _tensor(values[self._source]), _tensor(values[self.layer.output]), walk.real(i))

    def put(self, weight: Tensor | None = None, encoding: Encoding | None = None, bias: Tensor | np.ndarray | None = None,
            facts: Facts | None = None) -> None:
        """The layer's result, which the rest of the walk stands on and a later run finds again.

        Args:
            weight: float32 in ONNX shape, on the grid of `encoding`.
            encoding: to be pinned; without it the simulation's stays.
            bias: float [channels]; only where `can_bias`.
            facts: numbers for the report.
        """
        self._walk.apply(self, weight, encoding, bias)
        self._walk.keep(self, weight, encoding, bias, facts or {})

    def tell(self, share: float, words: str) -> None:
        """Progress inside the layer; raises `Cancelled` when the user asks to stop."""
        part(self._walk.progress, self.index / self.count, (self.index + 1) / self.count)(
            share, f"{self._walk.title}{words} ({self.index + 1} of {self.count})")


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
        self._changed = False
        self.layers = self._chosen()
        if biases:
            self._own_biases()
        self.sim = self._simulation(part(progress, 0.0, 0.05))
        self.plan = self.sim.plan
        self.spans = self._batches()
        self.shelf = Shelf(budget_bytes)
        self._padding = Padding.of(sim.model)
        self._signature = signature
        self._digest = hashlib.sha256()
        self._hashed = 0

    def __iter__(self) -> Iterator[LayerStep]:
        if not self.layers:
            return
        self._lanes()
        self._begin_digest()
        try:
            for index, layer in enumerate(self.layers):
                step = LayerStep(self, layer, index, len(self.layers))
                self._restore(step)
                yield step
                self._digest.update(self._content(layer).encode())
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
        self._changed |= any(one is not None for one in (weight, encoding, bias))

    def keep(self, step: LayerStep, weight: Tensor | None, encoding: Encoding | None, bias: Tensor | np.ndarray | None,
             facts: Facts) -> None:
        """Hands a result to the cache."""
        cache = self._owner.kept
        if cache is None or not step.key:
            return
        arrays: dict[str, np.ndarray] = {"facts": np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)}
        if weight is not None:
            arrays["weight"] = weight.detach().to(torch.float32).numpy()
        if encoding is not None and encoding.grid is not None and encoding.scale is not None and encoding.zero_point is not None:
            arrays |= {"scale": encoding.scale.numpy(), "zero_point": encoding.zero_point.numpy(),
                       "symmetry": np.frombuffer(encoding.grid.symmetry.encode(), np.uint8)}
        if bias is not None:
            arrays["bias"] = np.asarray(bias)
        cache.put(step.key, arrays)

    # ---- making
    def _chosen(self) -> list[Layer]:
        """The layers to walk: those with an integer weight, each weight once."""
        plan, readers, found = self._owner.plan, dict[str, str](), []
        for layer in self.float_model.layers:
            wanted = plan.weights.get(layer.weight)
            if wanted is None or not isinstance(wanted.dtype, Int):
                continue
            node = self.float_model.nodes[layer.name]
            if layer.op_type not in FORMS:
                self.skipped.append(f"{layer.name}: a {layer.op_type} keeps plain rounding")
            elif layer.weight in readers:
                self.skipped.append(f"{layer.name} shares its weight with {readers[layer.weight]}, whose input decides the rounding")
            elif layer.op_type in BIASED and len(node.inputs) > 2 and node.inputs[2] is not None and layer.bias is None:
                self.skipped.append(f"{layer.name}: its bias is made by other nodes; it keeps plain rounding")
            else:
                readers[layer.weight] = layer.name
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
        level, last = self._owner.chain.level, self.layers[-1].name
        found = self.sim.quantization
        own = type(found)(found.activations, found.constants)  # int32 biases follow from the scales, which are not known yet
        self.floats = Lane("float", self.float_model, FLOAT, level, self.shelf, self.data, self.spans, last)
        self.quantized = Lane("quantized", self.model, own, level, self.shelf, self.data, self.spans, last)

    def _swap(self) -> None:
        """The simulation gets the changed graph and its pins."""
        if not self._changed:
            return
        self._owner.model = self.model
        self._owner.graph_changed()
        for name, encoding in self._pins.items():
            self._owner.pin(name, encoding)

    # ---- kept layers
    def _begin_digest(self) -> None:
        data = getattr(self.data, "sha256", "")
        versions = (torch.__version__, onnxruntime.__version__)
        self._digest.update(json.dumps([self._signature, data, self.spans, versions, str(self.quantized.level)]).encode())

    def _restore(self, step: LayerStep) -> None:
        """Gives the step its key and, where an earlier run finished it, its result."""
        self._hash_nodes(self.quantized.place[step.layer.name] + 1)
        self._digest.update(repr((step.layer.name, step.plan, step.encoding.key(), step.fixed)).encode())
        cache = self._owner.kept
        if cache is None or not getattr(self.data, "sha256", ""):
            return
        step.key = self._digest.hexdigest()[:40]
        found = cache.get(step.key)
        if found is not None:
            self._put_back(step, found)

    def _put_back(self, step: LayerStep, found: Mapping[str, np.ndarray]) -> None:
        encoding = None
        if "scale" in found:
            assert isinstance(step.plan.dtype, Int)
            grid = Grid(step.plan.dtype.bits, found["symmetry"].tobytes().decode())  # type: ignore[arg-type]
            encoding = Encoding(step.plan.dtype, step.plan.granularity, grid, torch.from_numpy(found["scale"]),
                                torch.from_numpy(found["zero_point"]))
        weight = torch.from_numpy(found["weight"]) if "weight" in found else None
        self.apply(step, weight, encoding, found.get("bias"))
        step.kept = json.loads(found["facts"].tobytes())

    def _hash_nodes(self, stop: int) -> None:
        """Nodes, constants and encodings up to `stop` into the digest: what a layer's input depends on."""
        quantization = self.quantized.quantization
        for name in self.quantized.order[self._hashed:stop]:
            node = self.model.nodes[name]
            self._digest.update(onnx_ir.serde.serialize_node(node).SerializeToString(deterministic=True))
            for value in (*node.inputs, *node.outputs):
                if value is None:
                    continue
                if value.const_value is not None:
                    self._digest.update(np.ascontiguousarray(value.const_value.numpy()).tobytes())
                encoding: Any = quantization.activations.get(str(value.name)) or quantization.constants.get(str(value.name))
                self._digest.update(b"" if encoding is None else encoding.key().encode())
        self._hashed = stop

    def _content(self, layer: Layer) -> str:
        """What a finished layer is now."""
        digest = hashlib.sha256()
        for value in (self.model.graph.initializers[layer.weight], bias_value(self.model.nodes[layer.name])):
            if value is not None and value.const_value is not None:
                digest.update(np.ascontiguousarray(value.const_value.numpy()).tobytes())
        encoding = self._pins.get(layer.weight)
        return digest.hexdigest() + ("" if encoding is None else encoding.key())


def _channels(layer: Layer) -> int:
    """How many values a bias of the layer has."""
    return layer.output_shape[1] if layer.op_type in ("Conv", "ConvTranspose") else layer.output_shape[-1]


def _own_bias(node: onnx_ir.Node) -> bool:
    value = bias_value(node)
    return can_bias(node) and value is not None and len(value.uses()) == 1


def _tensor(value: onnxruntime.OrtValue) -> Tensor:
    """The value as a torch tensor on the same memory."""
    return torch.from_numpy(value.numpy())
