"""The graph view's page: it asks for the network by itself, sends each picture once, and one selection serves all views."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import bench as benches
from app import state
from app.app_pages.graph_view import GraphView, act, graph_data
from app.client import Client
from app.graph.live import coded, live, shade_of
from app.graph.marks import Mark, marks
from app.state import Desk
from engine.recipe import Recipe


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(state, "theme", lambda: "dark")
    yield made
    made.shutdown()


def opened(client: Client, tmp_path: Path) -> tuple[benches.Bench, dict[str, Any]]:
    """A bench whose model, network and recipe are known, and the drawing."""
    for name in ("net_9.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    project = client.create_project("Canned", tmp_path / "net_9.onnx", tmp_path / "data.npz", tmp_path / "data.npz").id
    client.open(project)
    client.edit(project, Recipe.from_yaml("mixdown: 1\nlayers: {features.0.conv.1: w4a8}\nbypass: [features.1.conv.0]\n"), "edit")
    recipe = client.state(project).recipe
    for verb, args in (("open", {}), ("graph", {}), ("resolve", {"recipe": recipe})):
        job = client.wait(client.submit(project, verb, args), 30)
        assert job.state == "done", job.error
    drawing = client.latest(project, "graph")
    assert drawing is not None
    return benches.load(client, project), drawing


def test_a_picture_travels_once(client: Client, tmp_path: Path) -> None:
    found, drawing = opened(client, tmp_path)
    view, desk = GraphView(), Desk()
    first, second = (graph_data(found, desk, drawing, view, 0) for _ in range(2))
    assert {"facts", "places"} <= first.keys() and first["places"]["id"] == first["place"]
    assert not {"facts", "places"} & second.keys()
    act(found, desk, view, {"a": "fold", "folded": ["features.0", "no.such.block"], "aspect": 2.2})
    third = graph_data(found, desk, drawing, view, 0)
    assert "facts" not in third and third["folded"] == ["features.0"]
    assert [b[4] for b in third["places"]["folded"]] == ["features.0"]
    act(found, desk, view, {"a": "lacks"})
    assert {"facts", "places"} <= graph_data(found, desk, drawing, view, 0).keys()


def test_one_selection_for_all_views_and_odd_messages_change_nothing(client: Client, tmp_path: Path) -> None:
    found, _ = opened(client, tmp_path)
    view, desk = GraphView(), Desk()
    act(found, desk, view, {"a": "select", "sel": [3, 1, 3], "cur": 3, "seq": 7})
    assert (desk.selected, desk.current, view.ack) == ([1, 3], 3, 7)
    act(found, desk, view, {"a": "select", "sel": [-4, 99, "2", None], "cur": 99, "aspect": "wide", "folded": "x", "seq": "8"})
    assert (desk.selected, desk.current, view.aspect, view.folded) == ([], 3, 1.5, None) and view.ack == 7
    act(found, desk, view, {"aspect": 1e9})
    assert view.aspect == 6.0


def test_live_columns_say_requested_effective_and_why(client: Client, tmp_path: Path) -> None:
    found, drawing = opened(client, tmp_path)
    said = live(found, drawing)

    def value(key: str, i: int) -> Any:
        distinct, at = said[key]
        return distinct[int(at[i], 36)]

    assert (value("req", 1), value("eff", 1)) == ("w4a8", "w8a8")
    assert "8 bits at least" in value("why", 1)
    assert value("eff", 3) == "float" and value("own", 1) and not value("own", 2)
    assert said["score"] == [None] * 9, "nothing is scored yet"
    assert said["changes"] == 2
    assert said["marks"] == [[1, 2, 0], [1, 1, 1]]
    assert [value("said", i) for i in (0, 1)] == ["a8 → a16 here: costs a requantization", "fp16 → a8 here: costs a quantization"]


def test_marks_find_their_edges(client: Client, tmp_path: Path) -> None:
    node = {"kind": "op", "layer": -1}
    drawing = {"nodes": [node | {"members": ["a"], "tensors": ["ta"]}, node | {"members": ["b", "act"], "tensors": ["tb", "tact"]},
                         node | {"members": ["c"], "tensors": ["tc"]}],
               "edges": [{"from": 0, "to": 2, "tensor": "ta", "read": "moved", "via": ["r"]},
                         {"from": 1, "to": 2, "tensor": "tact", "read": "tact", "via": []}]}
    a8 = {"from": "int8", "to": "int16"}
    found = marks(drawing, [a8 | {"tensor": "moved", "reader": "c", "writer": ""}, a8 | {"tensor": "tact", "reader": "", "writer": "act"},
                            a8 | {"tensor": "tb", "reader": "act", "writer": ""}, a8 | {"tensor": "t", "reader": "nobody", "writer": ""}])
    words = "a8 → a16 here: costs a requantization"
    assert found == [Mark(0, 2, False, words), Mark(1, 1, True, words), Mark(-1, 1, False, words)]


def test_fewer_bits_are_painted_more_strongly() -> None:
    order = ["fp32", "fp16", "w16a16", "w8a16", "w8a8", "w4a8", "w4a4"]
    shades = [shade_of(p) for p in order]
    assert shades == sorted(shades) and len(set(shades)) == len(shades)
    assert shade_of("w8a8") < shade_of("w4a16") < shade_of("w4a8")
    assert shade_of("float") == 0 and shade_of("w3a8") > shade_of("w4a8")
    assert coded(["a", "b", "a"]) == [["a", "b"], "010"]
    assert coded(range(40)) == [list(range(40)), list(range(40))]
