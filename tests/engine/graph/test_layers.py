"""Layers and what they cost, by hand."""

from __future__ import annotations

import numpy as np
from onnx import helper

from engine.graph import from_proto
from tests.graphs import conv_net, model, weights


def test_conv_net_by_hand() -> None:
    found = from_proto(conv_net(blocks=2), "net").layers
    assert [x.name for x in found] == ["conv0", "conv1", "classifier"]
    first, second, last = found
    assert (first.params, first.macs) == (8 * 3 * 9, 12 * 12 * 8 * 3 * 9)
    assert (second.kind, second.channel_axis, second.input_axis) == ("conv", 0, 1)
    assert (last.macs, last.channel_axis, last.input_axis) == (80, 0, 1)
    assert last.reads == ("flat",)


def test_axes_belong_to_op_input_and_attributes() -> None:
    net = model(
        [
            helper.make_node("MatMul", ["x", "a"], ["p"], name="right"),
            helper.make_node("MatMul", ["b", "p"], ["q"], name="left"),
            helper.make_node("Gemm", ["q", "c"], ["y"], name="plain"),
        ],
        {"x": [4, 4]},
        {"y": [4, 5]},
        {"a": weights(4, 4), "b": weights(4, 4, seed=1), "c": weights(4, 5, seed=2)},
    )
    axes = {x.name: (x.channel_axis, x.input_axis) for x in net.layers}
    assert axes == {"right": (1, 0), "left": (0, 1), "plain": (1, 0)}


def test_depthwise_pointwise_transposed_and_embedding() -> None:
    net = model(
        [
            helper.make_node("Conv", ["x", "d"], ["p"], name="dw", group=4),
            helper.make_node("Conv", ["p", "w"], ["q"], name="pw"),
            helper.make_node("ConvTranspose", ["q", "t"], ["y"], name="up", strides=[2, 2]),
        ],
        {"x": [1, 4, 5, 5]},
        {"y": [1, 3, 4, 4]},
        {"d": weights(4, 1, 4, 4), "w": weights(6, 4, 1, 1), "t": weights(6, 3, 2, 2)},
    )
    kinds = {x.name: (x.kind, x.macs) for x in net.layers}
    assert kinds == {"dw": ("depthwise", 4 * 4 * 16), "pw": ("pointwise", 4 * 6 * 4), "up": ("conv_transpose", 6 * 4 * 3 * 4)}


def test_a_transpose_between_weight_and_layer_is_folded() -> None:
    w = weights(5, 4)
    net = model(
        [helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]), helper.make_node("MatMul", ["x", "wt"], ["y"], name="fc")],
        {"x": ["n", 4]},
        {"y": ["n", 5]},
        {"w": w},
    )
    layer = net.layer("fc")
    assert layer.weight_shape == (4, 5)
    assert np.array_equal(net.constant(layer.weight), w.T)


def test_two_layers_may_share_a_weight_and_unnamed_nodes_get_names() -> None:
    net = model(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])],
        {"x": ["n", 4]},
        {"y": ["n", 4]},
        {"w": weights(4, 4)},
    )
    assert [x.name for x in net.layers] == ["MatMul_0", "MatMul_1"]
    assert net.layers[0].weight == net.layers[1].weight
