"""The operands of a layer: its weights and the activations it reads, each with its encoding, and what quantizing does to them."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from engine.analysis.diagnosis.kinds import Array, Transform
from engine.graph.layers import Layer
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerTensor, expand_to
from engine.quant.precision import Float, Int
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim

CHANNELS_FIRST = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Operand:
    """A weight or an activation of one layer.

    Attributes:
        quantizer: the tensor whose encoding its values have (itself, or what a Reshape, a MaxPool moved here).
        factor: its values are that tensor's times this.
        axis: of its channels; None where it has none.
    """

    name: str
    kind: Literal["weight", "activation"]
    quantizer: str
    encoding: Encoding | None
    axis: int | None
    factor: float = 1.0

    @property
    def bits(self) -> int:
        """Of its integer type; 32 in float."""
        dtype = None if self.encoding is None else self.encoding.dtype
        return dtype.bits if isinstance(dtype, Int) else 32

    @property
    def integer(self) -> bool:
        """Whether it has a grid with steps and limits."""
        return self.encoding is not None and not isinstance(self.encoding.dtype, Float)

    @property
    def per_tensor(self) -> bool:
        """Whether all its channels share one scale."""
        return self.integer and self.encoding is not None and isinstance(self.encoding.granularity, PerTensor)


def operands_of(sim: QuantSim, quantization: Quantization, layer: Layer) -> tuple[Operand, ...]:
    """Weights first, then what the layer reads."""
    weights = [Operand(name, "weight", name, quantization.constants.get(name), layer.channel_axis) for name in layer.weights]
    reads = []
    for name in layer.reads:
        quantizer, factor = _source(sim, name)
        axis = 1 if layer.op_type in CHANNELS_FIRST else -1
        reads.append(Operand(name, "activation", quantizer, quantization.activations.get(quantizer), axis, factor))
    return (*weights, *reads)


def _source(sim: QuantSim, tensor: str) -> tuple[str, float]:
    """The tensor with the quantizer, and the factor between the two."""
    factor = 1.0
    slot = sim.placement.slots.get(tensor)
    while slot is not None and slot.source is not None:
        factor *= slot.scaled[1] if slot.scaled else 1.0
        tensor, slot = slot.source, sim.placement.slots.get(slot.source)
    return tensor, factor


def quantized(encoding: Encoding | None, factor: float = 1.0) -> Transform:
    """Rounded and clipped: what the device sees."""
    return _scaled(lambda x: x if encoding is None else encoding.fake_quantize(x), factor)


def clipped(encoding: Encoding | None, factor: float = 1.0) -> Transform:
    """Clipped alone: values further outside the grid than rounding would bring them move to its end."""
    def run(x: torch.Tensor) -> torch.Tensor:
        if encoding is None or encoding.scale is None:
            return x
        low, high, step = (expand_to(v, encoding.granularity, x.shape) for v in (encoding.low, encoding.high, encoding.scale))
        outside = (x < low - step / 2) | (x > high + step / 2)
        return torch.where(outside, x.clamp(low, high), x)
    return _scaled(run, factor)


def rounded(encoding: Encoding | None, factor: float = 1.0) -> Transform:
    """Rounded alone: the same step on a grid without ends."""
    def run(x: torch.Tensor) -> torch.Tensor:
        if encoding is None:
            return x
        if encoding.scale is None:
            return encoding.fake_quantize(x)
        step = expand_to(encoding.scale, encoding.granularity, x.shape)
        return torch.round(x / step) * step
    return _scaled(run, factor)


def _scaled(run: Callable[[torch.Tensor], torch.Tensor], factor: float) -> Transform:
    def transform(x: Array) -> Array:
        tensor = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        found = run(tensor) if factor == 1.0 else run(tensor / factor) * factor
        return found.numpy()
    return transform
