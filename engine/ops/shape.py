"""Reshaping, joining and cutting."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from engine.ops.registry import Kernel, NodeSpec, Tensor, int_list, op, plain

plain("Identity", lambda x: x)


@op("Reshape", since=5, host=(1,))
def reshape(spec: NodeSpec) -> Kernel:
    """0 copies the input's size unless `allowzero`; -1 is inferred."""
    allow_zero = spec.flag("allowzero")

    def kernel(x: Tensor, shape: Tensor) -> Tensor:
        sizes = int_list(shape)
        if not allow_zero and 0 in sizes:
            sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
        if -1 in sizes and x.numel() == 0:
            # torch cannot infer an axis of an empty tensor; the other axes decide.
            known = math.prod(size for size in sizes if size != -1)
            sizes = [(0 if known == 0 else x.numel() // known) if s == -1 else s for s in sizes]
        return x.reshape(sizes)

    return kernel


@op("Flatten")
def flatten(spec: NodeSpec) -> Kernel:
    """To two axes, split at `axis`."""
    axis = spec.integer("axis", 1)

    def kernel(x: Tensor) -> Tensor:
        split = axis + x.ndim if axis < 0 else axis
        return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))

    return kernel


@op("Transpose")
def transpose(spec: NodeSpec) -> Kernel:
    """Reverses all axes without `perm`."""
    perm = spec.ints("perm")
    return lambda x: x.permute(perm if perm is not None else tuple(reversed(range(x.ndim))))


@op("Squeeze", host=(1,))
def squeeze(spec: NodeSpec) -> Kernel:
    """Axes are an attribute before opset 13, an input since; all of size one without."""
    fixed = spec.ints("axes")

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = fixed if axes is None else tuple(int_list(axes))
        return x.squeeze() if dims is None else x.squeeze(dims)

    return kernel


@op("Unsqueeze", host=(1,))
def unsqueeze(spec: NodeSpec) -> Kernel:
    """Axes count in the result."""
    fixed = spec.ints("axes")

    def kernel(x: Tensor, axes: Tensor | None = None) -> Tensor:
        dims = (fixed or ()) if axes is None else int_list(axes)
        rank = x.ndim + len(dims)
        for dim in sorted(d % rank for d in dims):
            x = x.unsqueeze(dim)
        return x

    return kernel


@op("Expand", host=(1,))
def expand(spec: NodeSpec) -> Kernel:
    """Broadcast both ways: a 1 in the shape keeps the input's size."""

    def kernel(x: Tensor, shape: Tensor) -> Tensor:
        wanted = int_list(shape)
        sizes = [1] * (len(wanted) - x.ndim) + list(x.shape)
        wanted = [1] * (len(sizes) - len(wanted)) + wanted
        return x.expand([size if want == 1 else want for size, want in zip(sizes, wanted, strict=True)])

    return kernel


@op("Tile", since=6, host=(1,))
def tile(spec: NodeSpec) -> Kernel:
    """Repeats along each axis."""
    return lambda x, repeats: x.repeat(int_list(repeats)) if x.ndim else x.clone()


@op("Concat")
def concat(spec: NodeSpec) -> Kernel:
    """Joins along an axis."""
    axis = spec.integer("axis", 1)

    def kernel(*inputs: Tensor) -> Tensor:
        return torch.cat(inputs, axis)

    return kernel


@op("Split", host=(1,))
def split(spec: NodeSpec) -> Kernel:
    """By sizes (attribute or input), or into equal parts with a smaller last one."""
    axis, fixed = spec.integer("axis", 0), spec.ints("split")
    parts = spec.integer("num_outputs", spec.n_outputs)

    def kernel(x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        lengths: Sequence[int] | None = fixed if sizes is None else int_list(sizes)
        if lengths is None:
            size = x.shape[axis]
            step = math.ceil(size / parts)
            lengths = [max(min(step, size - i * step), 0) for i in range(parts)]
        return tuple(torch.split(x, list(lengths), axis))

    return kernel


@op("Shape", differentiable=False)
def shape_of(spec: NodeSpec) -> Kernel:
    """The sizes, or those from `start` up to `end`; always on the CPU."""
    start, end = spec.integer("start", 0), spec.attributes.get("end")
    return lambda x: torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


@op("Size", differentiable=False)
def size_of(spec: NodeSpec) -> Kernel:
    """The number of elements."""
    return lambda x: torch.tensor(x.numel(), dtype=torch.int64)


@op("DepthToSpace")
def depth_to_space(spec: NodeSpec) -> Kernel:
    """Moves channels into blocks of pixels."""
    size, depth_first = spec.integer("blocksize", 1), spec.text("mode", "DCR") == "DCR"

    def kernel(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        if depth_first:
            y = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
        else:
            y = x.reshape(n, c // size**2, size, size, h, w).permute(0, 1, 4, 2, 5, 3)
        return y.reshape(n, c // size**2, h * size, w * size)

    return kernel


@op("SpaceToDepth")
def space_to_depth(spec: NodeSpec) -> Kernel:
    """Moves blocks of pixels into channels."""
    size, depth_first = spec.integer("blocksize", 1), spec.text("mode", "DCR") == "DCR"

    def kernel(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // size, size, w // size, size)
        y = y.permute(0, 3, 5, 1, 2, 4) if depth_first else y.permute(0, 1, 3, 5, 2, 4)
        return y.reshape(n, c * size**2, h // size, w // size)

    return kernel
