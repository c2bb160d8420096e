"""Quantizers as ONNX nodes: the one place where Q/DQ pairs are made, for the simulation and for the export.

A tensor `t` with an encoding is produced as before; between it and its readers stand nodes that
give the value every reader sees. Three forms, keyed by the encoding's data type:
* 8 and 16 bits, and 4 bits in an export: QuantizeLinear, DequantizeLinear;
* other widths: Clip to the representable range, then Q/DQ in the next larger type (the same numbers);
* fp16, bf16: Cast and back; fp32 (a tensor that was set free by hand): Identity.
A constant is rounded once: the simulation stores the rounded values, an export the codes and a DequantizeLinear.
The simulation writes the com.microsoft twins of Q/DQ: ONNX Runtime runs the same kernel, and they
take 16-bit types at any opset, so the graph need not be raised to simulate it.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock, PerChannel
from engine.quant.precision import Float

_INTEGERS = {  # (bits, signed) -> ONNX type
    (2, True): TensorProto.INT2, (2, False): TensorProto.UINT2, (4, True): TensorProto.INT4, (4, False): TensorProto.UINT4,
    (8, True): TensorProto.INT8, (8, False): TensorProto.UINT8, (16, True): TensorProto.INT16, (16, False): TensorProto.UINT16,
}
_FLOATS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


@dataclass(frozen=True)
class Dialect:
    """How quantizers are written.

    Attributes:
        domain: of Q/DQ.
        widths: those that have a type of their own.
        unsigned: symmetric activations have an unsigned type and the zero point in its middle (the same values):
            devices want it, and ONNX Runtime's optimizer fails on signed ones at opset 21 (it makes them unsigned
            and forgets `output_dtype`).
    """

    domain: str
    widths: tuple[int, ...]
    unsigned: bool = False

    def storage(self, encoding: Encoding) -> tuple[int, bool]:
        """(ONNX type that holds the codes of a constant, whether the grid is narrower than that type)."""
        bits, narrower = self._width(encoding)
        assert encoding.grid is not None
        return _INTEGERS[bits, encoding.grid.signed], narrower

    def activation(self, encoding: Encoding) -> tuple[int, bool, int]:
        """`storage` of an activation, and what is added to its zero point."""
        kind, narrower = self.storage(encoding)
        bits, _ = self._width(encoding)
        assert encoding.grid is not None
        if self.unsigned and encoding.grid.signed:
            return _INTEGERS[bits, False], narrower, 1 << (bits - 1)
        return kind, narrower, 0

    def _width(self, encoding: Encoding) -> tuple[int, bool]:
        assert encoding.grid is not None
        bits = next(w for w in self.widths if w >= encoding.grid.bits)
        return bits, bits != encoding.grid.bits or encoding.grid.symmetry == "strict"


SIMULATION = Dialect("com.microsoft", (8, 16))
EXPORT = Dialect("", (4, 8, 16), unsigned=True)
EXPORT_OPSET25 = Dialect("", (2, 4, 8, 16), unsigned=True)


@dataclass
class Pieces:
    """Nodes and initializers to be added to a graph."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)


def quantizer(tensor: str, source: str, target: str, encoding: Encoding, dialect: Dialect) -> Pieces:
    """The nodes that turn `source` into the quantized value `target`; names are made from `tensor`."""
    if isinstance(encoding.dtype, Float):
        return _casts(tensor, source, target, encoding.dtype)
    return _qdq(tensor, source, target, encoding, dialect)


