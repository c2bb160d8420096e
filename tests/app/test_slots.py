"""The switch A|B: what the bar is given, and what its buttons do."""
from __future__ import annotations

from pathlib import Path

import pytest

from app import bench as benches
from app import slots
from app.client import Client
from engine.recipe import Recipe


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "home")


def test_the_switch_says_where_one_is_and_what_is_there(client: Client, tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(b"not read here")
    project = client.create_project("net", model).id
    first = slots.slots_data(client, benches.load(client, project), "%")
    assert first["active"] == "A" and not first["there"] and first["copy"] == "Put this recipe in B too"
    client.put_aside(project)
    client.edit(project, Recipe(precision=Recipe().precision, bypass=("x",)).to_yaml(), "x in float")
    client.flip(project)
    there = slots.slots_data(client, benches.load(client, project), "%")
    assert there["active"] == "B" and there["there"] and there["A"].startswith("A: x in float: not measured yet")
    assert client.state(project).recipe != client.slots(project).other.recipe  # type: ignore[union-attr]
