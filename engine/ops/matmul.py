"""Matrix products."""
from __future__ import annotations

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain

plain("MatMul", torch.matmul)


@op("Gemm")
def gemm(spec: NodeSpec) -> Kernel:
    """alpha A' B' + beta C; the usual fully connected layer goes to torch's own."""
    alpha, beta = spec.number("alpha", 1.0), spec.number("beta", 1.0)
    trans_a, trans_b = spec.flag("transA"), spec.flag("transB")

    def kernel(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        if trans_a:
            a = a.t()
        if trans_b and alpha == 1.0 and beta == 1.0 and (c is None or c.ndim == 1):
            return functional.linear(a, b, c)
        b = b.t() if trans_b else b
        if c is None:
            return torch.mm(a, b) * alpha if alpha != 1.0 else torch.mm(a, b)
        if not a.dtype.is_floating_point:
            return torch.mm(a, b) * int(alpha) + c * int(beta)
        return torch.addmm(c, a, b, beta=beta, alpha=alpha)

    return kernel


@op("Einsum")
def einsum(spec: NodeSpec) -> Kernel:
    """Any contraction that torch.einsum understands."""
    equation = spec.text("equation").replace(" ", "")
    return lambda *inputs: torch.einsum(equation, *inputs)


@op("FusedMatMul", domain="com.microsoft")
def fused_matmul(spec: NodeSpec) -> Kernel:
    """A product with a factor and transposed last axes."""
    if spec.flag("transBatchA") or spec.flag("transBatchB"):
        raise spec.refusal("transBatchA and transBatchB are not supported.")
    alpha = spec.number("alpha", 1.0)
    trans_a, trans_b = spec.flag("transA"), spec.flag("transB")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        a = a.transpose(-1, -2) if trans_a and a.ndim > 1 else a
        b = b.transpose(-1, -2) if trans_b and b.ndim > 1 else b
        return torch.matmul(a, b) * alpha

    return kernel
