"""Makes this folder's model from the bundled fashion_mobilenet: the same function in float, badly scaled channels.

    python -m sample_models.fashion_imbalanced.make

Every activation's channels are divided by seeded powers of two from 2^-5 to 2^5 (in the BatchNormalization in front), and the
weights that read them are multiplied by the same; the two linear bottlenecks that only one layer reads likewise. Powers of two
change no mantissa, so the outputs stay bit-equal. ReLU6 clips all channels at 6 and does not commute with that: it becomes a
Clip at the highest limit and a Min with each channel's own, 6 / factor. Nothing is trained, no data are needed.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

HERE = Path(__file__).parent
SOURCE = HERE.parent / "fashion_mobilenet" / "model.onnx"
SEED, LARGEST = 2062, 5  # with this seed the folded weights reach 11,000: fp16, whose greatest is 65,504, still holds them
LIMIT = 6.0
Factors = NDArray[np.float32]


class Graph:
    """An ONNX graph with its initializers as arrays that can be changed, and its readers."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph
        self.arrays = {i.name: numpy_helper.to_array(i).copy() for i in model.graph.initializer}

    def readers(self, value: str) -> list[onnx.NodeProto]:
        """The nodes that read a value."""
        return [node for node in self.graph.node if value in node.input]

    def store(self) -> onnx.ModelProto:
        """The model with the arrays as they are now."""
        del self.graph.initializer[:]
        used = {name for node in self.graph.node for name in node.input}
        self.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in self.arrays.items() if name in used)
        return self.model


def rescale(model: onnx.ModelProto, seed: int = SEED) -> onnx.ModelProto:
    """The model with rescaled channels; its function is the same."""
    graph, rng = Graph(model), np.random.default_rng(seed)
    for norm in [n for n in model.graph.node if n.op_type == "BatchNormalization"]:
        readers = graph.readers(norm.output[0])
        if len(readers) > 1 or readers[0].op_type == "Add":
            continue  # a shortcut: its channels belong to several layers
        channels = len(graph.arrays[norm.input[1]])
        factors = np.exp2(rng.integers(-LARGEST, LARGEST + 1, channels)).astype(np.float32)
        for name in norm.input[1:3]:
            graph.arrays[name] = graph.arrays[name] / factors
        source = norm.output[0]
        if readers[0].op_type == "Clip":
            source = _limit_per_channel(graph, readers[0], factors)
        _multiply_readers(graph, source, factors)
    return graph.store()


def _limit_per_channel(graph: Graph, clip: onnx.NodeProto, factors: Factors) -> str:
    """Clip(0, 6) of unscaled channels for scaled ones; returns the name of the result."""
    limits = np.float32(LIMIT) / factors
    assert float(graph.arrays[clip.input[2]]) == LIMIT
    bound, per_channel, out = f"{clip.name}.bound", f"{clip.name}.limits", clip.output[0]
    graph.arrays[bound] = np.asarray(limits.max(), np.float32)
    graph.arrays[per_channel] = limits.reshape(1, -1, 1, 1)
    clip.input[2] = bound
    clip.output[0] = f"{clip.name}.bounded"
    node = helper.make_node("Min", [clip.output[0], per_channel], [out], name=f"{clip.name}.limit")
    node.metadata_props.extend(clip.metadata_props)
    graph.graph.node.insert(list(graph.graph.node).index(clip) + 1, node)
    return out


def _multiply_readers(graph: Graph, value: str, factors: Factors) -> None:
    """The weights that read the channels, also behind the mean over the picture."""
    for node in graph.readers(value):
        if node.op_type == "ReduceMean":
            _multiply_readers(graph, node.output[0], factors)
            continue
        weight = graph.arrays[node.input[1]]
        depthwise = node.op_type == "Conv" and weight.shape[1] == 1 and weight.shape[0] == len(factors)
        axis = 0 if depthwise else 1  # a Gemm with transB and a Conv both have their inputs on axis 1
        graph.arrays[node.input[1]] = weight * factors.reshape([-1 if a == axis else 1 for a in range(weight.ndim)])


def main() -> None:
    """Writes `model.onnx`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "model.onnx")
    path = parser.parse_args().out
    model = rescale(onnx.load(SOURCE))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{path.name}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
