"""How much of a tensor shares one scale, as types (after torchao's granularities)."""
from __future__ import annotations

from dataclasses import dataclass


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
