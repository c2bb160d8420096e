"""A layer as a matrix gives what ONNX Runtime gives, for every attribute that a layer can have."""
from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from engine.errors import BadInput
from engine.graph import Model, from_proto
from engine.ptq.matrix import MatrixForm
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT
from tests.graphs import proto

RNG = np.random.default_rng(11)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def layer_of(op: str, weight: np.ndarray, x: tuple[int, ...], inputs: tuple[str, ...] = ("x", "w"), bias: np.ndarray | None = None,
             **attributes: object) -> Model:
    constants = {"w": weight} | ({} if bias is None else {"b": bias})
    node = helper.make_node(op, [*inputs, *(["b"] if bias is not None else [])], ["y"], name="layer", **attributes)
    graph = proto([node], {"x": list(x)}, {"y": None}, constants)
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return from_proto(graph, "test")


def check(model: Model, x: np.ndarray, bias: np.ndarray | None = None) -> None:
    """Matrix times rows equals ONNX Runtime's output, the way back returns the weight, and chosen positions are those of all rows."""
    layer = model.layers[0]
    form = MatrixForm.of(model, layer)
    weight = torch.from_numpy(np.array(model.constant(layer.weight)))
    matrix = form.matrix(weight)
    assert tuple(matrix.shape) == (form.groups, form.outputs, form.inputs)
    assert torch.equal(form.weight(matrix.clone()), weight)
    y = torch.from_numpy(Chain(model).run(FLOAT, {"x": x})["y"])
    rows, wanted = form.rows(torch.from_numpy(x), y)
    got = torch.bmm(rows, matrix.transpose(1, 2))
    if bias is not None:
        got += form.bias(torch.from_numpy(bias))[:, None]
    assert got.shape == wanted.shape and torch.allclose(got, wanted, atol=2e-5, rtol=1e-4)
    assert wanted.numel() == y.numel() and torch.equal(wanted.flatten().sort().values, y.flatten().sort().values)
    positions = form.positions(x.shape, tuple(y.shape))
    if positions > 1 and wanted.shape[1] == positions * x.shape[0]:
        chosen = torch.arange(0, positions, 2)
        some, some_wanted = form.rows(torch.from_numpy(x), y, chosen)
        at = (torch.arange(x.shape[0])[:, None] * positions + chosen).flatten()
        assert torch.equal(some, rows[:, at]) and torch.equal(some_wanted, wanted[:, at])


CONVS = [
    (rank, group, stride, dilation, pads)
    for rank, group, stride, dilation, pads in itertools.product(
        (1, 2, 3), (1, 2, 4), (1, 2, 3), (1, 2), ("none", "same", "odd", "upper", "lower", "valid"))
    if rank == 2 or stride != 3
]


@pytest.mark.parametrize(("rank", "group", "stride", "dilation", "pads"), CONVS)
def test_conv(rank: int, group: int, stride: int, dilation: int, pads: str) -> None:
    kernel = (3, 2, 1)[:rank]
    more: dict[str, object] = {"same": {"pads": [1] * 2 * rank}, "odd": {"pads": [0] * rank + [2] * rank},
                               "upper": {"auto_pad": "SAME_UPPER"}, "lower": {"auto_pad": "SAME_LOWER"},
                               "valid": {"auto_pad": "VALID"}}.get(pads, {})
    if dilation > 1 and pads in ("upper", "lower"):  # ONNX Runtime has no SAME padding with dilation
        more = {"pads": [1] * rank + [0] * rank}
    x = values(2, 4, *(7, 6, 5)[:rank])
    bias = values(8)
    model = layer_of("Conv", values(8, 4 // group, *kernel), x.shape, bias=bias, group=group, strides=[stride] * rank,
                     dilations=[dilation] * rank, **more)
    check(model, x, bias)


@pytest.mark.parametrize(("rank", "group", "stride", "dilation", "pads"), [
    case for case in itertools.product((1, 2, 3), (1, 2, 4), (1, 2, 3), (1, 2), ("none", "pads", "extra", "upper", "lower", "shape"))
    if case[0] == 2 or case[2] != 3])
def test_conv_transpose(rank: int, group: int, stride: int, dilation: int, pads: str) -> None:
    kernel = (3, 2, 3)[:rank]
    more: dict[str, object] = {"pads": {"pads": [1] * rank + [0] * rank}, "upper": {"auto_pad": "SAME_UPPER"},
                               "lower": {"auto_pad": "SAME_LOWER"}}.get(pads, {})
    if pads == "extra" and stride > 1:
        more = {"output_padding": [1] * rank, "pads": [1] * 2 * rank}
    if pads == "shape" and dilation == 1:
        more = {"output_shape": [5 * stride, 4 * stride, 4 * stride][:rank]}
    x = values(2, 4, *(5, 4, 4)[:rank])
    bias = values(3 * group)
    model = layer_of("ConvTranspose", values(4, 3, *kernel), x.shape, bias=bias, group=group, strides=[stride] * rank,
                     dilations=[dilation] * rank, **more)
    check(model, x, bias)


@pytest.mark.parametrize(("trans_a", "trans_b", "alpha", "beta"), list(itertools.product((0, 1), (0, 1), (1.0, 0.5), (1.0, 2.0))))
def test_gemm(trans_a: int, trans_b: int, alpha: float, beta: float) -> None:
    x = values(6, 5) if trans_a else values(5, 6)
    bias = values(3)
    model = layer_of("Gemm", values(3, 6) if trans_b else values(6, 3), x.shape, bias=bias, transA=trans_a, transB=trans_b,
                     alpha=alpha, beta=beta)
    check(model, x, bias * np.float32(beta))


@pytest.mark.parametrize(("weight", "x", "side"), [
    ((6, 3), (5, 6), "right"), ((6, 3), (2, 5, 6), "right"), ((6, 3), (2, 4, 5, 6), "right"), ((2, 6, 3), (2, 5, 6), "right"),
    ((2, 6, 3), (4, 2, 5, 6), "right"), ((2, 6, 3), (4, 1, 5, 6), "right"), ((6,), (5, 6), "right"), ((2, 6, 3), (5, 6), "right"),
    ((3, 6), (6, 5), "left"), ((3, 6), (2, 6, 5), "left"), ((2, 3, 6), (4, 2, 6, 5), "left"), ((2, 3, 6), (6, 5), "left"),
])
def test_matmul(weight: tuple[int, ...], x: tuple[int, ...], side: str) -> None:
    model = layer_of("MatMul", values(*weight), x, ("x", "w") if side == "right" else ("w", "x"))
    check(model, values(*x))


def test_padding_is_left_out() -> None:
    model = layer_of("MatMul", values(6, 3), (2, 5, 6))
    form = MatrixForm.of(model, model.layers[0])
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]).bool()
    x, y = torch.from_numpy(values(2, 5, 6)), torch.from_numpy(values(2, 5, 3))
    rows, wanted = form.rows(x, y, real=real)
    assert torch.equal(rows[0], x[real]) and torch.equal(wanted[0], y[real])
    thinned, _ = form.rows(x, y, torch.arange(3), real)
    assert 0 < thinned.shape[1] <= 7


def test_other_layers_are_refused() -> None:
    node = helper.make_node("Gather", ["table", "i"], ["y"], name="embedding")
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [2, 3])],
                              [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3, 4])],
                              [onnx.numpy_helper.from_array(values(9, 4), "table")])
    model = from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "embedding")
    with pytest.raises(BadInput, match="embedding is a Gather"):
        MatrixForm.of(model, model.layers[0])
