"""Quantizers read back from a QDQ graph, and compared with the encodings they should be."""
from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadInput
from engine.export.qdq import SEEN
from engine.quant.encoding import Encoding
from engine.quant.precision import FP32, Float
from engine.sim.insert import Dialect, Pieces, quantizer, stored

_CAST, _FREE = "__uncast", (TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass(frozen=True, eq=False)
class Found:
    """One quantizer of a QDQ graph: its nodes and the constants they read, by the tensor that it quantizes."""

    tensor: str
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, np.ndarray]


def read_quantizers(proto: onnx.ModelProto) -> dict[str, list[Found]]:
    """All quantizers by tensor; a sound graph has one for each."""
    makers = {name: node for node in proto.graph.node for name in node.output}
    values = {t.name: t for t in proto.graph.initializer}
    found: dict[str, list[Found]] = defaultdict(list)
    for node in proto.graph.node:
        dequantizes = node.op_type == "DequantizeLinear" or (node.op_type == "Cast" and node.name.endswith(_CAST))
        if not dequantizes or not node.output:
            continue
        tensor = node.output[0].removesuffix(SEEN)
        chain = [node]
        while (before := makers.get(chain[-1].input[0])) is not None and before.name.startswith(f"{tensor}__"):
            chain.append(before)
        reads = {name for n in chain for name in n.input if name in values}
        found[tensor].append(Found(tensor, tuple(reversed(chain)), {name: _array(values[name]) for name in reads}))
    return dict(found)


def _array(tensor: TensorProto) -> np.ndarray:
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"the QDQ model's initializer {tensor.name!r} cannot be read: {error}") from None


def difference(found: Found, encoding: Encoding, data: np.ndarray | None, dialect: Dialect) -> str:
    """What differs between a quantizer in the file and the one its encoding makes; empty when nothing does.

    `data` are the float values of a constant: its codes are compared too.
    """
    if encoding.dtype == FP32:
        return "has a quantizer, its encoding says fp32"
    expected = _expected(found, encoding, data, dialect)
    shape = [(n.op_type, _attributes(n)) for n in found.nodes]
    wanted = [(n.op_type, _attributes(n)) for n in expected.nodes]
    if shape != wanted:
        return f"is {_chain(shape)}, expected {_chain(wanted)}"
    for tensor in expected.initializers:
        have, want = found.constants.get(tensor.name), _array(tensor)
        if have is None:
            return f"has no {tensor.name!r}"
        if have.dtype != want.dtype or have.shape != want.shape:
            return f"{tensor.name!r} is {have.dtype}{list(have.shape)}, the encodings file says {want.dtype}{list(want.shape)}"
        if not np.array_equal(have, want):
            at = tuple(np.argwhere(np.asarray(have != want))[0]) if have.ndim else ()
            return f"{tensor.name!r} is {have[at]}, the encodings file says {want[at]}" + (f" (at {[int(i) for i in at]})" if at else "")
    return ""


def _expected(found: Found, encoding: Encoding, data: np.ndarray | None, dialect: Dialect) -> Pieces:
    name = found.tensor
    if data is not None:
        return stored(name, data, encoding, dialect)
    return quantizer(name, found.nodes[0].input[0], found.nodes[-1].output[0], encoding, dialect)


def _attributes(node: onnx.NodeProto) -> tuple[tuple[str, object], ...]:
    return tuple(sorted((a.name, helper.get_attribute_value(a)) for a in node.attribute))


def _chain(shape: list[tuple[str, tuple[tuple[str, object], ...]]]) -> str:
    return " → ".join(f"{op}{dict(attributes) if attributes else ''}" for op, attributes in shape) or "nothing"


def is_integer(encoding: Encoding) -> bool:
    """Whether an encoding has a grid whose steps can be counted."""
    return not isinstance(encoding.dtype, Float) and encoding.scale is not None


def lsb(encoding: Encoding | None) -> float | None:
    """The step of a per-tensor encoding."""
    if encoding is None or not is_integer(encoding):
        return None
    assert encoding.scale is not None
    return float(torch.max(encoding.scale))
