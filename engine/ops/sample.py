"""Sampling at computed positions: GridSample and AffineGrid."""
from __future__ import annotations

from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, int_list, op

# The names of opset 16 and of opset 20.
_MODES = {
    "bilinear": "bilinear", "linear": "bilinear", "nearest": "nearest",
    "bicubic": "bicubic", "cubic": "bicubic",
}


@op("GridSample", since=16)
def grid_sample(spec: NodeSpec) -> Kernel:
    """Values at the positions of a grid in [-1, 1]."""
    mode, padding = _MODES[spec.text("mode", "linear")], spec.text("padding_mode", "zeros")
    align = spec.flag("align_corners")
    return lambda x, grid: functional.grid_sample(x, grid, mode, padding, align)


@op("AffineGrid", since=20, host=(1,))
def affine_grid(spec: NodeSpec) -> Kernel:
    """The grid of an affine map."""
    align = spec.flag("align_corners")

    def kernel(theta: Tensor, size: Tensor) -> Tensor:
        return functional.affine_grid(theta, int_list(size), align)

    return kernel
