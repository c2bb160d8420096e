"""The encoding of one tensor, its quantizer, and the way from a range to an encoding."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine.errors import BadInput
from engine.quant.granularity import PER_TENSOR, Granularity, PerBlock, PerChannel, PerTensor, expand_to
from engine.quant.grid import Grid
from engine.quant.precision import DataType, Float, Int

_TORCH_FLOATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class Encoding:
    """Data type, granularity and, for integer types, grid, scale and zero point of one tensor.

    `scale` (float32) and `zero_point` (int32) share a shape: `()` per tensor, `[C]` per channel, and per
    block the tensor's shape with the block axis divided by the block size, as in ONNX's blocked
    QuantizeLinear. The zero point has ONNX's sign: `code = clamp(round(x / scale) + zero_point)`.
    Float types have neither grid, scale nor zero point. Raises `BadInput` where these do not fit.
    Compared by identity; compare contents by `key()`.
    """

    dtype: DataType
    granularity: Granularity = PER_TENSOR
    grid: Grid | None = None
    scale: Tensor | None = None
    zero_point: Tensor | None = None

    def __post_init__(self) -> None:
        parts = (self.grid, self.scale, self.zero_point)
        if isinstance(self.dtype, Float):
            if any(part is not None for part in parts):
                raise BadInput(f"an encoding of type {self.dtype} has no grid, scale or zero point")
            return
        if self.grid is None or self.scale is None or self.zero_point is None:
            raise BadInput(f"an encoding of type {self.dtype} needs a grid, a scale and a zero point")
        _check_integer(self.dtype, self.granularity, self.grid, self.scale, self.zero_point)

    def quantize(self, x: Tensor) -> Tensor:
        """The int32 codes of `x`, of its shape: ONNX QuantizeLinear in float32, rounding half to even."""
        grid, scale, zero = self._integer(x.shape)
        # Clamped as floats: a quotient beyond int32 must saturate, not wrap.
        codes = torch.div(x.to(torch.float32), scale).round_().add_(zero)
        return codes.clamp_(grid.qmin, grid.qmax).to(torch.int32)

    def dequantize(self, q: Tensor) -> Tensor:
        """The float32 values of the codes `q`: `(q - zero_point) * scale`, ONNX DequantizeLinear."""
        _, scale, zero = self._integer(q.shape)
        return (q.to(torch.int32) - zero).to(torch.float32).mul_(scale)

    def fake_quantize(self, x: Tensor, check: bool = False) -> Tensor:
        """`x` as the device sees it, a new float32 tensor: quantized and dequantized, or cast and back.

        With `check`, finite values that overflow fp16 or bf16 raise `BadInput` (the caller adds the
        tensor's name); without it they become infinite. Integer grids saturate.
        """
        if isinstance(self.dtype, Float):
            return _cast(x.to(torch.float32), self.dtype, check)
        grid, scale, zero = self._integer(x.shape)
        y = torch.div(x.to(torch.float32), scale).round_()
        # Moving the zero point into the bounds saves two passes and changes no bit: both are integers.
        if zero.dim() == 0:
            y.clamp_(grid.qmin - int(zero), grid.qmax - int(zero))
        else:
            y.clamp_(grid.qmin - zero, grid.qmax - zero)
        return y.mul_(scale)

    @property
    def low(self) -> Tensor:
        """The least representable value, of the scale's shape (a scalar for float types)."""
        if self.grid is None:
            return torch.tensor(-self._float_max())
        return self.dequantize_levels(self.grid.qmin)

    @property
    def high(self) -> Tensor:
        """The greatest representable value, of the scale's shape (a scalar for float types)."""
        if self.grid is None:
            return torch.tensor(self._float_max())
        return self.dequantize_levels(self.grid.qmax)

    @property
    def offset(self) -> Tensor:
        """AIMET's offset, of the scale's shape, int32: `low = scale * offset`, that is `qmin - zero_point`."""
        if self.grid is None or self.zero_point is None:
            raise BadInput(f"an encoding of type {self.dtype} has no offset")
        return self.grid.qmin - self.zero_point

    def dequantize_levels(self, code: int) -> Tensor:
        """The value of one code under each scale, of the scale's shape."""
        if self.scale is None or self.zero_point is None:
            raise BadInput(f"an encoding of type {self.dtype} has no integer codes")
        return (code - self.zero_point).to(torch.float32) * self.scale

    def key(self) -> str:
        """A short hash of the contents: equal encodings have equal keys, on any machine."""
        return self._key

    def expand(self, shape: torch.Size | tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Scale and zero point in shapes that broadcast against a tensor of `shape`."""
        if self.scale is None or self.zero_point is None:
            raise BadInput(f"an encoding of type {self.dtype} has no scale")
        return (expand_to(self.scale, self.granularity, shape),
                expand_to(self.zero_point, self.granularity, shape))

    def _integer(self, shape: torch.Size) -> tuple[Grid, Tensor, Tensor]:
        scale, zero = self.expand(shape)
        assert self.grid is not None  # expand() has refused float types
        return self.grid, scale, zero

    def _float_max(self) -> float:
        assert isinstance(self.dtype, Float)
        return float(torch.finfo(_TORCH_FLOATS[self.dtype.name]).max)

    @cached_property
    def _key(self) -> str:
        digest = hashlib.sha256(repr((self.dtype, self.granularity, self.grid)).encode())
        for part in (self.scale, self.zero_point):
            if part is not None:
                digest.update(repr((tuple(part.shape), part.dtype)).encode())
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def encode_range(low: Tensor | float, high: Tensor | float, grid: Grid,
                 granularity: Granularity = PER_TENSOR) -> Encoding:
    """The encoding of the ranges `low..high` (of the scale's shape, in the tensor's units).

    Zero is made part of each range. Symmetric grids: `scale = max(high / qmax, low / qmin)`, zero point 0.
    Asymmetric: `scale = (high - low) / steps`, and the range is shifted by at most half a step so that
    zero is a grid point. `unsigned` becomes `symmetric` where any range goes below zero. No scale is
    below `grid.min_scale`. Raises `BadInput` with the values if a range is not finite or is reversed.
    """
    lo = torch.as_tensor(low, dtype=torch.float64).detach().cpu()
    hi = torch.as_tensor(high, dtype=torch.float64).detach().cpu()
    _check_range(lo, hi)
    lo, hi = lo.clamp(max=0.0), hi.clamp(min=0.0)
    grid = grid.for_low(float(lo.min()) if lo.numel() else 0.0)
    if not grid.symmetric:
        scale = (hi - lo) / grid.steps
    elif grid.signed:
        scale = torch.maximum(hi / grid.qmax, lo / grid.qmin)
    else:
        scale = hi / grid.qmax
    scale32 = scale.clamp(min=grid.min_scale).to(torch.float32)
    if not bool(torch.isfinite(scale32).all()):
        raise BadInput(f"the range {float(lo.min()):.6g} to {float(hi.max()):.6g} is too wide for a float32 "
                       "scale")
    zero = torch.zeros_like(scale32, dtype=torch.int32)
    if not grid.symmetric:
        zero = torch.round(-lo / scale32).clamp(0, grid.qmax).to(torch.int32)
    return Encoding(Int(grid.bits), granularity, grid, scale32, zero)


def _check_range(low: Tensor, high: Tensor) -> None:
    if low.shape != high.shape:
        raise BadInput(f"a range needs lows and highs of one shape, not {list(low.shape)} and "
                       f"{list(high.shape)}")
    bad = ~(torch.isfinite(low) & torch.isfinite(high)) | (low > high)
    if bool(bad.any()):
        first = tuple(bad.nonzero()[0].tolist())
        where = f" at index {list(first)} ({int(bad.sum())} in all)" if first else ""
        raise BadInput(f"no usable range: {float(low[first])} to {float(high[first])}{where}; "
                       "expected finite numbers, the lower one first")


def _check_integer(dtype: Int, granularity: Granularity, grid: Grid, scale: Tensor, zero: Tensor) -> None:
    if grid.bits != dtype.bits:
        raise BadInput(f"type {dtype} does not fit a grid of {grid.bits} bits")
    if scale.dtype != torch.float32 or zero.dtype != torch.int32 or scale.shape != zero.shape:
        raise BadInput(f"expected float32 scales and int32 zero points of one shape, got {scale.dtype} "
                       f"{list(scale.shape)} and {zero.dtype} {list(zero.shape)}")
    rank = {PerTensor: 0, PerChannel: 1}.get(type(granularity), scale.dim())
    if scale.dim() != rank or (isinstance(granularity, PerBlock) and scale.dim() == 0):
        raise BadInput(f"scales of shape {list(scale.shape)} do not fit {granularity}")
    if not bool(((scale > 0) & torch.isfinite(scale)).all()):
        raise BadInput("scales must be positive and finite")
    if not bool(((zero >= grid.qmin) & (zero <= grid.qmax)).all()) or (grid.symmetric and bool(zero.any())):
        expected = "0" if grid.symmetric else f"{grid.qmin} to {grid.qmax}"
        raise BadInput(f"zero points must be {expected} on the {grid.symmetry} {grid.bits}-bit grid")


def _cast(x: Tensor, dtype: Float, check: bool) -> Tensor:
    y = x.to(_TORCH_FLOATS[dtype.name]).to(torch.float32)
    if check and dtype.name != "fp32" and bool((torch.isinf(y) & torch.isfinite(x)).any()):
        peak = float(x[torch.isfinite(x)].abs().max())
        raise BadInput(f"values up to {peak:.6g} overflow {dtype}, whose greatest is "
                       f"{float(torch.finfo(_TORCH_FLOATS[dtype.name]).max):.6g}")
    return y
