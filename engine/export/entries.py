"""Between encodings and the entries of a file: which axis, which order, which grid.

Rules:
1. a file records no axis: it is the layer's output channels, and for blocks its inputs; an initializer of no
   layer (a norm's scale) has its channels along the only axis of that length;
2. numbers are in (output channel, input block, rest) order: weights stored (in, out) are transposed;
3. initializers stand under `param`, everything else under `activation`;
4. neither dialect knows bfloat16: those tensors are FLOAT of 16 bits, and `quantizer_args.bfloat16` names them.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadInput, nearest
from engine.export.dialects import EncodingsFileContent, Entry, dialect
from engine.graph.layers import Layer
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.granularity import PER_TENSOR, Granularity, PerBlock, PerChannel
from engine.quant.grid import Grid, Symmetry
from engine.quant.precision import Float, Int
from engine.sim.bias import BiasEncoding
from engine.sim.quantization import Quantization

PRODUCER = {"package": "mixdown", "version": "0.1.0"}
BFLOAT16 = "bfloat16"


def write_encodings(version: str, model: Model, quantization: Quantization, quantizer_args: Mapping[str, Any] | None = None,
                    excluded_layers: tuple[str, ...] = (), producer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The encodings of a quantization as a file of that dialect, in plain values."""
    weights = {**quantization.constants, **quantization.biases}
    entries = [_entry(model, name, e, "activation") for name, e in quantization.activations.items()]
    entries += [_entry(model, name, e, "param") for name, e in weights.items()]
    args = dict(quantizer_args or {})
    wide = [n for n, e in {**quantization.activations, **weights}.items() if isinstance(e.dtype, Float) and e.dtype.name == "bf16"]
    if wide:
        args[BFLOAT16] = wide
    return dialect(version).write(EncodingsFileContent(version, tuple(entries), producer or PRODUCER, args, excluded_layers))


def _entry(model: Model, name: str, encoding: Encoding, section: Any) -> Entry:
    if isinstance(encoding.dtype, Float):
        return Entry(name, section, encoding.dtype.bits, floating=True)
    assert encoding.scale is not None and encoding.zero_point is not None
    if isinstance(encoding, BiasEncoding):
        scale = tuple(encoding.scale.reshape(-1).tolist())
        return Entry(name, section, 32, False, True, scale, (-(2**31),) * len(scale))
    assert encoding.grid is not None
    parts = encoding.scale, encoding.offset
    block = None
    if isinstance(encoding.granularity, PerBlock):
        order = _block_order(model, name, encoding.granularity.axis)
        parts = parts[0].permute(order), parts[1].permute(order)
        block = encoding.granularity.size
    return Entry(name, section, encoding.grid.bits, False, encoding.grid.symmetric, tuple(parts[0].reshape(-1).tolist()),
                 tuple(parts[1].reshape(-1).tolist()), block)


def to_quantization(content: EncodingsFileContent, model: Model) -> Quantization:
    """The encodings of a file on a model's tensors.

    Raises:
        BadInput: an entry names no float tensor of the model, or its numbers do not fit the tensor's shape.
    """
    listed = content.quantizer_args.get(BFLOAT16, [])
    wide = {str(name) for name in listed} if isinstance(listed, list) else set()
    activations, constants, biases = dict[str, Encoding](), dict[str, Encoding](), dict[str, Encoding]()
    for entry in content.entries:
        where = f"{content.source}: {entry.name!r}"
        value = model.values.get(entry.name)
        if value is None:
            raise BadInput(f"{where}: the model has no such tensor. {nearest(entry.name, model.values)}")
        if value.dtype is not None and not value.dtype.is_floating_point():
            raise BadInput(f"{where}: the tensor is {value.dtype.name}: only float tensors have encodings")
        constant = entry.name in model.graph.initializers
        bias = constant and entry.bits == 32 and not entry.floating
        if entry.bits > 16 and not entry.floating and not bias:
            raise BadInput(f"{where}: {entry.bits} bits: an activation has 2 to 16")
        try:
            found = _encoding(model, entry, constant, entry.name in wide)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        (biases if bias else constants if constant else activations)[entry.name] = found
    return Quantization(activations, constants, biases)


