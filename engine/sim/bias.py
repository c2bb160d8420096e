"""`bias: int32`: biases on the grid that an integer accumulator has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from engine.graph.layers import Layer
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerChannel, PerTensor
from engine.quant.precision import Int
from engine.sim.quantization import Quantization

INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class BiasEncoding(Encoding):
    """An int32 bias: scale = weight scale x input scale (one per output channel, or one), zero point 0."""

    def __post_init__(self) -> None:
        """The widths of ordinary grids do not apply."""

    def quantize(self, x: Tensor) -> Tensor:
        """int32 codes; float64 inside, because float32 cannot count to 2^31."""
        assert self.scale is not None
        return _codes(x, self.scale).to(torch.int32)

    def dequantize(self, q: Tensor) -> Tensor:
        """The float32 values of the codes."""
        assert self.scale is not None
        return (q.double() * self.scale.double()).float()

    def fake_quantize(self, x: Tensor, check: bool = False) -> Tensor:
        """The bias as the device sees it."""
        return self.dequantize(self.quantize(x))


def bias_encodings(model: Model, quantization: Quantization) -> Quantization:
    """Adds int32 encodings for the biases of Conv, ConvTranspose and Gemm; enlarges weight scales where one would overflow.

    The scale of a bias is `s_w * s_x`; where `|b| > 2^31 s_w s_x`, the weight's scale becomes `|b| / (2^31 s_x)`.
    """
    constants, biases = dict(quantization.constants), dict[str, Encoding]()
    for layer in model.layers:
        if layer.bias is None or layer.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            continue
        found = _layer_bias(model, layer, constants, quantization.activations)
        if found is not None:
            constants[layer.weight], biases[layer.bias] = found
    return Quantization(quantization.activations, constants, biases)


def _layer_bias(
    model: Model, layer: Layer, constants: Mapping[str, Encoding], activations: Mapping[str, Encoding]
) -> tuple[Encoding, Encoding] | None:
    assert layer.bias is not None
    weight = constants.get(layer.weight)
    source = activations.get(layer.reads[0]) if layer.reads else None
    if (
        weight is None
        or source is None
        or weight.scale is None
        or source.scale is None
        or not isinstance(weight.granularity, PerTensor | PerChannel)
    ):
        return None
    scale = widened(weight.scale, source.scale, torch.from_numpy(np.array(model.constant(layer.bias), dtype=np.float32)))
    if not torch.equal(scale, weight.scale):
        weight = dataclasses.replace(weight, scale=scale)
    granularity = PerChannel(0) if weight.scale is not None and weight.scale.dim() else PerTensor()
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return weight, BiasEncoding(Int(16), granularity, None, scale * source.scale, zero)


def widened(weight: Tensor, source: Tensor, bias: Tensor) -> Tensor:
    """The weight's scale (float32, of its shape), enlarged where the bias would overflow int32; `source` is the input's scale."""
    least = bias.abs().double() / (INT32_MAX * source.double())
    least = least.max() if weight.dim() == 0 else least.reshape(weight.shape)
    return torch.maximum(weight.double(), least).float()


def rounded(bias: Tensor, scale: Tensor) -> Tensor:
    """The float32 values of the int32 codes of a bias; float64 inside, because float32 cannot count to 2^31."""
    return (_codes(bias, scale) * scale.double()).float()


def _codes(bias: Tensor, scale: Tensor) -> Tensor:
    return torch.round(bias.double() / scale.double()).clamp(-INT32_MAX - 1, INT32_MAX)
