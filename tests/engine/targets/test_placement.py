"""Where quantizers go: each rule on a graph that shows it, with the expectation stated by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import BadInput
from engine.quant.granularity import PerChannel, PerTensor
from engine.targets import Placement, load_target, place
from tests.engine.targets.graphs import build, chain, ints

IMAGE = {"x": (1, 4, 8, 8)}
SQUARE = (4, 4, 1, 1)


def on(model, target: str = "htp_v73") -> Placement:
    return place(model, load_target(target))


def quantized(placement: Placement) -> set[str]:
    return {name for name, slot in placement.slots.items() if slot.quantized}


def test_every_float_tensor_has_a_slot_and_a_reason() -> None:
    placement = on(chain())
    assert list(placement.slots) == ["x", "t0", "t1", "t2"]
    assert quantized(placement) == {"x", "t0", "t1", "t2"}
    assert placement.slots["x"].kind == "input" and placement.slots["t2"].kind == "output"
    assert placement.explain("t0") == "t0: has a quantizer: output of Conv c0."


def test_only_the_last_output_of_a_supergroup_is_quantized() -> None:
    model = build(["c = Conv(x, w) -> a", "r = Relu(a) -> y"], IMAGE, ["y"], {"w": SQUARE})
    placement = on(model)
    assert quantized(placement) == {"x", "y"}
    assert placement.slots["a"].reason == (
        "output of Conv c, fused with Relu r: only the last output of the supergroup is quantized"
    )
    assert placement.units == {"c": "r", "r": "r"}


def test_a_second_reader_breaks_a_supergroup() -> None:
    model = build(["c = Conv(x, w) -> a", "r = Relu(a) -> b", "s = Add(a, b) -> y"], IMAGE, ["y"], {"w": SQUARE})
    assert quantized(on(model)) == {"x", "a", "b", "y"}


def test_an_inner_tensor_that_is_a_model_output_breaks_a_supergroup() -> None:
    model = build(["c = Conv(x, w) -> a", "r = Relu(a) -> y"], IMAGE, ["a", "y"], {"w": SQUARE})
    assert quantized(on(model)) == {"x", "a", "y"}


def test_conv_bn_act_is_one_supergroup_but_bn_and_clip_are_not_one_on_htp() -> None:
    bn = {"s": (4,), "b": (4,), "m": (4,), "v": np.ones(4, np.float32)}
    lines = ["c = Conv(x, w) -> a", "n = BatchNormalization(a, s, b, m, v) -> h"]
    relu = build([*lines, "r = Relu(h) -> y"], IMAGE, ["y"], {"w": SQUARE, **bn})
    assert quantized(on(relu)) == {"x", "y"}
    clip = build([*lines, "r = Clip(h, lo, hi) -> y"], IMAGE, ["y"], {"w": SQUARE, **bn, "lo": 0.0, "hi": 6.0})
    assert quantized(on(clip)) == {"x", "a", "h", "y"}
    assert quantized(on(clip, "generic")) == {"x", "y"}


def test_a_depthwise_conv_keeps_its_own_quantizer_where_the_target_says_so() -> None:
    model = build(
        ["d = Conv(x, w) -> a", "r = Clip(a, lo, hi) -> y"],
        IMAGE,
        ["y"],
        {"w": (4, 1, 3, 3), "lo": 0.0, "hi": 6.0},
        attributes={"d": {"group": 4}},
    )
    assert quantized(on(model)) == {"x", "a", "y"}
    assert "a depthwise Conv keeps its own quantizer before the Clip" in on(model).explain("a")
    assert quantized(on(model, "onnxruntime")) == {"x", "y"}


def test_a_conv3d_keeps_its_own_quantizer_too() -> None:
    model = build(["c = Conv(x, w) -> a", "r = Relu(a) -> y"], {"x": (1, 4, 4, 4, 4)}, ["y"], {"w": (4, 4, 1, 1, 1)})
    assert "a" in quantized(on(model)) and "a" not in quantized(on(model, "generic"))


def test_a_relu_after_an_unfused_producer_has_its_own_quantizer() -> None:
    model = build(["g = GlobalAveragePool(x) -> a", "r = Relu(a) -> y"], IMAGE, ["y"])
    assert quantized(on(model)) == {"x", "a", "y"}


def test_moved_values_carry_their_encoding() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "p = MaxPool(a) -> b", "f = Flatten(b) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE},
        attributes={"p": {"kernel_shape": [2, 2]}},
    )
    placement = on(model)
    assert quantized(placement) == {"x", "a"}
    assert placement.slots["b"].carries == "a" and placement.slots["y"].carries == "b"
    assert placement.root("y") == "a"
    assert {"a", "b", "y"} in placement.groups


def test_padding_with_another_number_than_zero_is_no_move() -> None:
    lines = ["p = Pad(x, n, v) -> a", "c = Conv(a, w) -> y"]
    pads = ints(0, 0, 1, 1, 0, 0, 1, 1)
    zero = build(lines, IMAGE, ["y"], {"w": SQUARE, "n": pads, "v": 0.0})
    one = build(lines, IMAGE, ["y"], {"w": SQUARE, "n": pads, "v": 1.0})
    assert on(zero).slots["a"].carries == "x" and on(one).slots["a"].quantized


def test_concat_ties_its_inputs_and_output() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "d = Conv(x, u) -> b", "k = Concat(a, b) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE, "u": SQUARE},
        attributes={"k": {"axis": 1}},
    )
    placement = on(model)
    assert {placement.slots[n].tied for n in "aby"} == {"Concat k"}
    assert placement.slots["x"].tied is None
    assert {"a", "b", "y"} in placement.groups


def test_a_scaled_tensor_that_is_tied_has_its_own_quantizer() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "m = Mul(a, s) -> b", "k = Concat(a, b) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE, "s": 0.5},
        attributes={"k": {"axis": 1}},
    )
    slot = on(model).slots["b"]
    assert slot.quantized and slot.scaled is None and slot.tied == "Concat k"


def test_average_pool_takes_the_grid_of_its_input_where_the_target_says_so() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "p = AveragePool(a) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE},
        attributes={"p": {"kernel_shape": [2, 2]}},
    )
    assert on(model).slots["y"].tied == on(model).slots["a"].tied == "AveragePool p"
    assert on(model, "generic").slots["y"].tied is None and on(model, "generic").slots["y"].quantized


@pytest.mark.parametrize("op", ["Softmax", "Sigmoid"])
def test_softmax_and_sigmoid_have_a_fixed_range(op: str) -> None:
    model = build(["c = Conv(x, w) -> a", f"s = {op}(a) -> y"], IMAGE, ["y"], {"w": SQUARE})
    assert on(model).slots["y"].fixed_range == (0.0, 1.0)
    assert "its range is fixed to [0, 1]" in on(model).explain("y")


@pytest.mark.parametrize(("op", "number", "factor"), [("Mul", 0.5, 0.5), ("Div", 8.0, 0.125)])
def test_a_positive_constant_factor_scales_the_encoding(op: str, number: float, factor: float) -> None:
    model = build(["c = Conv(x, w) -> a", f"m = {op}(a, k) -> y"], IMAGE, ["y"], {"w": SQUARE, "k": number})
    slot = on(model).slots["y"]
    assert not slot.quantized and slot.scaled == ("a", factor)
    assert on(model, "onnxruntime").slots["y"].quantized


def test_a_negative_factor_is_an_op_like_any_other() -> None:
    model = build(["c = Conv(x, w) -> a", "m = Mul(a, k) -> y"], IMAGE, ["y"], {"w": SQUARE, "k": -1.0})
    placement = on(model)
    assert placement.slots["y"].quantized
    assert not placement.slots["k"].quantized and "single value" in placement.slots["k"].reason


def test_constant_operands_have_quantizers_like_activations() -> None:
    model = build(["c = Conv(x, w) -> a", "s = Add(a, k) -> y"], IMAGE, ["y"], {"w": SQUARE, "k": (1, 4, 8, 8)})
    slot = on(model).slots["k"]
    assert slot.quantized and slot.kind == "constant"


def test_biases_integers_and_shapes_have_no_slot_but_words() -> None:
    model = build(
        ["c = Conv(x, w, b) -> a", "g = Gather(a, i) -> y"],
        {**IMAGE, "i": (2,)},
        ["y"],
        {"w": SQUARE, "b": (4,)},
        {"i": "int64"},
        {"g": {"axis": 1}},
    )
    placement = on(model)
    assert "b" not in placement.slots and "bias" in placement.explain("b")
    assert "i" not in placement.slots and "never quantized" in placement.explain("i")
    assert placement.slots["y"].carries == "a"
    with pytest.raises(BadInput, match="no tensor 'yy'"):
        placement.explain("yy")


def test_a_residual_add_has_an_encoding_for_each_input() -> None:
    model = build(["c = Conv(x, w) -> a", "d = Conv(a, u) -> b", "s = Add(a, b) -> y"], IMAGE, ["y"], {"w": SQUARE, "u": SQUARE})
    placement = on(model)
    assert quantized(placement) == {"x", "a", "b", "y"} and all(s.tied is None for s in placement.slots.values())


# Transformers


def attention(
    mask: list[str], scores: str = "m", inputs: dict | None = None, types: dict | None = None, more: dict | None = None
):
    """q·k, `mask` lines that make `m` from `s`, softmax, ·v."""
    return build(
        ["qk = MatMul(q, k) -> s", *mask, f"soft = Softmax({scores}) -> p", "pv = MatMul(p, v) -> y"],
        {"q": (1, 2, 6, 8), "k": (1, 2, 8, 6), "v": (1, 2, 6, 8), **(inputs or {})},
        ["y"],
        more,
        types,
    )


def test_no_quantizer_between_an_added_mask_and_the_softmax() -> None:
    lines = [
        "cast = Cast(mask) -> f",
        "inv = Sub(one, f) -> g",
        "far = Mul(g, low) -> h",
        "div = Div(s, eight) -> d",
        "add = Add(d, h) -> m",
    ]
    model = build(
        ["qk = MatMul(q, k) -> s", *lines, "soft = Softmax(m) -> p", "pv = MatMul(p, v) -> y"],
        {"q": (1, 2, 6, 8), "k": (1, 2, 8, 6), "v": (1, 2, 6, 8), "mask": (1, 1, 1, 6)},
        ["y"],
        {"one": 1.0, "low": -3.4e38, "eight": 2.8},
        {"mask": "int64"},
        {"cast": {"to": 1}},
    )
    placement = on(model)
    assert quantized(placement) == {"q", "k", "v", "s", "p", "y"}
    assert placement.slots["d"].scaled is not None
    assert placement.slots["p"].fixed_range == (0.0, 1.0)
    assert "mask" in placement.slots["h"].reason and "mask" in placement.slots["f"].reason
    assert "masked softmax" in placement.slots["m"].reason


def test_a_where_mask_sets_no_range() -> None:
    model = attention(
        ["w = Where(mask, s, low) -> m"], inputs={"mask": (1, 1, 6, 6)}, types={"mask": "bool"}, more={"low": -3.4e38}
    )
    assert quantized(on(model)) == {"q", "k", "v", "s", "p", "y"}


def test_a_chosen_additive_mask_sets_no_range() -> None:
    lines = ["w = Where(mask, zero, low) -> f", "add = Add(s, f) -> m"]
    model = attention(lines, inputs={"mask": (1, 1, 6, 6)}, types={"mask": "bool"}, more={"low": -3.4e38, "zero": 0.0})
    assert quantized(on(model)) == {"q", "k", "v", "s", "p", "y"}


def test_a_float_input_called_mask_is_one_and_a_constant_triangle_too() -> None:
    by_name = attention(["add = Add(s, attn_mask) -> m"], inputs={"attn_mask": (1, 1, 6, 6)})
    assert quantized(on(by_name)) == {"q", "k", "v", "s", "p", "y"}
    triangle = np.triu(np.full((1, 1, 6, 6), -np.inf, np.float32), 1)
    causal = attention(["add = Add(s, tri) -> m"], more={"tri": triangle})
    assert quantized(on(causal)) == {"q", "k", "v", "s", "p", "y"}


def test_masks_in_a_row_with_a_lower_bound_and_a_reshape_between() -> None:
    lines = [
        "a1 = Add(s, tri) -> s1",
        "a2 = Add(attn_mask, s1) -> s2",
        "low = Max(s2, lowest) -> s3",
        "r = Reshape(s3, n) -> m",
    ]
    triangle = np.triu(np.full((1, 1, 6, 6), -1e9, np.float32), 1)
    more = {"tri": triangle, "lowest": -3.4e38, "n": ints(1, 2, 6, 6)}
    model = attention(lines, inputs={"attn_mask": (1, 1, 6, 6)}, more=more)
    placement = on(model)
    assert quantized(placement) == {"q", "k", "v", "s", "p", "y"}
    assert placement.units["qk"] == "qk" and placement.units["a1"] == "soft"


def test_the_mask_of_a_fused_attention_sets_no_range() -> None:
    shape = (1, 2, 6, 8)
    model = build(
        ["att = Attention(q, k, v, bias) -> y"], {"q": shape, "k": shape, "v": shape, "bias": (6, 6)}, ["y"], opset=23
    )
    assert quantized(on(model)) == {"q", "k", "v", "y"}


def test_a_learned_position_bias_is_no_mask() -> None:
    model = attention(["add = Add(s, bias) -> m"], more={"bias": (1, 2, 6, 6)})
    assert {"bias", "m"} <= quantized(on(model))


def test_dynamic_matmul_gives_its_second_operand_the_symmetry_of_weights() -> None:
    model = attention([], scores="s")
    placement = on(model)
    assert placement.slots["k"].symmetric is True and placement.slots["v"].symmetric is True
    assert placement.slots["q"].symmetric is None and placement.slots["p"].symmetric is None
    assert on(model, "generic").slots["k"].symmetric is None


NORM = [
    "mean = ReduceMean(x, axes) -> u",
    "sub = Sub(x, u) -> d",
    "pow = Pow(d, two) -> e",
    "var = ReduceMean(e, axes) -> f",
    "eps = Add(f, tiny) -> g",
    "sqrt = Sqrt(g) -> h",
    "div = Div(d, h) -> n",
]
NORM_WEIGHTS = {"axes": ints(-1), "two": 2.0, "tiny": 1e-5}


def test_a_decomposed_layer_norm_is_placed_as_the_fused_one() -> None:
    fused = build(["ln = LayerNormalization(x, s, b) -> y"], {"x": (2, 6, 8)}, ["y"], {"s": (8,), "b": (8,)})
    written = build(
        [*NORM, "mul = Mul(n, s) -> o", "add = Add(o, b) -> y"], {"x": (2, 6, 8)}, ["y"], {**NORM_WEIGHTS, "s": (8,), "b": (8,)}
    )
    for model in (fused, written):
        placement = on(model)
        assert quantized(placement) == {"x", "y"}
        slot = placement.weights["s"]
        assert slot.kind == "norm" and slot.min_bits == 8 and slot.symmetry == "asymmetric" and slot.granularity == PerTensor()
        assert "b" not in placement.weights
    assert "inside a layer normalization, which runs as one op" in on(written).explain("d")


def test_matmul_and_its_bias_are_one_op() -> None:
    model = build(["m = MatMul(x, w) -> a", "s = Add(b, a) -> y"], {"x": (2, 6, 8)}, ["y"], {"w": (8, 8), "b": (8,)})
    placement = on(model)
    assert quantized(placement) == {"x", "y"} and "b" not in placement.slots
    assert placement.weights["w"].granularity == PerChannel(1)


def test_an_embedding_has_a_quantizer_beside_its_tables() -> None:
    model = build(
        ["e = Gather(t, i) -> a", "n = LayerNormalization(a, s) -> y"],
        {"i": (1, 6)},
        ["y"],
        {"t": (10, 8), "s": (8,)},
        {"i": "int64"},
    )
    placement = on(model)
    assert quantized(placement) == {"a", "y"}
    assert placement.weights["t"].kind == "embedding" and placement.weights["t"].granularity == PerTensor()
    assert "embedding e" in placement.explain("a")


def test_recurrent_sequences_are_quantized_and_states_are_not() -> None:
    model = build(
        ["l = LSTM(x, w, r, b, , h0, c0) -> seq, hn, cn", "q = Squeeze(seq, ax) -> s", "g = MatMul(s, u) -> y"],
        {"x": (5, 1, 4), "h0": (1, 1, 3), "c0": (1, 1, 3)},
        ["y", "hn", "cn"],
        {"w": (1, 12, 4), "r": (1, 12, 3), "b": (1, 24), "u": (3, 2), "ax": ints(1)},
        attributes={"l": {"hidden_size": 3}},
    )
    placement = on(model)
    assert quantized(placement) == {"x", "seq", "y"}
    assert {placement.slots[n].reason for n in ("h0", "c0", "hn", "cn")} == {"a state of a recurrent layer, which stays float"}
    assert {"w", "r"} in placement.groups and placement.weights["w"].kind == "recurrent"
    assert placement.weights["r"].granularity == PerTensor()


def test_a_last_hidden_state_that_a_layer_reads_is_quantized() -> None:
    model = build(
        ["l = LSTM(x, w, r) -> , hn, ", "q = Squeeze(hn, ax) -> s", "g = Gemm(s, u) -> y"],
        {"x": (5, 1, 4)},
        ["y"],
        {"w": (1, 12, 4), "r": (1, 12, 3), "u": (3, 2), "ax": ints(0)},
        attributes={"l": {"hidden_size": 3}},
    )
    assert quantized(on(model)) == {"x", "hn", "y"}


def test_integer_data_made_float_is_data_unless_it_is_a_mask() -> None:
    model = build(
        ["c = Cast(image) -> f", "v = Conv(f, w) -> y"],
        {"image": (1, 4, 8, 8)},
        ["y"],
        {"w": SQUARE},
        {"image": "int64"},
        {"c": {"to": 1}},
    )
    assert "f" in quantized(on(model))
    pool = build(
        ["c = Cast(token_mask) -> f", "m = Mul(x, f) -> y"],
        {"x": (1, 6, 4), "token_mask": (1, 6, 1)},
        ["y"],
        None,
        {"token_mask": "int64"},
        {"c": {"to": 1}},
    )
    assert quantized(on(pool)) == {"x", "y"}


# Weights


def test_a_weight_that_two_layers_share_has_one_slot() -> None:
    model = build(["a = Conv(x, w) -> h", "b = Conv(h, w) -> y"], IMAGE, ["y"], {"w": SQUARE})
    slot = on(model).weights["w"]
    assert slot.layers == ("a", "b") and slot.granularity == PerChannel(0)


def test_readers_that_disagree_on_the_axis_make_a_shared_weight_per_tensor() -> None:
    model = build(
        ["a = Gemm(x, w) -> h", "b = Gemm(h, w) -> y"], {"x": (2, 8)}, ["y"], {"w": (8, 8)}, attributes={"b": {"transB": 1}}
    )
    slot = on(model).weights["w"]
    assert slot.channel_axis is None and slot.granularity == PerTensor()
    assert "disagree on the channel axis" in on(model).explain("w")


def test_the_channel_axis_belongs_to_the_op() -> None:
    model = build(["a = ConvTranspose(x, w) -> h", "p = PRelu(h, s) -> y"], IMAGE, ["y"], {"w": (4, 6, 2, 2), "s": (6, 1, 1)})
    placement = on(model)
    assert placement.weights["w"].granularity == PerChannel(1)
    assert placement.weights["s"].kind == "prelu" and placement.weights["s"].granularity == PerChannel(0)


def test_a_grouped_conv_transpose_is_per_tensor() -> None:
    model = build(["a = ConvTranspose(x, w) -> y"], IMAGE, ["y"], {"w": (4, 3, 2, 2)}, attributes={"a": {"group": 2}})
    assert on(model).weights["w"].granularity == PerTensor()