def _encoding(model: Model, entry: Entry, constant: bool, wide: bool) -> Encoding:
    if entry.floating:
        return Encoding(Float("fp32" if entry.bits == 32 else "bf16" if wide else "fp16"))
    if not constant and len(entry.scale) != 1:
        raise BadInput(f"{len(entry.scale)} scales: an activation has one")
    shape = tuple(model.constant(entry.name).shape) if constant else ()
    granularity = _granularity(model, entry, shape)
    scale, offset = torch.tensor(entry.scale, dtype=torch.float32), torch.tensor(entry.offset, dtype=torch.int64)
    if isinstance(granularity, PerBlock):
        scale, offset = (_unflatten(model, entry.name, part, granularity, shape) for part in (scale, offset))
    elif granularity == PER_TENSOR:
        scale, offset = scale.reshape(()), offset.reshape(())
    if entry.bits == 32:
        return BiasEncoding(Int(16), granularity, None, scale, torch.zeros_like(offset, dtype=torch.int32))
    grid = Grid(entry.bits, _symmetry(entry))
    return Encoding(Int(entry.bits), granularity, grid, scale, (grid.qmin - offset).to(torch.int32))


def _symmetry(entry: Entry) -> Symmetry:
    """The grid that symmetry and offset mean; an offset that fits none makes it asymmetric."""
    if not entry.symmetric:
        return "asymmetric"
    known: dict[int, Symmetry] = {-(2 ** (entry.bits - 1)): "symmetric", 1 - 2 ** (entry.bits - 1): "strict", 0: "unsigned"}
    if entry.offset[0] not in known:
        raise BadInput(f"the offset {entry.offset[0]} of a symmetric {entry.bits}-bit tensor: expected {', '.join(map(str, known))}")
    return known[entry.offset[0]]


def _granularity(model: Model, entry: Entry, shape: tuple[int, ...]) -> Granularity:
    """Rule 1. `block == 0` says that the list may stand for channels or for blocks."""
    count = len(entry.scale)
    if entry.block is None and count == 1:
        return PER_TENSOR
    layer = _layer(model, entry.name)
    channel = layer.channel_axis if layer is not None else None
    if not entry.block:
        if channel is not None and shape[channel] == count:
            return PerChannel(channel)
        same = [axis for axis, n in enumerate(shape) if n == count]
        if channel is None and len(same) == 1:
            return PerChannel(same[0])
        if entry.block is None or layer is None:
            raise BadInput(f"{count} scales for a tensor of shape {list(shape)}: expected one, or one for each output channel")
    return _blocks(entry, layer, shape)


def _blocks(entry: Entry, layer: Layer | None, shape: tuple[int, ...]) -> PerBlock:
    if layer is None or layer.channel_axis is None or layer.input_axis is None:
        raise BadInput("blocks of a tensor that is no weight with output and input channels")
    length, values = shape[layer.input_axis], 1
    for axis, n in enumerate(shape):
        values *= 1 if axis == layer.input_axis else n
    blocks = len(entry.scale) // values
    size = entry.block or (length // blocks if blocks else 0)
    if not size or length % size or values * (length // size) != len(entry.scale):
        raise BadInput(f"{len(entry.scale)} scales for a tensor of shape {list(shape)} with blocks of {size or '?'} "
                       f"along axis {layer.input_axis}")
    return PerBlock(layer.input_axis, size)


def _layer(model: Model, weight: str) -> Layer | None:
    return next((layer for layer in model.layers if weight in layer.weights), None)


def _block_order(model: Model, name: str, axis: int) -> list[int]:
    """Rule 2: the permutation that brings a blocked scale into (output channel, block, rest) order."""
    layer, rank = _layer(model, name), model.constant(name).ndim
    channel = layer.channel_axis if layer is not None else None
    if channel is None:
        channel = next(a for a in range(rank) if a != axis % rank)
    return [channel, axis % rank, *(a for a in range(rank) if a not in (channel, axis % rank))]


def _unflatten(model: Model, name: str, values: Tensor, granularity: PerBlock, shape: tuple[int, ...]) -> Tensor:
    order = _block_order(model, name, granularity.axis)
    lengths = [n // granularity.size if axis == granularity.axis else n for axis, n in enumerate(shape)]
    inverse = [order.index(axis) for axis in range(len(order))]
    return values.reshape([lengths[axis] for axis in order]).permute(inverse).contiguous()
