"""Quantizers against ONNX Runtime's QuantizeLinear and DequantizeLinear (opset 21), code for code."""
from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock, PerChannel, PerTensor
from engine.quant.grid import Symmetry
from engine.quant.precision import Int
from engine.quant.weights import weight_encoding

TYPES = {(8, True): TensorProto.INT8, (8, False): TensorProto.UINT8, (16, True): TensorProto.INT16,
         (16, False): TensorProto.UINT16, (4, True): TensorProto.INT4, (4, False): TensorProto.UINT4}


def run_ort(x: torch.Tensor, encoding: Encoding) -> np.ndarray:
    """`x` through Q and DQ in ONNX Runtime, optimizations off."""
    assert encoding.grid is not None and encoding.scale is not None and encoding.zero_point is not None
    kind = TYPES[encoding.grid.bits, encoding.grid.signed]
    attributes: dict[str, Any] = {}
    if not isinstance(encoding.granularity, PerTensor):
        attributes["axis"] = encoding.granularity.axis
    if isinstance(encoding.granularity, PerBlock):
        attributes["block_size"] = encoding.granularity.size
    shape = list(encoding.scale.shape)
    scale = helper.make_tensor("s", TensorProto.FLOAT, shape, encoding.scale.flatten().tolist())
    zero = helper.make_tensor("z", kind, shape, encoding.zero_point.flatten().tolist())
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes)]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(x.shape)) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "qdq", value[:1], value[1:], [scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.numpy()})[0]  # type: ignore[no-any-return]


GRANULARITIES = [PerTensor(), PerChannel(0), PerChannel(1), PerBlock(1, 8), PerBlock(0, 4)]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("symmetry", ["asymmetric", "symmetric", "unsigned"])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_equals_onnxruntime(bits: int, symmetry: Symmetry, granularity: object) -> None:
    torch.manual_seed(bits)
    x = torch.randn(12, 32) * torch.logspace(-2, 2, 12)[:, None]
    if symmetry == "unsigned":
        x = x.abs()
    encoding = weight_encoding(x, Int(bits), symmetry, granularity)  # type: ignore[arg-type]
    # Beyond the range too, and on the ties between codes, where rounding shows.
    low, high = float(x.min()), float(x.max())
    ties = encoding.fake_quantize(x) + 0.5 * encoding.expand(x.shape)[0]
    for data in (x, 3 * x, ties, torch.linspace(low, high, x.numel()).reshape(x.shape)):
        ours = encoding.fake_quantize(data)
        assert np.array_equal(ours.numpy(), run_ort(data, encoding))
        assert torch.equal(encoding.dequantize(encoding.quantize(data)), ours)
