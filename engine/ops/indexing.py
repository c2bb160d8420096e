"""Gather, scatter, slice, pad and other ways to pick elements."""
from __future__ import annotations

import math

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, int_list, op


def _positive(index: Tensor, size: int) -> Tensor:
    return torch.where(index < 0, index + size, index).long()


@op("Gather")
def gather(spec: NodeSpec) -> Kernel:
    """Whole slices along an axis, in the shape of the indices."""
    axis = spec.integer("axis", 0)

    def kernel(x: Tensor, index: Tensor) -> Tensor:
        dim = axis % x.ndim
        index = _positive(index, x.shape[dim])
        if index.ndim == 0:
            if index.device.type == "cpu":
                return x.select(dim, int(index))
            return x.index_select(dim, index.reshape(1)).squeeze(dim)
        if dim == 0 and x.ndim == 2 and x.dtype.is_floating_point:
            return functional.embedding(index, x)
        shape = (*x.shape[:dim], *index.shape, *x.shape[dim + 1 :])
        return x.index_select(dim, index.flatten()).reshape(shape)

    return kernel


@op("GatherElements")
def gather_elements(spec: NodeSpec) -> Kernel:
    """Single elements along an axis."""
    axis = spec.integer("axis", 0)
    return lambda x, index: torch.gather(x, axis, _positive(index, x.shape[axis]))


