"""One small torch function per ONNX operator, in families, behind a registry.

Importing this package registers all of them.
"""
from __future__ import annotations

from engine.ops import (
    activation,
    arithmetic,
    attention,
    conv,
    generate,
    indexing,
    logic,
    matmul,
    normalization,
    pool,
    quantize,
    reduce,
    resize,
    rnn,
    sample,
    shape,
)
from engine.ops.registry import Kernel, NodeSpec, OpEntry, entry, find, lookup, op, registered

__all__ = ["Kernel", "NodeSpec", "OpEntry", "entry", "find", "lookup", "op", "registered"]

_FAMILIES = (
    activation, arithmetic, attention, conv, generate, indexing, logic, matmul, normalization, pool, quantize,
    reduce, resize, rnn, sample, shape,
)
