"""Patterns, fused and written out in the ways that exporters write them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engine.graph import Model, load_model
from engine.graph.patterns import Pattern, find_patterns
from tests.engine.targets.graphs import build, ints

X = {"x": (2, 6, 8)}
HALF, ONE, ROOT2 = {"half": 0.5}, {"one": 1.0}, {"root": math.sqrt(2)}
SAMPLES = Path(__file__).parents[3] / "sample_models"


def kinds(model: Model) -> list[str]:
    return [p.kind for p in find_patterns(model.graph)]


def only(model: Model) -> Pattern:
    found = find_patterns(model.graph)
    assert len(found) == 1, found
    return found[0]


CENTRE = ["mean = ReduceMean(x, ax) -> u", "sub = Sub(x, u) -> d"]
SPREAD = ["pow = Pow(d, two) -> e", "var = ReduceMean(e, ax) -> f", "eps = Add(f, tiny) -> g", "sqrt = Sqrt(g) -> h"]
SQUARED = ["pow = Mul(d, d) -> e", *SPREAD[1:]]
CONSTANTS = {"ax": ints(-1), "two": 2.0, "tiny": 1e-5}
SCALED = ["mul = Mul(n, s) -> o", "add = Add(o, b) -> y"]


@pytest.mark.parametrize("spread", [SPREAD, SQUARED])
@pytest.mark.parametrize("last", [["div = Div(d, h) -> n"], ["rec = Reciprocal(h) -> r", "div = Mul(d, r) -> n"]])
def test_layer_norm_written_out(spread: list[str], last: list[str]) -> None:
    model = build([*CENTRE, *spread, *last, *SCALED], X, ["y"], {**CONSTANTS, "s": (8,), "b": (8,)})
    found = only(model)
    assert (found.kind, found.inputs, found.output, found.weight, found.bias) == ("LayerNorm", ("x",), "y", "s", "b")
    assert found.nodes == ("mean", "sub", *(n.split(" ")[0] for n in spread), *(n.split(" ")[0] for n in last), "mul", "add")


def test_layer_norm_without_scale_or_fused() -> None:
    bare = only(build([*CENTRE, *SPREAD, "div = Div(d, h) -> y"], X, ["y"], CONSTANTS))
    assert bare.kind == "LayerNorm" and bare.weight is None
    fused = only(build(["n = LayerNormalization(x, s, b) -> y"], X, ["y"], {"s": (8,), "b": (8,)}))
    assert (fused.kind, fused.weight, fused.bias, fused.nodes) == ("LayerNorm", "s", "b", ("n",))


def test_an_inner_tensor_that_is_read_outside_breaks_a_pattern() -> None:
    model = build([*CENTRE, *SPREAD, "div = Div(d, h) -> n", "more = Add(n, d) -> y"], X, ["y"], CONSTANTS)
    assert "LayerNorm" not in kinds(model)


@pytest.mark.parametrize(
    "last",
    [["n = Div(x, h) -> o"], ["r = Reciprocal(h) -> i", "n = Mul(x, i) -> o"], ["r = Div(one, h) -> i", "n = Mul(i, x) -> o"]],
)
def test_rms_norm_written_out(last: list[str]) -> None:
    lines = ["pow = Pow(x, two) -> e", "var = ReduceMean(e, ax) -> f", "eps = Add(f, tiny) -> g", "sqrt = Sqrt(g) -> h"]
    found = only(build([*lines, *last, "m = Mul(o, s) -> y"], X, ["y"], {**CONSTANTS, **ONE, "s": (8,)}))
    assert (found.kind, found.inputs, found.weight) == ("RMSNorm", ("x",), "s")


ERF = ["d = Div(x, root) -> a", "e = Erf(a) -> b", "p = Add(b, one) -> c"]
TANH = [
    "k = Pow(x, three) -> a",
    "l = Mul(a, small) -> b",
    "i = Add(x, b) -> c0",
    "j = Mul(c0, scale) -> d",
    "t = Tanh(d) -> e",
    "p = Add(e, one) -> c",
]
TANH_CONSTANTS = {"three": 3.0, "small": 0.044715, "scale": math.sqrt(2 / math.pi)}


@pytest.mark.parametrize("gate", [ERF, TANH])
@pytest.mark.parametrize(
    "last",
    [
        ["m = Mul(x, c) -> f", "n = Mul(f, half) -> y"],
        ["m = Mul(x, half) -> f", "n = Mul(f, c) -> y"],
        ["m = Mul(half, c) -> f", "n = Mul(x, f) -> y"],
    ],
)
def test_gelu_written_out(gate: list[str], last: list[str]) -> None:
    found = only(build([*gate, *last], X, ["y"], {**HALF, **ONE, **ROOT2, **TANH_CONSTANTS}))
    assert (found.kind, found.inputs, found.output, len(found.nodes)) == ("Gelu", ("x",), "y", len(gate) + 2)


def test_gelu_with_other_numbers_is_none() -> None:
    model = build([*ERF, "m = Mul(x, c) -> f", "n = Mul(f, half) -> y"], X, ["y"], {"half": 0.7, **ONE, **ROOT2})
    assert kinds(model) == []


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["s = Sigmoid(x) -> a", "m = Mul(x, a) -> y"], "SiLU"),
        (["h = HardSigmoid(x) -> a", "m = Mul(a, x) -> y"], "HardSwish"),
        (["p = Add(x, three) -> a", "c = Clip(a, zero, six) -> b", "d = Div(b, six) -> e", "m = Mul(x, e) -> y"], "HardSwish"),
        (["p = Add(three, x) -> a", "c = Clip(a, zero, six) -> b", "m = Mul(x, b) -> e", "d = Div(e, six) -> y"], "HardSwish"),
        (["h = HardSwish(x) -> y"], "HardSwish"),
        (["g = Gelu(x) -> y"], "Gelu"),
        (["r = ReduceL2(x, ax) -> a", "c = Clip(a, tiny) -> b", "e = Expand(b, n) -> f", "d = Div(x, f) -> y"], "L2Norm"),
        (["r = ReduceL2(x, ax) -> a", "d = Div(x, a) -> y"], "L2Norm"),
        (["l = LpNormalization(x) -> y"], "L2Norm"),
    ],
)
def test_other_formulas(lines: list[str], kind: str) -> None:
    constants = {"three": 3.0, "zero": 0.0, "six": 6.0, "ax": ints(-1), "tiny": 1e-12, "n": ints(2, 6, 8)}
    found = only(build(lines, X, ["y"], constants))
    assert (found.kind, found.inputs, found.output) == (kind, ("x",), "y")


def test_matmul_with_a_bias() -> None:
    found = only(build(["m = MatMul(x, w) -> a", "s = Add(a, b) -> y"], X, ["y"], {"w": (8, 4), "b": (4,)}))
    assert (found.kind, found.inputs, found.weight, found.bias) == ("MatMulAdd", ("x",), "w", "b")


def test_a_sum_that_is_no_bias() -> None:
    constants = {"w": (8, 8), "b": (6, 8)}
    assert kinds(build(["m = MatMul(x, w) -> a", "s = Add(a, b) -> y"], X, ["y"], constants)) == []
    assert "MatMulAdd" not in kinds(build(["m = MatMul(x, w) -> a", "s = Add(a, x) -> y"], X, ["y"], constants))


def test_masked_softmax_by_an_integer_mask() -> None:
    model = build(
        ["c = Cast(m) -> f", "i = Sub(one, f) -> g", "l = Mul(g, low) -> h", "a = Add(x, h) -> s", "z = Softmax(s) -> y"],
        {**X, "m": (2, 1, 8)},
        ["y"],
        {**ONE, "low": -1e4},
        {"m": "int64"},
        {"c": {"to": 1}},
    )
    found = only(model)
    assert (found.kind, found.nodes, found.inputs, found.mask) == ("MaskedSoftmax", ("a", "z"), ("x",), "h")


def test_a_bias_before_a_softmax_is_no_mask() -> None:
    model = build(["m = MatMul(x, w) -> a", "s = Add(a, b) -> c", "z = Softmax(c) -> y"], X, ["y"], {"w": (8, 4), "b": (4,)})
    assert kinds(model) == ["MatMulAdd"]


def test_a_position_table_looked_up_by_integers_is_no_mask() -> None:
    model = build(
        ["g = Gather(t, i) -> p", "a = Add(x, p) -> s", "z = Softmax(s) -> y"],
        {**X, "i": (6,)},
        ["y"],
        {"t": (32, 8)},
        {"i": "int64"},
    )
    assert kinds(model) == []


def test_convolutions_and_shortcuts_are_described() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "n = BatchNormalization(a, s, b, m, v) -> h", "r = Relu(h) -> k", "d = Add(x, k) -> y"],
        {"x": (1, 4, 8, 8)},
        ["y"],
        {"w": (4, 4, 1, 1), "s": (4,), "b": (4,), "m": (4,), "v": np.ones(4, np.float32)},
    )
    first, second = find_patterns(model.graph)
    assert (first.kind, first.nodes, first.output) == ("ConvBnAct", ("c", "n", "r"), "k")
    assert (second.kind, second.inputs) == ("Residual", ("x", "k"))


@pytest.mark.skipif(not (SAMPLES / "fashion_vit" / "model.onnx").is_file(), reason="the sample has not been made")
def test_the_vision_transformer() -> None:
    model = load_model(SAMPLES / "fashion_vit" / "model.onnx")
    found = kinds(model)
    blocks = len({layer.module.split(".")[1] for layer in model.layers if layer.module.startswith("blocks.")})
    assert blocks >= 2
    assert (found.count("LayerNorm"), found.count("MatMulAdd"), found.count("Residual")) == (2 * blocks + 1, 6 * blocks, 2 * blocks)
    assert found.count("Gelu") >= blocks
