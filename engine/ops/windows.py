"""Where the windows of convolutions and pools lie: padding and output sizes, per spatial axis."""
from __future__ import annotations

import math
from collections.abc import Sequence

from engine.ops.registry import NodeSpec

Pads = list[tuple[int, int]]


def per_axis(values: Sequence[int] | None, rank: int, default: int = 1) -> tuple[int, ...]:
    """One value per spatial axis, the default where the attribute is absent."""
    return tuple(values) if values else (default,) * rank


def split_pads(pads: Sequence[int]) -> Pads:
    """ONNX lists all begins and then all ends; here each axis has its pair."""
    half = len(pads) // 2
    return list(zip(pads[:half], pads[half:], strict=True))


def same_pads(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], upper: bool
) -> Pads:
    """Padding that makes the output ceil(size / stride); the odd one goes to the end if `upper`."""
    result: Pads = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        whole = max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = whole // 2, whole - whole // 2
        result.append((small, large) if upper else (large, small))
    return result


def resolve_pads(
    spec: NodeSpec, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """The padding that `auto_pad` and `pads` ask for on an input of this size."""
    mode = spec.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        return same_pads(size, kernel, stride, dilation, upper=mode == "SAME_UPPER")
    pads = None if mode == "VALID" else spec.ints("pads")
    return split_pads(pads) if pads else [(0, 0)] * len(kernel)


def symmetric(pads: Pads) -> tuple[int, ...] | None:
    """One number per axis where begins equal ends, else None."""
    return tuple(begin for begin, _ in pads) if all(begin == end for begin, end in pads) else None


def torch_pads(pads: Pads) -> list[int]:
    """The order of torch.nn.functional.pad: last axis first."""
    return [value for pair in reversed(pads) for value in pair]


def pooled_size(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], ceil_mode: bool
) -> int:
    """Number of windows along an axis; a last one that would start in the end padding is dropped."""
    room = size + sum(pads) - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = math.ceil(room / stride) + 1
    return count - 1 if (count - 1) * stride >= size + pads[0] else count
