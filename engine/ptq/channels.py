"""A layer's weight seen by its channels: `[groups, outputs of a group, inputs of a group, kernel positions]`, and back.

Output channel `g * O + o` and input channel `g * I + i` are the layer's own numbering for every op here, so a vector over
channels reshapes to `[groups, O]` or `[groups, I]`.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.layers import constant_shape, int_attribute, weight_index
from engine.ptq.weights import array, set_constant

DEAD = 1e-12  # of the largest: a channel below is dead, and scaling it up would only blow up its bias


@dataclass(frozen=True, eq=False)
class ChannelWeight:
    """The weight of one layer, by channels.

    Attributes:
        node: the layer.
        place: which input of the node is the weight.
        groups: of the layer; 1 where the op has none.
    """

    node: ir.Node
    place: int
    groups: int

    @staticmethod
    def of(node: ir.Node | None) -> ChannelWeight | None:
        """Of a Conv, ConvTranspose, Gemm, or a MatMul with a two-dimensional weight; None for every other node."""
        place = None if node is None else weight_index(node)
        if node is None or place is None or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            return None
        if node.op_type == "MatMul" and len(constant_shape(node.inputs[place])) != 2:
            return None
        if node.op_type == "Gemm" and int_attribute(node, "transA", 0):
            return None
        return ChannelWeight(node, place, int_attribute(node, "group", 1) if node.op_type in ("Conv", "ConvTranspose") else 1)

    @property
    def value(self) -> ir.Value:
        """The initializer."""
        found = self.node.inputs[self.place]
        assert found is not None
        return found

    @property
    def owned(self) -> bool:
        """Whether no other node reads the weight."""
        return len(self.value.uses()) == 1

    @property
    def outputs(self) -> int:
        return int(np.prod(self.view_shape[:2]))

    @property
    def inputs(self) -> int:
        return self.groups * self.view_shape[2]

    @property
    def depthwise(self) -> bool:
        """One input and one output channel a group: channel c makes channel c."""
        return self.groups > 1 and self.view_shape[1:3] == (1, 1)

    @property
    def view_shape(self) -> tuple[int, int, int, int]:
        shape = constant_shape(self.value)
        kernel = int(np.prod(shape[2:])) if len(shape) > 2 else 1
        if self.node.op_type == "ConvTranspose":
            return self.groups, shape[1], shape[0] // self.groups, kernel
        if self.node.op_type == "Conv":
            return self.groups, shape[0] // self.groups, shape[1], kernel
        return (1, shape[0], shape[1], 1) if self._rows else (1, shape[1], shape[0], 1)

    @property
    def _rows(self) -> bool:
        """Whether a Gemm's or MatMul's weight holds one output per row."""
        return bool(int_attribute(self.node, "transB", 0)) if self.node.op_type == "Gemm" else self.place == 0

    def view(self) -> np.ndarray:
        """The weight as float64 `[groups, outputs, inputs, kernel]`."""
        data = array(self.value)
        groups, outputs, inputs, kernel = self.view_shape
        if self.node.op_type == "ConvTranspose":
            return data.reshape(groups, inputs, outputs, kernel).transpose(0, 2, 1, 3)
        return (data if self.node.op_type == "Conv" or self._rows else data.T).reshape(groups, outputs, inputs, kernel)

    def write(self, view: np.ndarray) -> None:
        """Replaces the initializer's data by a view of the same shape."""
        shape = constant_shape(self.value)
        if self.node.op_type == "ConvTranspose":
            view = view.transpose(0, 2, 1, 3)
        elif self.node.op_type != "Conv" and not self._rows:
            view = view.reshape(self.view_shape[1:3]).T
        set_constant(self.value, view.reshape(shape))

    def scale(self, by_output: np.ndarray | None = None, by_input: np.ndarray | None = None) -> None:
        """Multiplies each output channel by `by_output` [outputs] and each input channel by `by_input` [inputs]."""
        view = self.view()
        if by_output is not None:
            view = view * by_output.reshape(self.groups, -1, 1, 1)
        if by_input is not None:
            view = view * by_input.reshape(self.groups, 1, -1, 1)
        self.write(view)

    def largest(self) -> np.ndarray:
        """max|w| between each output and input of a group, `[groups, outputs, inputs]`, float64."""
        return np.abs(self.view()).max(axis=3)  # type: ignore[no-any-return]


def alive(ranges: np.ndarray) -> np.ndarray:
    """Which channels have a range worth scaling: finite, and not negligible beside the largest."""
    finite = np.isfinite(ranges)
    top = ranges[finite].max(initial=0.0)
    return finite & (ranges > DEAD * top)
