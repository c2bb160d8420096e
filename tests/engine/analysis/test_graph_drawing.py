"""The drawing of a network: what is a node, what is an edge, what is left out."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from engine.analysis.graph_drawing import drawing
from engine.graph import Model, from_proto
from engine.recipe import Recipe
from engine.session import Session
from tests.graphs import conv_net, proto, weights


def test_every_layer_is_a_node_and_edges_join_what_the_graph_joins(sample_model: Model) -> None:
    found = drawing(sample_model)
    assert [n["layer"] for n in found["nodes"] if n["kind"] == "layer"] == list(range(len(sample_model.layers)))
    assert [n["name"] for n in found["nodes"] if n["kind"] == "layer"] == [layer.name for layer in sample_model.layers]
    members = [name for n in found["nodes"] for name in n["members"]]
    moved = [name for e in found["edges"] for name in e["via"]]
    assert len(members) == len(set(members))
    assert not set(members) & set(moved)
    assert set(members + moved) <= set(sample_model.nodes)
    for edge in found["edges"]:
        assert edge["tensor"] in found["nodes"][edge["from"]]["tensors"]
        assert edge["from"] < edge["to"], "nodes are in graph order"
    assert {e["to"] for e in found["edges"]} >= {i for i, n in enumerate(found["nodes"]) if n["kind"] != "input"}


def test_what_follows_a_layer_alone_is_part_of_it_and_shapes_are_not_drawn(mobilenet: object) -> None:
    found = drawing(from_proto(conv_net(3), "test"))
    parts = {n["name"]: n["parts"] for n in found["nodes"]}
    assert parts["conv1"] == ["Conv", "BatchNormalization", "Relu"]
    assert "flat" not in parts
    (classifier,) = [e for e in found["edges"] if found["nodes"][e["to"]]["name"] == "classifier"]
    assert classifier["via"] == ["flat"]
    assert classifier["read"] == "flat" and classifier["tensor"] == "pool"


def test_only_what_computes_shapes_is_left_out() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"], name="shape"), helper.make_node("Reshape", ["h", "s"], ["r"], name="back"),
             helper.make_node("Add", ["r", "x"], ["y"], name="sum")]
    nodes.insert(1, helper.make_node("Conv", ["x", "w"], ["h"], name="conv", pads=[1, 1, 1, 1]))
    found = drawing(from_proto(proto(nodes, {"x": [1, 4, 8, 8]}, {"y": [1, 4, 8, 8]}, {"w": weights(4, 4, 3, 3)}), "test"))
    assert [n["name"] for n in found["nodes"]] == ["x", "conv", "sum", "y"]
    assert [(e["from"], e["to"]) for e in found["edges"]] == [(0, 1), (1, 2), (0, 2), (2, 3)]


def test_a_huge_graph_says_so_instead() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["t0"], name="conv")]
    nodes += [helper.make_node("Sin", [f"t{i}"], [f"t{i + 1}"], name=f"n{i}") for i in range(3100)]
    made = helper.make_model(helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("t3100", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")]), opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    found = drawing(from_proto(made, "huge"))
    assert found["nodes"] == [] and "3,000" in found["note"]


def test_the_session_draws_the_same_each_time_and_lists_changes_of_type(sample_model: Model) -> None:
    session = Session(sample_model)
    assert session.graph()["hash"] == session.graph()["hash"] == drawing(sample_model)["hash"]
    name = sample_model.layers[2].name
    plain, mixed = session.resolve(Recipe()), session.resolve(Recipe().set_text(f"layers={{{name}: w8a16}}"))
    assert plain["changes"] == [] and plain["boundaries"] == 0
    assert len(mixed["changes"]) == mixed["boundaries"] > 0
    assert {c["from"] for c in mixed["changes"]} | {c["to"] for c in mixed["changes"]} == {"int8", "int16"}
    assert all(bool(c["reader"]) != bool(c["writer"]) for c in mixed["changes"])
