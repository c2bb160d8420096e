"""The concrete shapes of all tensors, from running the float model once on one sample.

Running is the only answer that is right for dynamic shapes; static inference goes first and
refuses a graph whose tensors could not be held, before anything is allocated.
"""
from __future__ import annotations

import math
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime as ort

from engine.errors import BadInput
from engine.graph.tensors import TensorInfo

MAX_TENSOR_VALUES = 2**29  # 2 GB of float32 in a single activation of one sample
PROBE_BYTES = 1400 * 1024**2  # with the libraries themselves a hostile graph stays under 2 GB
DEFAULT_DIM = 16  # for symbolic dimensions other than the first (a sequence length, say), when no data are given

_INPUT_TYPES = frozenset({"float32", "float64", "float16", "bfloat16", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16",
                          "uint32", "uint64"})


def example(inputs: tuple[TensorInfo, ...]) -> dict[str, np.ndarray]:
    """One sample of zeros for each input: batch 1, other symbolic dimensions `DEFAULT_DIM`."""
    feeds = {}
    for info in inputs:
        if info.dtype not in _INPUT_TYPES:
            raise BadInput(f"input {info.describe()}: expected numbers ({', '.join(sorted(_INPUT_TYPES))})")
        shape = tuple(d if isinstance(d, int) else 1 if axis == 0 else DEFAULT_DIM for axis, d in enumerate(info.shape or ()))
        if math.prod(shape) > MAX_TENSOR_VALUES:
            raise BadInput(f"input {info.describe()} has more than {MAX_TENSOR_VALUES:,} values a sample")
        feeds[info.name] = np.zeros(shape, dtype=np.float32 if info.dtype == "bfloat16" else info.dtype)
    return feeds


def probe(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray], where: str) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor, from one run in ONNX Runtime with all tensors as outputs.

    Raises:
        BadInput: ONNX Runtime cannot make or run the graph; the message is its first line.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    have = {o.name for o in watched.graph.output}
    for node in proto.graph.node:
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name and name not in have)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = watched.SerializeToString()
    limit = PROBE_BYTES + 3 * len(data)  # the weights themselves: parsed, copied and packed for the kernels
    try:
        with memory_limit(limit):
            session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            names = [o.name for o in session.get_outputs()]
            arrays = session.run(names, dict(feeds))
    except MemoryError:
        raise BadInput(f"{where}: running the model on one sample needs more than {limit / 1e9:.1f} GB") from None
    except Exception as error:  # ONNX Runtime raises bare pybind exceptions of many types
        if "bad_alloc" in str(error):
            raise BadInput(f"{where}: running the model on one sample needs more than {limit / 1e9:.1f} GB") from None
        raise BadInput(f"{where}: ONNX Runtime cannot run the graph: {first_line(error)}") from None
    return {name: tuple(getattr(array, "shape", ())) for name, array in zip(names, arrays, strict=True)} | {
        name: tuple(array.shape) for name, array in feeds.items()}


def first_line(error: BaseException) -> str:
    """ONNX Runtime's message without its status prefix, in one line of at most 240 characters."""
    text = " ".join(str(error).split())
    for prefix in ("[ONNXRuntimeError] : ",):
        text = text.removeprefix(prefix)
    return text[:240]


@contextmanager
def memory_limit(extra: int) -> Iterator[None]:
    """Lets the process's data grow by at most `extra` bytes inside the block, so that a hostile graph cannot take the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[5]) * resource.getpagesize()
    limit = now + extra
    try:
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