def stored(name: str, data: np.ndarray, encoding: Encoding, dialect: Dialect) -> Pieces:
    """A constant as it lies in an exported file: codes (or fp16) under `name__q`, and the node that makes `name` of them.

    An int32 bias has no grid and, as ONNX asks of int32, no zero point. Raises `BadInput` where fp16 overflows.
    """
    codes, values = f"{name}__q", torch.from_numpy(np.array(data, dtype=np.float32))
    if isinstance(encoding.dtype, Float):
        rounded = encoding.fake_quantize(values, check=True).numpy()
        kept = rounded.astype(helper.tensor_dtype_to_np_dtype(_FLOATS[encoding.dtype.name]))
        cast = helper.make_node("Cast", [codes], [name], name=f"{name}__uncast", to=TensorProto.FLOAT)
        return Pieces([cast], [numpy_helper.from_array(kept, codes)])
    kind = TensorProto.INT32 if encoding.grid is None else dialect.storage(encoding)[0]
    numbers = encoding.quantize(values).numpy().astype(helper.tensor_dtype_to_np_dtype(kind))
    scale, zero = f"{name}__scale", f"{name}__zero_point"
    zeros = [] if encoding.grid is None else [zero_point(zero, encoding, kind)]
    node = helper.make_node("DequantizeLinear", [codes, scale, *(z.name for z in zeros)], [name], name=f"{name}__dequantize",
                            domain=dialect.domain)
    node.attribute.extend(helper.make_attribute(key, value) for key, value in _axis(encoding).items())
    return Pieces([node], [numpy_helper.from_array(numbers, codes), _float(scale, encoding), *zeros])


def _axis(encoding: Encoding) -> dict[str, int]:
    """The attributes that say which values share a scale."""
    if isinstance(encoding.granularity, PerBlock):
        return {"axis": encoding.granularity.axis, "block_size": encoding.granularity.size}
    return {"axis": encoding.granularity.axis} if isinstance(encoding.granularity, PerChannel) else {}


def _casts(tensor: str, source: str, target: str, dtype: Float) -> Pieces:
    if dtype.name == "fp32":
        return Pieces([helper.make_node("Identity", [source], [target], name=f"{tensor}__free")])
    middle = f"{tensor}__{dtype.name}"
    down = helper.make_node("Cast", [source], [middle], name=f"{tensor}__cast", to=_FLOATS[dtype.name])
    up = helper.make_node("Cast", [middle], [target], name=f"{tensor}__uncast", to=TensorProto.FLOAT)
    return Pieces([down, up])


def _qdq(tensor: str, source: str, target: str, encoding: Encoding, dialect: Dialect) -> Pieces:
    kind, narrower, shift = dialect.activation(encoding)
    pieces = Pieces()
    if narrower:  # saturate before rounding into the larger type: clamp and round commute at the grid's ends
        clipped, bounds = f"{tensor}__clip", [f"{tensor}__low", f"{tensor}__high"]
        pieces.initializers += [_scalar(bounds[0], encoding.low), _scalar(bounds[1], encoding.high)]
        pieces.nodes += _clip(tensor, source, clipped, bounds)
        source = clipped
    scale, zero = f"{tensor}__scale", f"{tensor}__zero_point"
    pieces.initializers += [_float(scale, encoding), zero_point(zero, encoding, kind, shift)]
    codes, domain = f"{tensor}__q", dialect.domain
    pieces.nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero], [codes], name=f"{tensor}__quantize", domain=domain))
    pieces.nodes.append(helper.make_node("DequantizeLinear", [codes, scale, zero], [target], name=f"{tensor}__dequantize", domain=domain))
    return pieces


def _clip(tensor: str, source: str, target: str, bounds: list[str]) -> list[onnx.NodeProto]:
    """Min and Max rather than Clip: they have the same form at every opset from 8 on."""
    return [helper.make_node("Max", [source, bounds[0]], [f"{target}_low"], name=f"{tensor}__max"),
            helper.make_node("Min", [f"{target}_low", bounds[1]], [target], name=f"{tensor}__min")]


def _scalar(name: str, value: object) -> TensorProto:
    return numpy_helper.from_array(np.asarray(float(value), dtype=np.float32), name)  # type: ignore[arg-type]


def _float(name: str, encoding: Encoding) -> TensorProto:
    assert encoding.scale is not None
    return numpy_helper.from_array(encoding.scale.numpy().astype(np.float32), name)


def zero_point(name: str, encoding: Encoding, kind: int, shift: int = 0) -> TensorProto:
    """The zero point, plus `shift`, in the type that holds the codes (scalar for per-tensor: a shape of [1] blocks fusions)."""
    assert encoding.zero_point is not None
    zero = encoding.zero_point.numpy() + shift
    return helper.make_tensor(name, kind, zero.shape, zero.reshape(-1).tolist())
