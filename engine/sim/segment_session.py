"""One segment of a graph as an ONNX Runtime session, with the quantizers of its tensors."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import OrtValueVector

from engine.errors import BadInput
from engine.graph.cuts import Segment
from engine.graph.model import Model
from engine.graph.shapes import first_line
from engine.sim.insert import SIMULATION, quantizer
from engine.sim.quantization import Quantization

SEEN = "__seen"  # suffix of the value that a quantized tensor's readers see
RAW = "raw:"  # prefix that asks for a tensor as it is before its quantizer
SHARED_BYTES = 1024  # floats of at least this size are handed to sessions by reference; the graph holds the small ones
Constants = Callable[[str, Quantization], np.ndarray]


@dataclass(frozen=True)
class Piece:
    """A part of a graph with its quantizers, ready to become a session.

    Attributes:
        reads: tensors that a run is fed.
        gives: tensor name → name of the graph's output.
        weights: initializers that lie outside of `proto`. Serialized inside it they would be copied five times on the
            way into a session, which cost two thirds of the time to make one, and half of the memory.
    """

    proto: onnx.ModelProto
    reads: tuple[str, ...]
    gives: Mapping[str, str]
    weights: Mapping[str, np.ndarray]


class SegmentSession:
    """A session of one piece: `reads` are the tensors it is fed, `gives` maps a tensor's name to the session's output.

    `bytes` are those of its weights.
    """

    def __init__(self, piece: Piece, level: ort.GraphOptimizationLevel, where: str) -> None:
        self.reads, self.gives = piece.reads, piece.gives
        self._names = list(piece.gives.values())
        self._weights = dict(piece.weights)  # the session refers to their memory
        self.bytes = sum(array.nbytes for array in self._weights.values())
        _register_arena()
        options = session_options(level)
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in self._weights.values()]
        options.add_external_initializers(list(self._weights), values)
        try:
            self._session = ort.InferenceSession(piece.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises bare pybind exceptions of many types
            raise BadInput(f"{where}: ONNX Runtime cannot make the graph: {first_line(error)}") from None

    def run(self, values: Mapping[str, ort.OrtValue], shrink: bool = False) -> dict[str, ort.OrtValue]:
        """The segment's outputs by tensor name. `shrink`: the arena then gives back what nothing uses, such as what an earlier job left."""
        # The public call iterates over the results, which costs 35 µs, more than a small segment itself; an index is free.
        options = _shrinking() if shrink else None
        found = self._session._sess.run_with_ort_values({name: values[name]._get_c_value() for name in self.reads}, self._names, options)
        if len(self.gives) == 1:
            return {name: ort.OrtValue(found[0]) for name in self.gives}
        return {name: _alone(found, i) for i, name in enumerate(self.gives)}


def _alone(found: OrtValueVector, index: int) -> ort.OrtValue:
    """One of several results by itself: taken from their vector it would keep all of them in memory."""
    own = OrtValueVector()
    own.push_back(found[index])
    return ort.OrtValue(own[0])


def _shrinking() -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def session_options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    """One thread, Q/DQ kept as they are, all sessions of the process on one arena (99 arenas cost 3.5 GB and a fifth of the time).

    Weights lie outside of the arena, which never gives memory back: a session that is dropped frees them.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    return options


@cache
def _register_arena() -> None:
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(0, 1, -1, -1))  # grows by what is asked: no doubling


def segment_piece(model: Model, segment: Segment, quantization: Quantization, outputs: Iterable[str], constants: Constants,
                  nodes: Mapping[str, onnx.NodeProto], entering: tuple[str, ...] = ()) -> Piece:
    """The segment's graph with its quantizers.

    Args:
        outputs: tensors that a run gives, as their readers see them, or before their quantizer with `RAW` in front.
        entering: tensors made outside of the segment that are fed before their quantizer, which the segment then has.
    """
    rename = {name: name + SEEN for name in (*entering, *segment.produces) if name in quantization.activations}
    graph = onnx.GraphProto(name=f"segment_{segment.index}")
    for name in entering:
        _append_quantizer(graph, name, rename[name], quantization)
    for name in segment.nodes:
        node = graph.node.add()
        node.CopyFrom(nodes[name])
        for i, read in enumerate(node.input):
            node.input[i] = rename.get(read, read)
        for made in node.output:
            if made in rename:
                _append_quantizer(graph, made, rename[made], quantization)
    weights = _add_constants(graph, {name: constants(name, quantization) for name in segment.initializers})
    reads = tuple(dict.fromkeys((*segment.reads, *entering)))
    gives = {name: name.removeprefix(RAW) if name.startswith(RAW) else rename.get(name, name) for name in outputs}
    graph.input.extend(_value(model, name) for name in reads)
    graph.value_info.extend(_value(model, name) for name in segment.produces if name not in gives.values() and _known(model, name))
    graph.output.extend(_value(model, name.removeprefix(RAW), out) for name, out in gives.items())
    return Piece(_wrap(graph, model), reads, gives, weights)


def _add_constants(graph: onnx.GraphProto, constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Small initializers into the graph; the others are declared there and returned."""
    shared: dict[str, np.ndarray] = {}
    for name, array in constants.items():
        if array.dtype != np.float32 or array.nbytes < SHARED_BYTES:
            graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        declared = graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL)
        declared.external_data.add(key="location", value="memory")
        shared[name] = np.ascontiguousarray(array)
    return shared


def quantized_inputs(model: Model, segment: Segment, quantization: Quantization) -> tuple[str, ...]:
    """The model inputs that segment 0 quantizes for all segments."""
    return tuple(i.name for i in model.inputs if i.name in quantization.activations) if segment.index == 0 else ()


def _append_quantizer(graph: onnx.GraphProto, name: str, seen: str, quantization: Quantization) -> None:
    pieces = quantizer(name, name, seen, quantization.activations[name], SIMULATION)
    graph.node.extend(pieces.nodes)
    graph.initializer.extend(pieces.initializers)


def _wrap(graph: onnx.GraphProto, model: Model) -> onnx.ModelProto:
    opsets = [helper.make_opsetid(domain, version) for domain, version in model.graph.opset_imports.items()]
    if not any(o.domain == "com.microsoft" for o in opsets):
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=max(model.ir.ir_version, 8))


def _value(model: Model, name: str, output: str | None = None) -> onnx.ValueInfoProto:
    """What is known of a tensor, under the name that the session's output has. Inferred inner shapes make
    ONNX Runtime choose the same kernels in a segment as in the whole graph."""
    value = model.values[name]
    kind = int(value.dtype) if value.dtype is not None else TensorProto.FLOAT
    if value.shape is not None:
        dims = [d if isinstance(d, int) else d.value for d in value.shape]
    else:
        dims = [None] * len(model.shapes[name])
    return helper.make_tensor_value_info(output or name, kind, dims)


def _known(model: Model, name: str) -> bool:
    value = model.values.get(name)
    return value is not None and value.shape is not None and value.dtype is not None
