"""Padding is left out, and a context that has the shape of scores is not taken for them."""
from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Model, from_proto
from engine.sim.padding import Padding
from tests.graphs import weights


def attention() -> Model:
    """q k' scaled and masked, softmax, times v: [batch, 2 heads, 4 positions, 4 values] everywhere."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="proj"),
        helper.make_node("Transpose", ["h"], ["k"], perm=[0, 1, 3, 2], name="turn"),
        helper.make_node("MatMul", ["h", "k"], ["raw"], name="scores"),
        helper.make_node("Mul", ["raw", "scale"], ["scaled"], name="scale_scores"),
        helper.make_node("Softmax", ["scaled"], ["p"], name="softmax"),
        helper.make_node("MatMul", ["p", "h"], ["context"], name="context"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 4, 4]),
              helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", 4])]
    outputs = [helper.make_tensor_value_info("context", TensorProto.FLOAT, ["n", 2, 4, 4])]
    constants = [numpy_helper.from_array(weights(4, 4), "w"), numpy_helper.from_array(np.asarray(0.5, np.float32), "scale")]
    graph = helper.make_graph(nodes, "attention", inputs, outputs, constants)
    return from_proto(onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "attention")


def test_scores_lose_rows_and_columns_and_everything_else_rows() -> None:
    padding = Padding.of(attention())
    assert padding.mask == "attention_mask"
    assert padding.scores == {"raw", "scaled", "p"}
    feeds = {"attention_mask": np.asarray([[1, 1, 1, 0], [1, 1, 0, 0]])}
    array = np.arange(64, dtype=np.float32).reshape(2, 2, 4, 4)
    assert padding.valid(array, feeds, "p").size == 2 * 9 + 2 * 4
    context = padding.valid(array, feeds, "context")
    assert context.size == (3 + 2) * 2 * 4, "rows of padding go, no column of the head does"
    assert context.max() == array[1, 1, 1, 3]
    assert padding.valid(array[:, 0], feeds, "hidden").shape == (5, 4)
    assert padding.valid(array[:, 0, 0, :3], feeds, "pooled").shape == (2, 3)


def test_without_a_mask_nothing_changes() -> None:
    array = np.ones((2, 4, 4), np.float32)
    assert Padding(None).valid(array, {}, "x") is array
