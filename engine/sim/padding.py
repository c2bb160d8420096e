"""Padding positions of sequences, which say nothing about the data: left out of ranges and metrics."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.model import Model

MASK_NAMES = ("attention_mask", "input_mask", "padding_mask", "mask")


ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Where", "Cast")


@dataclass(frozen=True)
class Padding:
    """The model input that marks real positions with 1 and padding with 0; None when there is none.

    `scores` are the attention scores of [batch, heads, positions, positions], before and after their Softmax.
    Their names must be known: a context of [batch, heads, positions, head size] may have the same shape.
    """

    mask: str | None
    scores: frozenset[str] = frozenset()

    @staticmethod
    def of(model: Model) -> Padding:
        """Finds a mask input by name and type: an integer or bool array of [batch, positions]."""
        for info in model.inputs:
            if info.name in MASK_NAMES and not info.is_float and info.shape is not None and len(info.shape) == 2:
                return Padding(info.name, _scores(model.graph))
        return Padding(None)

    def valid(self, array: np.ndarray, feeds: Mapping[str, np.ndarray], name: str = "") -> np.ndarray:
        """The values of tensor `name` at real positions.

        Tensors of [batch, positions, …] and [batch, heads, positions, …] lose their padded positions, attention
        scores the rows and the columns of padding; others are unchanged.
        """
        if self.mask is None:
            return array
        real = np.asarray(feeds[self.mask]).astype(bool)
        batch, positions = real.shape
        if name in self.scores and array.ndim == 4 and array.shape[0] == batch and array.shape[2:] == (positions, positions):
            return array[np.broadcast_to((real[:, :, None] & real[:, None, :])[:, None], array.shape)]
        if array.ndim >= 2 and array.shape[:2] == (batch, positions):
            return array[real]
        if array.ndim == 4 and (array.shape[0], array.shape[2]) == (batch, positions):
            return np.moveaxis(array, 2, 1)[real]
        return array


def _scores(graph: ir.Graph) -> frozenset[str]:
    """What goes into every Softmax, back through elementwise ops to the product that makes it, and what comes out."""
    found: set[str] = set()
    for node in graph:
        if node.op_type != "Softmax":
            continue
        found.add(str(node.outputs[0].name))
        todo = [node.inputs[0]]
        while todo:
            value = todo.pop()
            if value is None or value.const_value is not None or str(value.name) in found:
                continue
            found.add(str(value.name))
            maker = value.producer()
            if maker is not None and maker.op_type in ELEMENTWISE:
                todo += list(maker.inputs)
    return frozenset(found)
