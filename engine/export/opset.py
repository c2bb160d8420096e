"""Which opset a quantized graph needs, and a float graph raised to it without a change of function.

Rules:
1. per-tensor 8 bits need opset 10, per-channel and bfloat16 13, 4 and 16 bits and blocks 21, 2 bits 25;
2. a graph is raised only when it is below that, by onnx's version converter;
3. after raising, inputs, outputs and all tensors that have encodings are still there under their names, and the
   float outputs agree with those of the original in ONNX Runtime; otherwise `BadInput` says what changed.
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnx.version_converter
from onnx import TensorProto, helper

from engine.errors import BadInput
from engine.export.runtime import OFF, random_feeds, run_on, session_on
from engine.graph.model import Model
from engine.graph.notes import without_notes
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock, PerTensor
from engine.quant.precision import Float
from engine.sim.insert import Dialect

_KIND_OPSET: dict[int, int] = {TensorProto.INT4: 21, TensorProto.UINT4: 21,
                                TensorProto.INT16: 21, TensorProto.UINT16: 21,
                                TensorProto.INT2: 25, TensorProto.UINT2: 25}
TOLERANCE = 1e-4  # of the output's range: the float graph before and after raising


def needed_opset(encodings: Iterable[Encoding], dialect: Dialect) -> int:
    """Rule 1, for all encodings of a graph."""
    return max((_needs(e, dialect) for e in encodings), default=10)


def _needs(encoding: Encoding, dialect: Dialect) -> int:
    if isinstance(encoding.dtype, Float):
        return 13 if encoding.dtype.name == "bf16" else 10
    by_granularity = {PerTensor: 10, PerBlock: 21}.get(type(encoding.granularity), 13)
    return by_granularity if encoding.grid is None else max(by_granularity, _KIND_OPSET.get(dialect.storage(encoding)[0], 10))


def raised(model: Model, opset: int, tensors: Iterable[str]) -> onnx.ModelProto:
    """A copy of the float graph at `opset` or above; `tensors` must survive by name."""
    proto = onnx.ModelProto()
    proto.CopyFrom(without_notes(model.proto))
    if model.opset < opset:
        proto = _converted(model, proto, opset)
        _check_names(model, proto, tensors, opset)
        _check_function(model, proto, opset)
    proto.ir_version = max(proto.ir_version, helper.find_min_ir_version_for(list(proto.opset_import), True))
    return proto


def _converted(model: Model, proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        found = onnx.version_converter.convert_version(proto, opset)
    except Exception as error:  # the converter raises bare RuntimeErrors from C++
        raise BadInput(f"{model.name}: opset {model.opset} cannot be raised to {opset}, which the data types of its encodings "
                       f"need: {' '.join(str(error).split())[:160]}. Use 8 bits per tensor or channel, or export the model "
                       f"again with opset {opset}") from None
    del found.metadata_props[:]
    found.metadata_props.extend(proto.metadata_props)
    found.graph.name = proto.graph.name
    found.producer_name, found.producer_version, found.doc_string = proto.producer_name, proto.producer_version, proto.doc_string
    return found


def _check_names(model: Model, proto: onnx.ModelProto, tensors: Iterable[str], opset: int) -> None:
    have = {name for node in proto.graph.node for name in node.output} | {i.name for i in proto.graph.initializer}
    have |= {i.name for i in proto.graph.input}
    lost = [t for t in tensors if t not in have]
    for before, after in ((model.proto.graph.input, proto.graph.input), (model.proto.graph.output, proto.graph.output)):
        lost += [v.name for v in before if v.name not in {x.name for x in after}]
    if lost:
        raise BadInput(f"{model.name}: raising opset {model.opset} to {opset} loses the tensor {lost[0]!r} ({len(lost)} in all); "
                       f"export the model again with opset {opset}")


def _check_function(model: Model, proto: onnx.ModelProto, opset: int) -> None:
    where = f"{model.name} raised from opset {model.opset} to {opset}"
    feeds = dict(model.feeds) or random_feeds(model.inputs)
    before = run_on(session_on(model.proto, OFF, model.name), feeds, model.name)
    after = run_on(session_on(proto, OFF, where), feeds, where)
    for name, expected in before.items():
        found = after[name]
        if found.shape != expected.shape:
            raise BadInput(f"{where}: output {name!r} becomes {list(found.shape)} from {list(expected.shape)}")
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        span = float(np.ptp(expected)) if expected.size else 0.0
        if expected.size and not float(error.max()) <= TOLERANCE * max(span, 1e-6):
            raise BadInput(f"{where}: output {name!r} changes by up to {float(error.max()):.3g} (its range is {span:.3g}): the raised "
                           f"graph is another function; export the model again with opset {opset}")
