"""Reductions, arg-max and top-k."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch

from engine.ops.registry import Kernel, NodeSpec, Tensor, int_list, op

Reducer = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def _product(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = torch.prod(x, dim, keepdim=keep, dtype=x.dtype)
    return x


def _extreme(reduce: Callable[..., Tensor], largest: bool) -> Reducer:
    def reducer(x: Tensor, dims: tuple[int, ...], keep: bool) -> Tensor:
        if x.numel():
            return reduce(x, dims, keepdim=keep)
        # Over nothing, the maximum is the smallest value of the type and the minimum the largest.
        if x.dtype.is_floating_point:
            bound: float = -math.inf if largest else math.inf
        elif x.dtype == torch.bool:
            bound = 0 if largest else 1
        else:
            bound = torch.iinfo(x.dtype).min if largest else torch.iinfo(x.dtype).max
        shape = x.sum(dims, keepdim=keep).shape
        return torch.full(shape, bound, dtype=x.dtype, device=x.device)

    return reducer


_REDUCERS: dict[str, Reducer] = {
    "ReduceSum": lambda x, dims, keep: x.sum(dims, keepdim=keep, dtype=x.dtype),
    "ReduceMean": lambda x, dims, keep: x.mean(dims, keepdim=keep),
    "ReduceMax": _extreme(torch.amax, largest=True),
    "ReduceMin": _extreme(torch.amin, largest=False),
    "ReduceProd": _product,
    "ReduceL1": lambda x, dims, keep: x.abs().sum(dims, keepdim=keep, dtype=x.dtype),
    "ReduceL2": lambda x, dims, keep: x.square().sum(dims, keepdim=keep, dtype=x.dtype).sqrt().to(x.dtype),
    "ReduceSumSquare": lambda x, dims, keep: x.square().sum(dims, keepdim=keep, dtype=x.dtype),
    "ReduceLogSum": lambda x, dims, keep: x.sum(dims, keepdim=keep).log(),
    "ReduceLogSumExp": lambda x, dims, keep: torch.logsumexp(x, dims, keepdim=keep),
}


@op(*_REDUCERS, host=(1,))
def reduction(spec: NodeSpec) -> Kernel:
    """Axes are an attribute in old opsets and an input in new ones; without any, all axes."""
    reducer, keep = _REDUCERS[spec.op_type], spec.flag("keepdims", True)
    fixed, skip_empty = spec.ints("axes"), spec.flag("noop_with_empty_axes")
    # Only the reduction itself is skipped, not what is done to each element.
    neutral = {"ReduceL1": torch.abs, "ReduceL2": torch.abs, "ReduceSumSquare": torch.square,
               "ReduceLogSum": torch.log}.get(spec.op_type, lambda x: x)

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = (fixed or ()) if axes is None else tuple(int_list(axes))
        if not dims and skip_empty:
            return neutral(x)
        return reducer(x, dims or tuple(range(x.ndim)), keep)

    return kernel


@op("ArgMax", "ArgMin", differentiable=False)
def arg_extreme(spec: NodeSpec) -> Kernel:
    """The first of equal values, or the last with `select_last_index`."""
    find: Callable[..., Tensor] = torch.argmax if spec.op_type == "ArgMax" else torch.argmin
    axis, keep, last = spec.integer("axis", 0), spec.flag("keepdims", True), spec.flag("select_last_index")

    def kernel(x: Tensor) -> Tensor:
        if last:
            return x.shape[axis] - 1 - find(x.flip(axis), axis, keepdim=keep)
        return find(x, axis, keepdim=keep)

    return kernel


@op("TopK", host=(1,))
def top_k(spec: NodeSpec) -> Kernel:
    """Of equal values the one with the lower index comes first, so a stable sort it is."""
    axis, largest = spec.integer("axis", -1), spec.flag("largest", True)
    fixed = spec.attributes.get("k")

    def kernel(x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = int(fixed if k is None else k.item())  # type: ignore[arg-type]
        values, index = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count), index.narrow(axis, 0, count)

    return kernel
