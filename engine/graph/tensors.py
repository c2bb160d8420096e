"""What is known about a tensor: its name, its type and its shape."""
from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

Dim = int | str | None


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's name, numpy type name (`float32`) and shape; a symbolic dimension is a string, an unknown one None."""

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    @staticmethod
    def of(value: ir.Value) -> TensorInfo:
        """The facts that the graph states about a value."""
        dtype = str(value.dtype.numpy()) if value.dtype not in (None, ir.DataType.STRING) else str(value.dtype)
        shape = None if value.shape is None else tuple(_dim(d) for d in value.shape)
        return TensorInfo(str(value.name), dtype, shape)

    @property
    def is_float(self) -> bool:
        return self.dtype in ("float32", "float64", "float16", "bfloat16")

    def describe(self) -> str:
        """`image float32[batch,1,28,28]`, as error messages and `inspect` print it."""
        if self.shape is None:
            return f"{self.name} {self.dtype}"
        return f"{self.name} {self.dtype}[{','.join('?' if d is None else str(d) for d in self.shape)}]"


def _dim(dim: int | ir.SymbolicDim) -> Dim:
    return dim if isinstance(dim, int) else dim.value
