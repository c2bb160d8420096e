"""Normalizations."""
from __future__ import annotations

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op


@op("BatchNormalization", since=7)
def batch_normalization(spec: NodeSpec) -> Kernel:
    """With stored statistics; training mode updates them and is refused."""
    if spec.flag("training_mode") or (spec.opset < 14 and spec.n_outputs > 1):
        raise spec.refusal("is in training mode. Export the model in evaluation mode.")
    epsilon = spec.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        if not (mean.requires_grad or variance.requires_grad):
            return functional.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)
        # Torch's own kernel takes statistics as constants.
        shape = (-1, *(1,) * (x.ndim - 2))
        factor = scale * torch.rsqrt(variance + epsilon)
        return x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)

    return kernel


@op("LayerNormalization")
def layer_normalization(spec: NodeSpec) -> Kernel:
    """Over all axes from `axis` on; mean and inverse deviation where further outputs are used."""
    axis, epsilon = spec.integer("axis", -1), spec.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        shape = x.shape[axis % x.ndim :]
        if spec.n_outputs == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
            return functional.layer_norm(x, shape, scale, bias, epsilon)
        dims = tuple(range(axis % x.ndim, x.ndim))
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean = wide.mean(dims, keepdim=True)
        centred = wide - mean
        inverse = torch.rsqrt(centred.square().mean(dims, keepdim=True) + epsilon)
        y = (centred * inverse).to(x.dtype) * scale
        y = y if bias is None else y + bias
        return y if spec.n_outputs == 1 else (y, mean, inverse)

    return kernel


@op("RMSNormalization")
@op("SimplifiedLayerNormalization")
@op("SimplifiedLayerNormalization", domain="com.microsoft")
def rms_normalization(spec: NodeSpec) -> Kernel:
    """Division by the root mean square over all axes from `axis` on."""
    axis, epsilon = spec.integer("axis", -1), spec.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor) -> Tensor:
        dims = tuple(range(axis % x.ndim, x.ndim))
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        return (wide * torch.rsqrt(wide.square().mean(dims, keepdim=True) + epsilon)).to(x.dtype) * scale

    return kernel


@op("SkipLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(spec: NodeSpec) -> Kernel:
    """LayerNorm of a sum; only the normalized output is computed, and the sum as the fourth."""
    epsilon = spec.number("epsilon", 1e-12)
    if spec.n_outputs in (2, 3):
        raise spec.refusal("the outputs for mean and deviation are not supported.")

    def kernel(
        x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        total = x + skip if bias is None else x + skip + bias
        y = functional.layer_norm(total, total.shape[-1:], gamma, beta, epsilon)
        return y if spec.n_outputs == 1 else (y, total.new_empty(0), total.new_empty(0), total)

    return kernel


@op("InstanceNormalization", since=6)
def instance_normalization(spec: NodeSpec) -> Kernel:
    """Per sample and channel."""
    epsilon = spec.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return functional.instance_norm(x, None, None, scale, bias, True, 0.0, epsilon)

    return kernel


@op("GroupNormalization")
def group_normalization(spec: NodeSpec) -> Kernel:
    """Scale and bias are per group before opset 21, per channel since."""
    groups, epsilon = spec.integer("num_groups", 1), spec.number("epsilon", 1e-5)

    def kernel(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if spec.opset < 21:
            each = x.shape[1] // groups
            scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
        return functional.group_norm(x, groups, scale, bias, epsilon)

    return kernel


@op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(spec: NodeSpec) -> Kernel:
    """Zero mean and unit variance over `axes`."""
    axes = spec.ints("axes") or (0, 2, 3)

    def kernel(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)

    return kernel


@op("LpNormalization")
def lp_normalization(spec: NodeSpec) -> Kernel:
    """Division by the p-norm along an axis; zero stays zero."""
    axis, p = spec.integer("axis", -1), spec.integer("p", 2)

    def kernel(x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
        return x / torch.where(norm == 0, torch.ones_like(norm), norm)

    return kernel


@op("LRN")
def local_response_normalization(spec: NodeSpec) -> Kernel:
    """Division by the energy of the neighbouring channels."""
    size, alpha = spec.integer("size", 1), spec.number("alpha", 1e-4)
    beta, bias = spec.number("beta", 0.75), spec.number("bias", 1.0)

    def kernel(x: Tensor) -> Tensor:
        channels = x.square().flatten(2).transpose(1, 2)
        padded = functional.pad(channels, ((size - 1) // 2, size // 2))
        energy = padded.unfold(2, size, 1).sum(-1).transpose(1, 2).reshape(x.shape)
        return x / (bias + energy * (alpha / size)).pow(beta)

    return kernel
