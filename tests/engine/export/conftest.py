"""A small network with what exports meet: depthwise Conv, BatchNormalization gone, Reshape, MatMul, Gemm, a constant operand."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.data import Dataset
from engine.graph.model import Model, from_proto
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim


def network(opset: int = 21) -> onnx.ModelProto:
    """image [N,3,8,8] → Conv, Relu, depthwise Conv, Clip, pool, MatMul + bias, Relu, Mul by a vector, Gemm → logits."""
    rng = np.random.default_rng(0)

    def constant(name: str, *shape: int, gain: float = 1.0) -> onnx.TensorProto:
        fan = max(int(np.prod(shape[1:])), 1)
        return numpy_helper.from_array((rng.normal(size=shape) * gain / np.sqrt(fan)).astype(np.float32), name)

    weights = [constant("stem.weight", 16, 3, 3, 3, gain=2), constant("stem.bias", 16), constant("dw.weight", 16, 1, 3, 3, gain=2),
               constant("dw.bias", 16), constant("fc1.weight", 16, 32, gain=3), constant("fc1.bias", 32),
               constant("gains", 32), constant("fc2.weight", 32, 10, gain=3), constant("fc2.bias", 10),
               numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six"),
               numpy_helper.from_array(np.array([-1, 16]), "flat")]
    nodes = [
        helper.make_node("Conv", ["image", "stem.weight", "stem.bias"], ["stem.out"], "stem", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["stem.out"], ["relu.out"], "relu"),
        helper.make_node("Conv", ["relu.out", "dw.weight", "dw.bias"], ["dw.out"], "dw", group=16, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["dw.out", "zero", "six"], ["clip.out"], "clip"),
        helper.make_node("GlobalAveragePool", ["clip.out"], ["pool.out"], "pool"),
        helper.make_node("Reshape", ["pool.out", "flat"], ["flat.out"], "flatten"),
        helper.make_node("MatMul", ["flat.out", "fc1.weight"], ["fc1.product"], "fc1"),
        helper.make_node("Add", ["fc1.product", "fc1.bias"], ["fc1.out"], "fc1_bias"),
        helper.make_node("Relu", ["fc1.out"], ["relu1.out"], "relu1"),
        helper.make_node("Mul", ["relu1.out", "gains"], ["gained"], "gain"),
        helper.make_node("Gemm", ["gained", "fc2.weight", "fc2.bias"], ["logits"], "fc2"),
    ]
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])], weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="a test")
    proto.ir_version = helper.find_min_ir_version_for(list(proto.opset_import))
    proto.metadata_props.add(key="licence", value="none")
    return proto


@pytest.fixture(scope="session")
def data() -> Dataset:
    rng = np.random.default_rng(1)
    return Dataset("noise", {"image": rng.normal(size=(64, 3, 8, 8)).astype(np.float32)})


@pytest.fixture
def model() -> Model:
    return from_proto(network(), "small", "a" * 64)


@pytest.fixture
def small() -> Callable[[int], Model]:
    return lambda opset: from_proto(network(opset), "small", "a" * 64)


@pytest.fixture
def calibrated(data: Dataset) -> Callable[..., QuantSim]:
    def make(model: Model, **recipe: Any) -> QuantSim:
        sim = QuantSim(model, Recipe(**{"target": "generic", **recipe}))
        sim.calibrate(data)
        return sim
    return make
