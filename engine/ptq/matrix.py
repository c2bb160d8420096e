"""Any layer as a matrix product: `y = W x + b` with W `[groups, outputs, inputs]`, for each of `groups` apart.

    form = MatrixForm(model, layer)
    W = form.matrix(weight)                    # [groups, outputs, inputs]; form.weight(W) is the way back
    X, Y = form.rows(x, y)                     # [groups, rows, inputs], [groups, rows, outputs]: Y = X W' + bias

A row is one position of one sample (a pixel of a convolution's output, a token), in the order of the samples. Positions are drawn
before windows are cut out of the input, so a layer with a million of them costs what those that are used cost.

| op | outputs | inputs | groups |
|---|---|---|---|
| Conv | O / group | I / group x kernel | group |
| ConvTranspose | O / group | I / group x kernel (its zeros included) | group |
| Gemm | O | I, with alpha in x | 1 |
| MatMul, weight on the right or the left | O | I | product of the weight's leading axes |
"""
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.errors import BadInput
from engine.graph.layers import Layer, weight_index
from engine.graph.model import Model
from engine.ops import NodeSpec
from engine.ops.conv import transposed_pads
from engine.ops.windows import per_axis, resolve_pads
from engine.sim.kernels import graph_and_opsets, node_spec

FORMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class MatrixForm(ABC):
    """One layer as a matrix; `groups`, `outputs` and `inputs` are per the table of the module."""

    groups: int
    outputs: int
    inputs: int

    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        self._spec, self._shape = spec, tuple(shape)

    @staticmethod
    def of(model: Model, layer: Layer) -> MatrixForm:
        """The form of a layer; raises `BadInput` for embeddings and recurrent layers, which are no such product."""
        if layer.op_type not in FORMS:
            raise BadInput(f"{layer.name} is a {layer.op_type}: expected one of {', '.join(FORMS)}")
        node = model.nodes[layer.name]
        spec = node_spec(node, 0, graph_and_opsets(model.ir)[1])
        if layer.op_type == "MatMul":
            return (_Right if weight_index(node) == 1 else _Left)(spec, layer.weight_shape)
        kinds: dict[str, type[_Conv] | type[_ConvTranspose] | type[_Gemm]] = {
            "Conv": _Conv, "ConvTranspose": _ConvTranspose, "Gemm": _Gemm}
        return kinds[layer.op_type](spec, layer.weight_shape)

    @abstractmethod
    def matrix(self, weight: Tensor) -> Tensor:
        """A tensor of the weight's ONNX shape (a weight, or scales expanded to it) as `[groups, outputs, inputs]`."""

    @abstractmethod
    def weight(self, matrix: Tensor) -> Tensor:
        """The way back from `matrix`."""

    @abstractmethod
    def positions(self, x: Sequence[int], y: Sequence[int]) -> int:
        """How many rows one index of the batch axis has, from the shapes of input and output."""

    @abstractmethod
    def rows(self, x: Tensor, y: Tensor, chosen: Tensor | None = None, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Input rows `[groups, rows, inputs]` and output rows `[groups, rows, outputs]` at the same positions.

        Args:
            x: the layer's input.
            y: its output.
            chosen: positions (indices below `positions`) that are used of every sample; None uses all.
            real: bool [batch, tokens], False where a sequence is padding; those rows are left out where x has these two axes.
        """

    def bias(self, bias: Tensor) -> Tensor:
        """A bias [groups x outputs] as `[groups, outputs]`."""
        return bias.reshape(-1, self.outputs).expand(self.groups, self.outputs)

    def covers(self, channels: int) -> bool:
        """Whether the layer's bias has one value for each row of the matrix."""
        return channels == self.groups * self.outputs


class _Windows(MatrixForm):
    """Convolutions: a table says which input position each window and kernel element reads; one past the end reads zero."""

    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self.groups = spec.integer("group", 1)
        self._kernel = self._shape[2:]
        rank = len(self._kernel)
        self._stride, self._dilation = per_axis(spec.ints("strides"), rank), per_axis(spec.ints("dilations"), rank)
        self._tables: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}

    @abstractmethod
    def _reads(self, axis: int, size: int, out: int, begin: int) -> np.ndarray:
        """[out, kernel]: the input index along one axis that each output and kernel element reads; -1 reads zero."""

    @abstractmethod
    def _begins(self, x: tuple[int, ...], y: tuple[int, ...]) -> list[int]:
        """The padding (or, transposed, the cut) at the begin of each axis."""

    def positions(self, x: Sequence[int], y: Sequence[int]) -> int:
        return math.prod(y[2:])

    def rows(self, x: Tensor, y: Tensor, chosen: Tensor | None = None, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n, channels = x.shape[:2]
        table = self._table(tuple(x.shape[2:]), tuple(y.shape[2:]))
        flat = y.flatten(2)
        if chosen is not None:
            table, flat = table[chosen], flat[:, :, chosen]
        padded = x.flatten(2)
        if bool((table == padded.shape[2]).any()):
            padded = torch.nn.functional.pad(padded, (0, 1))
        each = channels // self.groups
        taken = padded.index_select(2, table.reshape(-1)).reshape(n, self.groups, each, *table.shape)
        inputs = taken.permute(1, 0, 3, 2, 4).reshape(self.groups, n * len(table), self.inputs)
        outputs = flat.reshape(n, self.groups, self.outputs, -1).permute(1, 0, 3, 2).reshape(self.groups, -1, self.outputs)
        return inputs, outputs

    def _table(self, x: tuple[int, ...], y: tuple[int, ...]) -> Tensor:
        """[positions, kernel elements] of indices into the flattened input, or its length where zero is read."""
        if (x, y) not in self._tables:
            rank, table = len(x), np.zeros((1, 1), np.int64)
            bad = np.zeros((1, 1), bool)
            for axis in range(rank):
                reads = self._reads(axis, x[axis], y[axis], self._begins(x, y)[axis])
                shape = (len(table) * len(reads), table.shape[1] * reads.shape[1])
                table = (table[:, None, :, None] * x[axis] + reads.clip(0)[None, :, None, :]).reshape(shape)
                bad = (bad[:, None, :, None] | (reads < 0)[None, :, None, :]).reshape(shape)
            self._tables = {(x, y): torch.from_numpy(np.where(bad, math.prod(x), table))}
        return self._tables[x, y]


class _Conv(_Windows):
    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self.outputs, self.inputs = shape[0] // self.groups, math.prod(shape[1:])

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.reshape(self.groups, self.outputs, self.inputs)

    def weight(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(self._shape)

    def _begins(self, x: tuple[int, ...], y: tuple[int, ...]) -> list[int]:
        return [begin for begin, _ in resolve_pads(self._spec, x, self._kernel, self._stride, self._dilation)]

    def _reads(self, axis: int, size: int, out: int, begin: int) -> np.ndarray:
        at = np.arange(out)[:, None] * self._stride[axis] + np.arange(self._kernel[axis])[None] * self._dilation[axis] - begin
        return np.where((at >= 0) & (at < size), at, -1)


class _ConvTranspose(_Windows):
    """Weight [I, O / group, kernel]: output position p reads input i through kernel element k where `p + begin = i stride + k dilation`."""

    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self.outputs, self.inputs = shape[1], shape[0] // self.groups * math.prod(shape[2:])

    def matrix(self, weight: Tensor) -> Tensor:
        grouped = weight.reshape(self.groups, -1, self.outputs, math.prod(self._kernel))
        return grouped.permute(0, 2, 1, 3).reshape(self.groups, self.outputs, self.inputs)

    def weight(self, matrix: Tensor) -> Tensor:
        grouped = matrix.reshape(self.groups, self.outputs, -1, math.prod(self._kernel))
        return grouped.permute(0, 2, 1, 3).reshape(self._shape).contiguous()

    def _begins(self, x: tuple[int, ...], y: tuple[int, ...]) -> list[int]:
        extra = per_axis(self._spec.ints("output_padding"), len(x), 0)
        return [begin for begin, _ in transposed_pads(self._spec, x, self._kernel, self._stride, self._dilation, extra)]

    def _reads(self, axis: int, size: int, out: int, begin: int) -> np.ndarray:
        steps = np.arange(out)[:, None] + begin - np.arange(self._kernel[axis])[None] * self._dilation[axis]
        at = steps // self._stride[axis]
        return np.where((steps % self._stride[axis] == 0) & (at >= 0) & (at < size), at, -1)


class _Rows(MatrixForm):
    """Products whose rows are the input's own: all axes but the last (after a transposition where it is on the other side)."""

    groups = 1

    def positions(self, x: Sequence[int], y: Sequence[int]) -> int:
        return max(math.prod(y) // (self.outputs * self.groups) // max(y[0], 1), 1) if len(y) > 1 else 1

    def rows(self, x: Tensor, y: Tensor, chosen: Tensor | None = None, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        batch = y.shape[0] if y.dim() > 1 else 1
        inputs, outputs = self._inputs(x), self._outputs(y)
        if real is not None and tuple(x.shape[:2]) == tuple(real.shape) and inputs.shape[1] == real.numel():
            inputs, outputs = inputs[:, real.reshape(-1)], outputs[:, real.reshape(-1)]
            return (inputs, outputs) if chosen is None else (inputs[:, :: self._thin(chosen, y)], outputs[:, :: self._thin(chosen, y)])
        if chosen is None or inputs.shape[1] % batch:
            return inputs, outputs
        picks = (torch.arange(batch)[:, None] * (inputs.shape[1] // batch) + chosen[None]).reshape(-1)
        return inputs[:, picks], outputs[:, picks]

    def _thin(self, chosen: Tensor, y: Tensor) -> int:
        """Of sequences of different lengths every so many-th token is used."""
        return max(self.positions((), y.shape) // max(len(chosen), 1), 1)

    @abstractmethod
    def _inputs(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _outputs(self, y: Tensor) -> Tensor: ...


class _Gemm(_Rows):
    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self._trans_a, self._trans_b = spec.flag("transA"), spec.flag("transB")
        self.outputs, self.inputs = shape if self._trans_b else shape[::-1]

    def matrix(self, weight: Tensor) -> Tensor:
        return (weight if self._trans_b else weight.t())[None]

    def weight(self, matrix: Tensor) -> Tensor:
        return (matrix[0] if self._trans_b else matrix[0].t()).contiguous()

    def _inputs(self, x: Tensor) -> Tensor:
        x = x.t() if self._trans_a else x
        alpha = self._spec.number("alpha", 1.0)
        return (x if alpha == 1.0 else x * alpha)[None]

    def _outputs(self, y: Tensor) -> Tensor:
        return y[None]


class _Right(_Rows):
    """x [..., I] times W [leading..., I, O]."""

    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self.groups = math.prod(shape[:-2])
        self.inputs, self.outputs = shape[-2:] if len(shape) > 1 else (shape[0], 1)

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.reshape(self.groups, self.inputs, self.outputs).transpose(1, 2)

    def weight(self, matrix: Tensor) -> Tensor:
        return matrix.transpose(1, 2).reshape(self._shape).contiguous()

    def _inputs(self, x: Tensor) -> Tensor:
        x = x[None] if x.dim() == 1 else x
        return _leading(x, self._shape[:-2], self.groups)

    def _outputs(self, y: Tensor) -> Tensor:
        y = y if len(self._shape) > 1 else y[..., None]
        return _leading(y if y.dim() > 1 else y[None], self._shape[:-2], self.groups)


class _Left(_Rows):
    """W [leading..., O, I] times x [..., I, N]."""

    def __init__(self, spec: NodeSpec, shape: Sequence[int]) -> None:
        super().__init__(spec, shape)
        self.groups = math.prod(shape[:-2])
        self.outputs, self.inputs = shape[-2:] if len(shape) > 1 else (1, shape[0])

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.reshape(self.groups, self.outputs, self.inputs)

    def weight(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(self._shape).contiguous()

    def _inputs(self, x: Tensor) -> Tensor:
        x = x.transpose(-1, -2) if x.dim() > 1 else x[None]
        return _leading(x, self._shape[:-2], self.groups)

    def _outputs(self, y: Tensor) -> Tensor:
        y = y if len(self._shape) > 1 else y[..., None, :] if y.dim() else y[None, None]
        return _leading(y.transpose(-1, -2) if y.dim() > 1 else y[None], self._shape[:-2], self.groups)


def _leading(values: Tensor, leading: Sequence[int], groups: int) -> Tensor:
    """[..., rows, width] as [groups, all rows, width]: the weight's leading axes become the groups, those before them rows."""
    width = values.shape[-1]
    if groups == 1:
        return values.reshape(1, -1, width)
    missing = len(leading) + 2 - values.dim()
    values = values.reshape((1,) * max(missing, 0) + tuple(values.shape))
    outer = values.dim() - 2 - len(leading)
    values = values.expand(*values.shape[:outer], *leading, *values.shape[-2:])
    values = values.reshape(math.prod(values.shape[:outer]), groups, values.shape[-2], width)
    return values.transpose(0, 1).reshape(groups, -1, width)
