"""The simulation node by node: the same quantizers in the same places, in one graph that ONNX Runtime runs as written.

The desk's chain fuses float kernels and packs constant weights; both add in another order than the exported file does,
whose weights are dequantized at run time. Here nothing is fused or packed, so a sound file gives the same bits.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import helper, numpy_helper

from engine.export.qdq import SEEN, insert_quantizers
from engine.export.runtime import OFF, run_on, session_on
from engine.graph.model import Model
from engine.quant.precision import FP32
from engine.sim.insert import SIMULATION
from engine.sim.quantization import Quantization

PLAIN = ("session.disable_prepacking", "1")


class NodeByNode:
    """One quantization of one model; `run` is that of a `Chain`."""

    def __init__(self, model: Model, quantization: Quantization) -> None:
        self._proto = simulation_model(model, quantization)
        self._outputs = [o.name for o in model.outputs]
        self._sessions: dict[tuple[str, ...], ort.InferenceSession] = {}

    def run(self, quantization: Quantization, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """Outputs and watched tensors as their readers see them; the quantization is the one that it was made with."""
        watched = tuple(n for n in watch if n not in self._outputs)
        if watched not in self._sessions:
            self._sessions[watched] = session_on(with_outputs(self._proto, watched), OFF, "the simulation node by node", PLAIN)
        found = run_on(self._sessions[watched], dict(feeds), "the simulation node by node")
        return {name.removesuffix(SEEN) if name not in self._outputs else name: array for name, array in found.items()}


def simulation_model(model: Model, quantization: Quantization) -> onnx.ModelProto:
    """The graph of the simulation as one model: constants rounded, quantizers inserted."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    activations = {n: e for n, e in quantization.activations.items() if e.dtype != FP32}
    nodes, initializers = insert_quantizers(proto, activations, SIMULATION)
    for i, tensor in enumerate(proto.graph.initializer):
        encoding = quantization.constant(tensor.name)
        if encoding is not None:
            rounded = encoding.fake_quantize(torch.from_numpy(np.array(model.constant(tensor.name)))).numpy()
            proto.graph.initializer[i].CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(initializers)
    if all(o.domain != "com.microsoft" for o in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


def with_outputs(proto: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """A copy with the dequantized values of these tensors as outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    made = {name for node in proto.graph.node for name in node.output}
    have = {o.name for o in proto.graph.output}
    wanted = [n + SEEN if n + SEEN in made else n for n in tensors]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in wanted if n not in have)
    return copy
