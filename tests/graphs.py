"""Small ONNX graphs for tests, seeded, with weights that look trained (no huge gains)."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Model, from_proto


def proto(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str] | None],
    constants: dict[str, np.ndarray],
    opset: int = 20,
) -> onnx.ModelProto:
    """A checked model from its parts; all inputs are float32."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def model(*args: object, **kwargs: object) -> Model:
    """The same as a loaded `Model`."""
    return from_proto(proto(*args, **kwargs), "test")  # type: ignore[arg-type]


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    """Values of about unit gain for a layer with that weight shape."""
    fan = max(int(np.prod(shape[1:])), 1)
    return (np.random.default_rng(seed).normal(size=shape) / np.sqrt(fan)).astype(np.float32)


def conv_net(blocks: int = 6, channels: int = 8, residual: float = 1.0) -> onnx.ModelProto:
    """Conv, BN, Relu and residual adds: a chain with places to cut. A small `residual` keeps the values of hundreds of blocks finite."""
    nodes, constants = [], {}
    last = "x"
    for i in range(blocks):
        inputs = 3 if i == 0 else channels
        constants[f"w{i}"] = weights(channels, inputs, 3, 3, seed=i) * np.float32(residual if i else 1.0)
        rng = np.random.default_rng(100 + i)
        for key, low, high in (("g", 0.5, 1.5), ("b", -0.2, 0.2), ("m", -0.2, 0.2), ("v", 0.5, 1.5)):
            scale = np.float32(residual if key in "bm" and i else 1.0)
            constants[f"{key}{i}"] = rng.uniform(low, high, channels).astype(np.float32) * scale
        nodes += [
            helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", [f"c{i}", f"g{i}", f"b{i}", f"m{i}", f"v{i}"], [f"n{i}"], name=f"bn{i}"),
            helper.make_node("Relu", [f"n{i}"], [f"r{i}"], name=f"relu{i}"),
        ]
        out = f"r{i}"
        if i:
            nodes.append(helper.make_node("Add", [out, last], [f"a{i}"], name=f"add{i}"))
            out = f"a{i}"
        last = out
    constants["fc"] = weights(10, channels, seed=99)
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "fc"], ["logits"], name="classifier", transB=1),
    ]
    return proto(nodes, {"x": ["batch", 3, 12, 12]}, {"logits": ["batch", 10]}, constants)


def deep_net(blocks: int = 99, channels: int = 12) -> onnx.ModelProto:
    """Three convs a block, in modules, with residual sums that stay small however many there are: 3 x blocks + 2 layers."""
    nodes, constants = [], {"stem.w": weights(channels, 1, 3, 3), "branch": np.float32(0.1).reshape(())}
    nodes.append(helper.make_node("Conv", ["x", "stem.w"], ["t0"], name="stem.conv", pads=[1, 1, 1, 1]))
    for i in range(blocks):
        at, last = f"stage{i // 20}.{i % 20}", f"t{i}"
        for step, (shape, more) in {
            "expand": ((2 * channels, channels, 1, 1), {}),
            "depthwise": ((2 * channels, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 2 * channels}),
            "project": ((channels, 2 * channels, 1, 1), {}),
        }.items():
            constants[f"{at}.{step}.w"] = 1.3 * weights(*shape, seed=i)
            nodes.append(helper.make_node("Conv", [last, f"{at}.{step}.w"], [f"{at}.{step}.out"], name=f"{at}.{step}.conv", **more))
            last = f"{at}.{step}.out"
            if step != "project":
                nodes.append(helper.make_node("Relu", [last], [f"{at}.{step}.relu"], name=f"{at}.{step}.relu"))
                last = f"{at}.{step}.relu"
        nodes.append(helper.make_node("Mul", [last, "branch"], [f"{at}.small"], name=f"{at}.mul"))
        nodes.append(helper.make_node("Add", [f"t{i}", f"{at}.small"], [f"t{i + 1}"], name=f"{at}.add"))
    constants["fc"] = weights(10, channels, seed=99)
    nodes += [
        helper.make_node("GlobalAveragePool", [f"t{blocks}"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "fc"], ["logits"], name="classifier", transB=1),
    ]
    return proto(nodes, {"x": ["batch", 1, 12, 12]}, {"logits": ["batch", 10]}, constants)
