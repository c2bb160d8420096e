"""What the node tests leave out: old opsets, ONNX Runtime's own operators, more of recurrent layers."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.errors import UnsupportedOp
from engine.sim.interpreter import Interpreter

MS = "com.microsoft"
Array = np.ndarray


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def _model(
    op_type: str, opset: int, data: Mapping[str, Array], constants: Mapping[str, Array], inputs: Sequence[str],
    outputs: Sequence[str], domain: str, attributes: Mapping[str, Any],
) -> onnx.ModelProto:
    node = helper.make_node(op_type, list(inputs), list(outputs), name="tested", domain=domain, **attributes)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in data.items()
    ]
    results = [onnx.ValueInfoProto(name=n) for n in outputs if n]
    initializers = [numpy_helper.from_array(a, n) for n, a in constants.items()]
    graph = helper.make_graph([node], "g", infos, results, initializers)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _check(
    op_type: str, opset: int, data: Mapping[str, Array], constants: Mapping[str, Array] | None = None,
    inputs: Sequence[str] | None = None, outputs: Sequence[str] = ("y",), domain: str = "", **attributes: Any,
) -> None:
    constants = constants or {}
    names = inputs if inputs is not None else [*data, *constants]
    model = _model(op_type, opset, data, constants, names, outputs, domain, attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = dict(zip([o for o in outputs if o], session.run(None, dict(data)), strict=True))
    got = Interpreter(ir.from_proto(model)).run({n: torch.from_numpy(a) for n, a in data.items()})
    for name, array in wanted.items():
        assert got[name].shape == array.shape, name
        np.testing.assert_allclose(got[name].numpy(), array, rtol=1e-4, atol=2e-5, err_msg=f"{op_type} {name}")


X4 = _random(2, 4, 7, 5)
INTS = np.array


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_before_opset_13_flattens(op_type: str, axis: int) -> None:
    _check(op_type, 11, {"x": X4}, axis=axis)


OLD_FORMS: list[tuple[str, int, dict[str, Array], dict[str, Array], dict[str, Any]]] = [
    ("Clip", 6, {"x": X4}, {}, {"min": -0.5, "max": 0.7}),
    ("Clip", 6, {"x": X4}, {}, {"max": 0.7}),
    ("Squeeze", 11, {"x": X4[:1, :, :, :1]}, {}, {"axes": [0, -1]}),
    ("Unsqueeze", 11, {"x": X4}, {}, {"axes": [0, 5]}),
    ("Slice", 9, {"x": X4}, {}, {"starts": [1, -3], "ends": [100, -1], "axes": [1, 2]}),
    ("Pad", 2, {"x": X4}, {}, {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}),
    ("Pad", 10, {"x": X4}, {}, {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "mode": "reflect"}),
    ("Pad", 10, {"x": X4}, {}, {"pads": [0, 0, -1, 2, 0, 0, 3, 0], "mode": "edge"}),
    ("ReduceSum", 11, {"x": X4}, {}, {"axes": [1, -1], "keepdims": 0}),
    ("ReduceMean", 13, {"x": X4}, {}, {"axes": [2, 3]}),
    ("ReduceMax", 12, {"x": X4}, {}, {}),
    ("ReduceLogSumExp", 13, {"x": X4}, {}, {"axes": [1]}),
    ("Dropout", 7, {"x": X4}, {}, {}),
    ("PRelu", 9, {"x": X4}, {"slope": _random(4, 1, 1)}, {}),
    ("Upsample", 7, {"x": X4}, {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
    ("Upsample", 9, {"x": X4}, {"s": INTS([1, 1, 2, 2], np.float32)}, {"mode": "linear"}),
    ("Resize", 10, {"x": X4}, {"s": INTS([1, 1, 2, 0.6], np.float32)}, {"mode": "nearest"}),
    ("Resize", 10, {"x": X4}, {"s": INTS([1, 1, 1.7, 0.6], np.float32)}, {"mode": "linear"}),
    ("Scatter", 9, {"x": X4[0, 0]}, {"i": INTS([[0, 2, 1]]), "u": _random(1, 3)}, {"axis": 1}),
    ("GroupNormalization", 18, {"x": X4}, {"s": _random(2), "b": _random(2, seed=1)}, {"num_groups": 2}),
    ("GroupNormalization", 21, {"x": X4}, {"s": _random(4), "b": _random(4, seed=1)}, {"num_groups": 2}),
    ("AveragePool", 10, {"x": X4}, {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", 11, {"x": X4}, {}, {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER"}),
    ("MaxPool", 12, {"x": X4}, {}, {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "dilations": [2, 1]}),
    ("Conv", 11, {"x": X4}, {"w": _random(6, 2, 3, 2)}, {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", 11, {"x": X4}, {"w": _random(4, 1, 3, 3), "b": _random(4)}, {"group": 4, "pads": [0, 1, 2, 1]}),
    ("ConvTranspose", 11, {"x": X4}, {"w": _random(4, 3, 3, 3), "b": _random(6)},
     {"strides": [2, 3], "pads": [1, 0, 0, 2], "output_padding": [1, 2], "group": 2}),
    ("Gemm", 9, {"x": X4[0, 0]}, {"w": _random(5, 3), "c": _random(7, 1)}, {"alpha": 0.5, "beta": 2.0}),
    ("LRN", 13, {"x": X4}, {}, {"size": 3, "alpha": 0.3, "beta": 0.6, "bias": 1.5}),
]


@pytest.mark.parametrize(
    ("op_type", "opset", "data", "constants", "attributes"), OLD_FORMS,
    ids=[f"{i}-{case[0]}-{case[1]}" for i, case in enumerate(OLD_FORMS)],
)
def test_forms_of_older_opsets(
    op_type: str, opset: int, data: dict[str, Array], constants: dict[str, Array], attributes: dict[str, Any]
) -> None:
    _check(op_type, opset, data, constants, **attributes)


def test_split_by_attribute() -> None:
    _check("Split", 11, {"x": X4}, outputs=("a", "b"), axis=1, split=[1, 3])


def test_resize_11_with_an_empty_roi() -> None:
    constants = {"roi": np.zeros(0, np.float32), "s": INTS([1, 1, 1.6, 2.5], np.float32)}
    _check("Resize", 11, {"x": X4}, constants, mode="cubic", coordinate_transformation_mode="align_corners")


def test_constant_nodes_become_parameters() -> None:
    value = numpy_helper.from_array(_random(5), "value")
    nodes = [helper.make_node("Constant", [], ["c"], value=value), helper.make_node("Add", ["x", "c"], ["y"])]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [5]) for n in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "g", info[:1], info[1:]))
    interpreter = Interpreter(ir.from_proto(model))
    interpreter.parameters["c"] = torch.ones(5)
    assert interpreter.run({"x": torch.zeros(5)})["y"].tolist() == [1.0] * 5


ROWS = _random(2, 3, 8)
MICROSOFT: list[tuple[str, dict[str, Array], dict[str, Array], dict[str, Any]]] = [
    ("Gelu", {"x": ROWS}, {}, {}),
    ("FastGelu", {"x": ROWS}, {"b": _random(8)}, {}),
    ("BiasGelu", {"x": ROWS}, {"b": _random(8)}, {}),
    ("QuickGelu", {"x": ROWS}, {}, {"alpha": 1.5}),
    ("FusedMatMul", {"x": ROWS}, {"w": _random(2, 5, 8)}, {"alpha": 0.25, "transB": 1}),
    ("SkipLayerNormalization", {"x": ROWS, "s": _random(2, 3, 8, seed=3)}, {"g": _random(8), "b": _random(8)},
     {"epsilon": 1e-5}),
    ("QuantizeLinear", {"x": ROWS}, {"s": INTS(0.003, np.float32), "z": INTS(-7, np.int16)}, {}),
    ("QuantizeLinear", {"x": ROWS}, {"s": abs(_random(8)) / 9 + 0.01, "z": INTS([3] * 8, np.uint8)}, {"axis": 2}),
    ("DequantizeLinear", {"x": (ROWS * 20).astype(np.int8)}, {"s": INTS(0.1, np.float32), "z": INTS(5, np.int8)}, {}),
]


@pytest.mark.parametrize(
    ("op_type", "data", "constants", "attributes"), MICROSOFT, ids=[f"{i}-{c[0]}" for i, c in enumerate(MICROSOFT)]
)
def test_operators_of_onnx_runtime(
    op_type: str, data: dict[str, Array], constants: dict[str, Array], attributes: dict[str, Any]
) -> None:
    _check(op_type, 17, data, constants, domain=MS, **attributes)


@pytest.mark.parametrize("lengths", [None, [6, 2, 4]], ids=["full", "lengths"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op_type", "extra"),
    [("LSTM", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("RNN", {}), ("RNN", {"activations": "Relu"})],
)
def test_recurrent_layers(op_type: str, extra: dict[str, Any], direction: str, lengths: list[int] | None) -> None:
    time, batch, features, hidden = 6, 3, 4, 5
    gates, dirs = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type], 2 if direction == "bidirectional" else 1
    constants = {
        "w": _random(dirs, gates * hidden, features), "r": _random(dirs, gates * hidden, hidden),
        "b": _random(dirs, 2 * gates * hidden),
        **({} if lengths is None else {"n": INTS(lengths, np.int32)}),
        "h": _random(dirs, batch, hidden), "c": _random(dirs, batch, hidden, seed=7),
    }
    inputs = ["x", "w", "r", "b", "" if lengths is None else "n", "h"]
    outputs = ["y", "last"]
    if op_type == "LSTM":
        inputs, outputs = [*inputs, "c"], [*outputs, "cell"]
    else:
        del constants["c"]
    if "activations" in extra:
        extra = {"activations": [extra["activations"]] * dirs}
    attributes = {"hidden_size": hidden, "direction": direction, **extra}
    _check(op_type, 17, {"x": _random(time, batch, features)}, constants, inputs, outputs, **attributes)


def test_opset_6_arithmetic_asks_for_the_version_converter() -> None:
    model = _model("Add", 6, {"x": X4, "z": X4}, {}, ["x", "z"], ["y"], "", {})
    with pytest.raises(UnsupportedOp, match=r"tested.*Add at opset 6.*version converter"):
        Interpreter(ir.from_proto(model))
