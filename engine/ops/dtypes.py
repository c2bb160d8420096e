"""ONNX type numbers, torch types and numpy arrays.

Types that torch cannot compute with (int4, uint4, int2, uint2) live in the next wider integer; whoever
depends on the narrow range takes it from the type number.
"""
from __future__ import annotations

import numpy as np
import torch

_PAIRS: tuple[tuple[int, torch.dtype], ...] = (
    (1, torch.float32),
    (2, torch.uint8),
    (3, torch.int8),
    (4, torch.uint16),
    (5, torch.int16),
    (6, torch.int32),
    (7, torch.int64),
    (9, torch.bool),
    (10, torch.float16),
    (11, torch.float64),
    (12, torch.uint32),
    (13, torch.uint64),
    (14, torch.complex64),
    (15, torch.complex128),
    (16, torch.bfloat16),
    (17, torch.float8_e4m3fn),
    (19, torch.float8_e5m2),
)
_NARROW: dict[int, torch.dtype] = {21: torch.uint8, 22: torch.int8, 25: torch.uint8, 26: torch.int8}
_TO_TORCH: dict[int, torch.dtype] = dict(_PAIRS) | _NARROW
_TO_ONNX: dict[torch.dtype, int] = {dtype: number for number, dtype in _PAIRS}
_INTEGER_RANGES: dict[int, tuple[int, int]] = {
    2: (0, 255),
    3: (-128, 127),
    4: (0, 65535),
    5: (-32768, 32767),
    6: (-(2**31), 2**31 - 1),
    21: (0, 15),
    22: (-8, 7),
    25: (0, 3),
    26: (-2, 1),
}
_FLOATS = frozenset({1, 10, 11, 16})


def torch_dtype(onnx_type: int) -> torch.dtype | None:
    """The torch type that holds an ONNX type, or None where there is none (strings, float4)."""
    return _TO_TORCH.get(onnx_type)


def onnx_type(dtype: torch.dtype) -> int:
    """The ONNX type number of a torch type."""
    return _TO_ONNX[dtype]


def is_float(onnx_type: int) -> bool:
    """Whether gradients exist for tensors of this ONNX type."""
    return onnx_type in _FLOATS


def is_float8(onnx_type: int) -> bool:
    """Whether this is one of the 8-bit floats, which torch stores but does not compute with."""
    return onnx_type in (17, 18, 19, 20, 24)


def bits_of_narrow(onnx_type: int) -> int:
    """Bits of an integer type that torch holds in a wider one; 0 for all others."""
    return {21: 4, 22: 4, 25: 2, 26: 2}.get(onnx_type, 0)


def integer_range(onnx_type: int) -> tuple[int, int] | None:
    """Smallest and largest value of a quantized type, or None for other types."""
    return _INTEGER_RANGES.get(onnx_type)


def from_numpy(array: np.ndarray) -> torch.Tensor:
    """A torch tensor with a copy of the array, including the types that numpy lacks (bfloat16, int4)."""
    kind = array.dtype.name
    if kind == "bfloat16":
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16).copy()).view(torch.bfloat16)
    if kind in ("int4", "int2"):
        array = array.astype(np.int8)
    elif kind in ("uint4", "uint2"):
        array = array.astype(np.uint8)
    elif kind in ("float8_e4m3fn", "float8_e5m2"):
        raw = torch.from_numpy(np.ascontiguousarray(array).view(np.uint8).copy())
        return raw.view(torch.float8_e4m3fn if kind == "float8_e4m3fn" else torch.float8_e5m2)
    return torch.from_numpy(np.array(array, order="C", copy=True))
