"""Small graphs for the tests of placement and resolution, written as one line a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Model, from_proto

TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


def build(
    nodes: Sequence[str],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    weights: Mapping[str, Sequence[int] | np.ndarray | float] | None = None,
    types: Mapping[str, str] | None = None,
    attributes: Mapping[str, Mapping[str, object]] | None = None,
    opset: int = 21,
) -> Model:
    """A model from lines such as `c1 = Conv(x, w) -> y`; a weight is an array, a number, or the shape of random values."""
    rng = np.random.default_rng(0)
    types, made = types or {}, []
    for line in nodes:
        name, rest = (part.strip() for part in line.split("=", 1))
        call, results = (part.strip() for part in rest.split("->"))
        op, arguments = call.rstrip(")").split("(")
        reads = [a.strip() for a in arguments.split(",")] if arguments else []
        writes = [r.strip() for r in results.split(",")]
        made.append(helper.make_node(op, reads, writes, name, **(attributes or {}).get(name, {})))
    constants = []
    for key, value in (weights or {}).items():
        if isinstance(value, (int, float)):
            value = np.array(value, np.float32)
        elif not isinstance(value, np.ndarray):
            value = rng.normal(size=tuple(value)).astype(np.float32)
        constants.append(numpy_helper.from_array(value, key))
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info(n, TYPES[types.get(n, "float")], list(s)) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TYPES[types.get(n, "float")], None) for n in outputs],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return from_proto(proto, "test")


def ints(*values: int) -> np.ndarray:
    """A constant of indices or of a shape."""
    return np.array(values, np.int64)


def chain(layers: int = 3, channels: int = 4) -> Model:
    """`c0 → c1 → …`: 1x1 convolutions from `x` over `t0, t1, …` to the last of them."""
    tensors = ["x", *(f"t{i}" for i in range(layers))]
    lines = [f"c{i} = Conv({tensors[i]}, w{i}) -> {tensors[i + 1]}" for i in range(layers)]
    return build(lines, {"x": (1, channels, 4, 4)}, [tensors[-1]], {f"w{i}": (channels, channels, 1, 1) for i in range(layers)})
