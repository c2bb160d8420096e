"""Hand-made nets with everything that stands between layers, for the steps that must not change the float function."""
from __future__ import annotations

from itertools import pairwise

import numpy as np
from onnx import NodeProto, helper

from engine.data import Dataset
from engine.graph import Model, from_proto
from engine.ptq.equivalence import difference
from tests.graphs import proto, weights


def spread(array: np.ndarray, axis: int, seed: int = 0, octaves: float = 4.0) -> np.ndarray:
    """The array with each channel of an axis scaled by a factor of up to 2^±octaves."""
    factors = np.exp2(np.random.default_rng(seed).uniform(-octaves, octaves, array.shape[axis]))
    return (array * factors.reshape([-1 if a == axis else 1 for a in range(array.ndim)])).astype(np.float32)


def node(op: str, inputs: str, output: str, **attributes: object) -> NodeProto:
    """A node named like its output, from `a b c`."""
    return helper.make_node(op, inputs.split(), [output], name=f"{output}_node", **attributes)


def net(nodes: list[NodeProto], constants: dict[str, np.ndarray], shape: tuple[int, ...] = (3, 8, 8), name: str = "net") -> Model:
    """A model from `x` to `y`."""
    return from_proto(proto(nodes, {"x": ["n", *shape]}, {"y": None}, constants), name)


def data(model: Model, count: int = 24, seed: int = 7, low: float = -2.0, high: float = 2.0) -> Dataset:
    """Random samples for the model's input x."""
    info = model.inputs[0]
    shape = [count, *(d if isinstance(d, int) else 16 for d in (info.shape or ())[1:])]
    return Dataset("random", {info.name: np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)})


def same(before: Model, after: Model, samples: Dataset) -> None:
    """Asserts the float functions equal, on all samples, to 1e-4 of the output's range."""
    assert difference(before, after, samples, len(samples)) <= 1e-4


def convs(*sizes: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`w0`, `b0`, … of a chain of 1x1 convolutions with these channel counts, badly scaled along their outputs."""
    found: dict[str, np.ndarray] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        found[f"w{i}"] = spread(weights(outputs, inputs, 1, 1, seed=seed + i), 0, seed + i)
        found[f"b{i}"] = weights(outputs, seed=50 + seed + i) * np.float32(0.3)
    return found