@op("GatherND")
def gather_nd(spec: NodeSpec) -> Kernel:
    """Slices addressed by the last axis of the indices, within batches."""
    batch_dims = spec.integer("batch_dims", 0)

    def kernel(x: Tensor, index: Tensor) -> Tensor:
        batch = x.shape[:batch_dims]
        depth = index.shape[-1]
        flat = index.reshape(math.prod(batch), -1, depth).long()
        values = x.reshape(math.prod(batch), *x.shape[batch_dims:])
        rows = torch.arange(flat.shape[0], device=x.device).reshape(-1, 1).expand(flat.shape[:2])
        picked = values[(rows, *flat.unbind(-1))]
        return picked.reshape(*index.shape[:-1], *x.shape[batch_dims + depth :])

    return kernel


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@op("Scatter", "ScatterElements")
def scatter_elements(spec: NodeSpec) -> Kernel:
    """Replaces or combines single elements along an axis."""
    axis, reduction = spec.integer("axis", 0), spec.text("reduction", "none")

    def kernel(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        index = _positive(index, x.shape[axis])
        if reduction == "none":
            return x.scatter(axis, index, updates)
        return x.scatter_reduce(axis, index, updates, _REDUCTIONS[reduction], include_self=True)

    return kernel


@op("ScatterND")
def scatter_nd(spec: NodeSpec) -> Kernel:
    """Replaces or combines slices addressed by the last axis of the indices."""
    reduction = spec.text("reduction", "none")

    def kernel(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        depth = index.shape[-1]
        lead, rest = x.shape[:depth], x.shape[depth:]
        flat = torch.zeros(index.shape[:-1], dtype=torch.int64, device=x.device)
        for axis, size in enumerate(lead):
            flat = flat * size + _positive(index[..., axis], size)
        flat = flat.reshape(-1, 1).expand(-1, math.prod(rest))
        values, new = x.reshape(math.prod(lead), -1), updates.reshape(flat.shape)
        if reduction == "none":
            return values.scatter(0, flat, new).reshape(x.shape)
        kind = _REDUCTIONS[reduction]
        return values.scatter_reduce(0, flat, new, kind, include_self=True).reshape(x.shape)

    return kernel


def _slice_axis(x: Tensor, dim: int, start: int, end: int, step: int) -> Tensor:
    """One axis of a slice; torch has no negative steps, so those are taken forwards and flipped."""
    size = x.shape[dim]
    positions = range(size)[start:end:step] if step > 0 else _backwards(size, start, end, step)
    if len(positions) == 0:
        return x.narrow(dim, 0, 0)
    if positions.step < 0:
        positions = positions[::-1]
        return _take(x, dim, positions).flip(dim)
    return _take(x, dim, positions)


def _backwards(size: int, start: int, end: int, step: int) -> range:
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


def _take(x: Tensor, dim: int, positions: range) -> Tensor:
    picked = x.narrow(dim, positions[0], positions[-1] - positions[0] + 1)
    if positions.step == 1:
        return picked
    return picked[(slice(None),) * dim + (slice(None, None, positions.step),)]


@op("Slice", host=(1, 2, 3, 4))
def slice_(spec: NodeSpec) -> Kernel:
    """Bounds are attributes before opset 10 and inputs since."""
    fixed = [spec.ints(name) for name in ("starts", "ends", "axes")]

    def kernel(x: Tensor, *bounds: Tensor | None) -> Tensor:
        given = [None if b is None else int_list(b) for b in bounds] if bounds else list(fixed)
        starts, ends, axes, steps = given + [None] * (4 - len(given))
        if starts is None or ends is None:
            raise spec.refusal("starts and ends are missing.")
        dims = axes if axes is not None else range(len(starts))
        for dim, start, end, step in zip(dims, starts, ends, steps or [1] * len(starts), strict=True):
            x = _slice_axis(x, dim % x.ndim, start, end, step)
        return x

    return kernel


def _border(mode: str, size: int, begin: int, end: int) -> Tensor:
    """Which element stands at each position of a padded axis."""
    index = torch.arange(-begin, size + end)
    if mode == "edge":
        return index.clamp(0, size - 1)
    if mode == "wrap":
        return index.remainder(size)
    if size == 1:
        return torch.zeros_like(index)
    folded = index.remainder(2 * (size - 1))
    return torch.where(folded >= size, 2 * (size - 1) - folded, folded)


@op("Pad", host=(1, 2, 3))
def pad(spec: NodeSpec) -> Kernel:
    """Constant, reflect, edge and wrap; negative pads cut."""
    mode, fixed = spec.text("mode", "constant"), spec.ints("pads") or spec.ints("paddings")
    fixed_value = spec.number("value", 0.0)

    def kernel(
        x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None
    ) -> Tensor:
        amounts = list(fixed or ()) if pads is None else int_list(pads)
        dims = list(range(x.ndim)) if axes is None else [a % x.ndim for a in int_list(axes)]
        pairs = {dim: (amounts[i], amounts[i + len(dims)]) for i, dim in enumerate(dims)}
        if mode == "constant":
            fill = fixed_value if value is None or value.numel() == 0 else value.item()
            order = [n for dim in reversed(range(x.ndim)) for n in pairs.get(dim, (0, 0))]
            return functional.pad(x, order, value=fill)
        for dim, (begin, end) in pairs.items():
            if begin or end:
                x = x.index_select(dim, _border(mode, x.shape[dim], begin, end).to(x.device))
        return x

    return kernel


@op("CenterCropPad", host=(1,))
def center_crop_pad(spec: NodeSpec) -> Kernel:
    """Cuts or zero-pads axes around their centre to the given sizes."""
    axes = spec.ints("axes")

    def kernel(x: Tensor, shape: Tensor) -> Tensor:
        order = [0] * (2 * x.ndim)
        for dim, wanted in zip(axes or range(x.ndim), int_list(shape), strict=True):
            dim %= x.ndim
            missing = wanted - x.shape[dim]
            begin = missing // 2 if missing >= 0 else -(-missing // 2)
            order[2 * (x.ndim - 1 - dim)] = begin
            order[2 * (x.ndim - 1 - dim) + 1] = missing - begin
        return functional.pad(x, order)

    return kernel


@op("Compress")
def compress(spec: NodeSpec) -> Kernel:
    """Keeps the slices, or elements, where a condition holds."""
    axis = spec.attributes.get("axis")

    def kernel(x: Tensor, condition: Tensor) -> Tensor:
        index = condition.nonzero().flatten()
        return x.flatten().index_select(0, index) if axis is None else x.index_select(axis, index)

    return kernel


@op("ReverseSequence")
def reverse_sequence(spec: NodeSpec) -> Kernel:
    """Reverses the first elements of each sample's sequence, as many as its length."""
    time_axis, batch_axis = spec.integer("time_axis", 0), spec.integer("batch_axis", 1)

    def kernel(x: Tensor, lengths: Tensor) -> Tensor:
        steps = torch.arange(x.shape[time_axis], device=x.device)
        index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
        index = index if batch_axis == 0 else index.t()
        index = index.reshape(*index.shape, *(1,) * (x.ndim - 2)).expand(x.shape)
        return torch.gather(x, time_axis, index)

    return kernel
