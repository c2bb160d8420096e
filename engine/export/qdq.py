"""The QDQ twin of a quantized model: the same graph with quantizers as ONNX nodes and weights as integers.

Rules:
1. quantizers come from `engine.sim.insert`, as in the simulation: what is exported is what was measured;
2. a constant lies in the file as codes; a DequantizeLinear gives it back under its own name;
3. a tensor keeps its name, readers see `NAME__dequantized`; an output's name is that of its last dequantized value
   and its producer gives `NAME__float`;
4. the opset is raised only where a data type needs it (`opset.py`);
5. 2-bit types (opset 25) are used where ONNX Runtime takes the graph with them; it knows no convolution of 2 bits,
   and then they lie in 4 bits.
Models above 2 GB are out of scope: an ONNX file holds no more.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import onnx
import onnx.checker
from onnx import TensorProto

from engine.errors import BadInput
from engine.export.opset import needed_opset, raised
from engine.export.runtime import ON, session_on
from engine.graph.load import MAX_FILE_BYTES
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.quant.precision import FP32, Int
from engine.sim.insert import EXPORT, EXPORT_OPSET25, Dialect, Pieces, quantizer, stored
from engine.sim.quantization import Quantization

SEEN, RAW = "__dequantized", "__float"


def qdq_model(model: Model, quantization: Quantization) -> onnx.ModelProto:
    """The checked QDQ graph of `model` under `quantization`.

    Raises:
        BadInput: the opset cannot be raised, fp16 overflows, names collide, or the graph exceeds 2 GB.
    """
    activations = _quantized(quantization.activations)
    constants = _quantized({**quantization.constants, **quantization.biases})
    if any(isinstance(e.dtype, Int) and e.dtype.bits == 2 for e in (*activations.values(), *constants.values())):
        proto = _build(model, activations, constants, EXPORT_OPSET25)
        with suppress(BadInput):
            session_on(proto, ON, model.name)
            return proto
    return _build(model, activations, constants, EXPORT)


def dialect_of(proto: onnx.ModelProto) -> Dialect:
    """The dialect that a QDQ graph was written in."""
    two = any(t.data_type in (TensorProto.INT2, TensorProto.UINT2) for t in proto.graph.initializer)
    return EXPORT_OPSET25 if two else EXPORT


def _build(model: Model, activations: Mapping[str, Encoding], constants: Mapping[str, Encoding], dialect: Dialect) -> onnx.ModelProto:
    encodings = [*activations.values(), *constants.values()]
    proto = raised(model, needed_opset(encodings, dialect), [*activations, *constants])
    kept = [t for t in proto.graph.initializer if t.name not in constants]
    pieces = [stored(name, model.constant(name), e, dialect) for name, e in constants.items()]
    nodes, initializers = insert_quantizers(proto, activations, dialect)
    for piece in pieces:
        initializers += piece.initializers
    nodes = [n for piece in pieces for n in piece.nodes] + nodes
    _check_collisions(model, nodes, [*kept, *initializers])
    del proto.graph.node[:], proto.graph.initializer[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend([*kept, *initializers])
    return _checked(model, proto)


def _quantized(encodings: Mapping[str, Encoding]) -> dict[str, Encoding]:
    return {name: e for name, e in encodings.items() if e.dtype != FP32}


def insert_quantizers(proto: onnx.ModelProto, activations: Mapping[str, Encoding],
                      dialect: Dialect) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """All nodes with the activations' quantizers between them, in order of execution (rule 3), and what these need."""
    inputs = {i.name for i in proto.graph.input}
    outputs = {o.name for o in proto.graph.output} - inputs
    nodes: list[onnx.NodeProto] = []
    initializers: list[TensorProto] = []

    def quantize(name: str) -> None:
        source, seen = (name + RAW, name) if name in outputs else (name, name + SEEN)
        pieces: Pieces = quantizer(name, source, seen, activations[name], dialect)
        nodes.extend(pieces.nodes)
        initializers.extend(pieces.initializers)

    for name in (i.name for i in proto.graph.input):
        if name in activations:
            quantize(name)
    for original in proto.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for i, read in enumerate(node.input):
            if read in activations and read not in outputs:
                node.input[i] = read + SEEN
        made = [name for name in node.output if name in activations]
        for i, name in enumerate(node.output):
            node.output[i] = name + RAW if name in made and name in outputs else name
        nodes.append(node)
        for name in made:
            quantize(name)
    return nodes, initializers


def _check_collisions(model: Model, nodes: Iterable[onnx.NodeProto], initializers: Iterable[TensorProto]) -> None:
    seen: set[str] = set()
    for name in (*(i.name for i in initializers), *(o for n in nodes for o in n.output if o)):
        if name in seen:
            raise BadInput(f"{model.name}: the tensor name {name!r} is needed for a quantizer and taken in the model; rename it")
        seen.add(name)


def _checked(model: Model, proto: onnx.ModelProto) -> onnx.ModelProto:
    if proto.ByteSize() > MAX_FILE_BYTES:
        raise BadInput(f"{model.name}: the QDQ model has {proto.ByteSize():,} bytes; models above 2 GB are not exported")
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise BadInput(f"{model.name}: the QDQ graph is not valid ONNX: {' '.join(str(error).split())[:300]}") from None
    return proto
