"""ONNX Runtime sessions on exported graphs, as a user's machine would make them."""
from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from engine.errors import BadInput
from engine.graph.shapes import first_line
from engine.graph.tensors import TensorInfo

OFF = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
ON = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
CLIP_RULE, CLIP_FAULT = "ClipQuantRewrite", "clip_quantizelinear.cc"  # an optimizer of ONNX Runtime, and where it raises
SYMBOLIC = 16  # for symbolic dimensions other than the first


def session_on(proto: onnx.ModelProto | bytes, level: ort.GraphOptimizationLevel, where: str, entry: tuple[str, str] | None = None,
               dump: str = "") -> ort.InferenceSession:
    """A session with one thread and nothing else changed; raises `BadInput` with ONNX Runtime's first line.

    Where ONNX Runtime's own rewrite of a Clip before a quantizer of few bits fails, that rule is left out; `fails_on_clips` tells.

    Args:
        entry: one session configuration entry, key and value.
        dump: a path to which ONNX Runtime writes the graph that it made of this one.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    if entry is not None:
        options.add_session_config_entry(*entry)
    if dump:
        options.optimized_model_filepath = dump
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    try:
        return _made(data, options)
    except Exception as error:  # ONNX Runtime raises bare pybind exceptions of many types
        if CLIP_FAULT in str(error):
            return _made(data, options, CLIP_RULE)
        raise BadInput(f"{where}: ONNX Runtime cannot make the graph: {first_line(error)}") from None


def _made(data: bytes, options: ort.SessionOptions, *left_out: str) -> ort.InferenceSession:
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(left_out))


def fails_on_clips(proto: onnx.ModelProto) -> bool:
    """Whether ONNX Runtime refuses the graph unless its rule `CLIP_RULE` is left out (it knows no types of fewer than 8 bits)."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        _made(proto.SerializeToString(), options)
    except Exception as error:
        return CLIP_FAULT in str(error)
    return False


def run_on(session: ort.InferenceSession, feeds: dict[str, np.ndarray], where: str,
           names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Outputs by name."""
    wanted = names or [o.name for o in session.get_outputs()]
    try:
        return dict(zip(wanted, session.run(wanted, feeds), strict=True))
    except Exception as error:
        raise BadInput(f"{where}: ONNX Runtime cannot run the graph: {first_line(error)}") from None


def optimized_ops(proto: onnx.ModelProto, where: str) -> Counter[str]:
    """How many nodes of each op ONNX Runtime runs when it has optimized the graph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        session_on(proto, ON, where, dump=str(path))
        return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def random_feeds(inputs: tuple[TensorInfo, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """One sample to compare two graphs on: normal floats, zeros for indices."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for info in inputs:
        shape = tuple(d if isinstance(d, int) else 1 if axis == 0 else SYMBOLIC for axis, d in enumerate(info.shape or ()))
        feeds[info.name] = rng.normal(size=shape).astype(info.dtype) if info.is_float else np.zeros(shape, info.dtype)
    return feeds
