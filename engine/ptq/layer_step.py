"""One layer of a walk (`walk.py`): what it reads and makes, and where its result goes."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir
import onnxruntime
import torch
from torch import Tensor

from engine.graph.layers import Layer, weight_index
from engine.progress import part
from engine.ptq.matrix import MatrixForm
from engine.ptq.weights import BIASED, bias_array, bias_value, can_bias
from engine.quant.encoding import Encoding
from engine.targets import WeightPlan

if TYPE_CHECKING:
    from engine.ptq.walk import LayerWalk

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
        for i, values in floats.look(stop):
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


def _own_bias(node: onnx_ir.Node) -> bool:
    value = bias_value(node)
    return can_bias(node) and value is not None and len(value.uses()) == 1


def _tensor(value: onnxruntime.OrtValue) -> Tensor:
    """The value as a torch tensor on the same memory."""
    return torch.from_numpy(value.numpy())
