"""Cuts: every node once, in order, and what a segment reads is there when it runs."""

from __future__ import annotations

import pytest
from onnx import helper

from engine.graph import Model, from_proto
from engine.graph.cuts import Segment, cut
from tests.graphs import conv_net, model, weights


def layer_weights(net: Model) -> frozenset[str]:
    return frozenset(w for layer in net.layers for w in layer.weights)


def check(net: Model, segments: tuple[Segment, ...]) -> None:
    assert [n for s in segments[1:] for n in s.nodes] == [n.name for n in net.graph if n.name not in segments[0].nodes]
    known = {i.name for i in net.inputs}
    for segment in segments:
        assert set(segment.reads) <= known, segment
        known |= set(segment.produces)
    assert {o.name for o in net.outputs} <= known


@pytest.mark.parametrize("min_nodes", [1, 2, 3, 8, 100])
def test_conv_net(min_nodes: int) -> None:
    net = from_proto(conv_net(), "net")
    segments = cut(net.graph, layer_weights(net), min_nodes)
    check(net, segments)
    assert all(len(s.nodes) >= min(min_nodes, 25) for s in segments[1:])
    if 1 < min_nodes < 8:
        assert len(segments) > 3
        assert all(len(s.live) == 1 for s in segments[1:-1])


def test_masks_and_shapes_are_on_the_side() -> None:
    net = model(
        [
            helper.make_node("Sub", ["one", "mask"], ["inverse"], name="sub"),
            helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"),
            helper.make_node("Add", ["h", "inverse"], ["y"], name="add"),
        ],
        {"x": ["n", 4], "mask": ["n", 4]},
        {"y": ["n", 4]},
        {"w": weights(4, 4), "one": weights(1)},
    )
    segments = cut(net.graph, layer_weights(net))
    assert segments[0].nodes == ("sub",)
    check(net, segments)


def test_a_net_without_single_cuts_is_cut_through_several_live_tensors() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["t0"], name="fc")]
    nodes += [helper.make_node("Tanh", [f"t{i}"], [f"t{i + 1}"], name=f"tanh{i}") for i in range(30)]
    last = "t30"
    for i in range(30):  # every tensor is read again at the end, as in a dense net
        nodes.append(helper.make_node("Add", [last, f"t{i}"], [f"s{i}"], name=f"sum{i}"))
        last = f"s{i}"
    net = model(nodes, {"x": ["n", 4]}, {last: ["n", 4]}, {"w": weights(4, 4)})
    segments = cut(net.graph, layer_weights(net), min_nodes=4, max_nodes=16)
    check(net, segments)
    assert len(segments) > 3
    assert max(len(s.live) for s in segments) > 1
