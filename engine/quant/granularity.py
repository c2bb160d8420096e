"""How much of a tensor shares one scale, as types (after torchao's granularities)."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.errors import BadInput


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor."""


@dataclass(frozen=True)
class PerChannel:
    """One scale for each index along `axis` (an output channel of a weight)."""

    axis: int


@dataclass(frozen=True)
class PerBlock:
    """One scale for each block of `size` consecutive values along `axis` (the input axis of a weight).

    The output channels along the other axis each have scales of their own, as in ONNX's blocked
    QuantizeLinear; the last block may be shorter only where the exporter allows it (it does not).
    """

    axis: int
    size: int


Granularity = PerTensor | PerChannel | PerBlock
PER_TENSOR = PerTensor()


def expand_to(values: Tensor, granularity: Granularity, shape: Sequence[int]) -> Tensor:
    """`values` of a scale's shape, made to broadcast against a tensor of `shape`; `BadInput` if it cannot."""
    if isinstance(granularity, PerTensor):
        return values
    rank = len(shape)
    axis = granularity.axis
    if not -rank <= axis < rank:
        raise BadInput(f"axis {axis} of {granularity} does not exist in a tensor of shape {list(shape)}")
    axis %= rank
    expected = scale_shape(granularity, shape)
    if tuple(values.shape) != expected:
        raise BadInput(f"scales of shape {list(values.shape)} with {granularity} do not fit a tensor of shape "
                       f"{list(shape)}: expected {list(expected)}")
    if isinstance(granularity, PerChannel):
        return values.reshape([-1 if d == axis else 1 for d in range(rank)])
    return values.repeat_interleave(granularity.size, dim=axis)


def scale_shape(granularity: Granularity, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the scale of a tensor of `shape`; `BadInput` if axis or block size do not fit it."""
    if isinstance(granularity, PerTensor):
        return ()
    if not -len(shape) <= granularity.axis < len(shape):
        raise BadInput(f"axis {granularity.axis} of {granularity} does not exist in a tensor of shape "
                       f"{list(shape)}")
    axis = granularity.axis % len(shape)
    if isinstance(granularity, PerChannel):
        return (shape[axis],)
    if granularity.size < 1 or shape[axis] % granularity.size:
        raise BadInput(f"blocks of {granularity.size} do not divide axis {axis} of length {shape[axis]}: "
                       "choose a size that divides it, or another granularity")
    return tuple(n // granularity.size if d == axis else n for d, n in enumerate(shape))
