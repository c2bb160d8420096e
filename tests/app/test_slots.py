"""The switch A|B: what the bar is given, and what its buttons do."""
from __future__ import annotations

from dataclasses import replace
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


def row(name: str, right: float, lost: int, won: int) -> dict[str, object]:
    return {"name": name, "samples": 100, "quantized": right, "drop": {"flips_lost": lost, "flips_won": won}}


def test_the_classes_tell_the_sides_apart_once_both_are_measured(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(b"not read here")
    project = client.create_project("net", model).id
    client.put_aside(project)
    client.edit(project, Recipe(precision=Recipe().precision, bypass=("x",)).to_yaml(), "x in float")
    found = benches.load(client, project)
    assert slots.slots_data(client, found, "%")["classes"] is None, "nothing is measured"
    reports = {found.recipe: {"per_class": [row("cat", 0.9, 2, 1), row("dog", 0.8, 0, 0)]}}
    aside = client.slots(project).other.recipe  # type: ignore[union-attr]
    reports[aside] = {"per_class": [row("cat", 0.7, 22, 1), row("dog", 0.8, 0, 0)]}
    monkeypatch.setattr(client, "latest", lambda project, verb, recipe=None, **_: reports[recipe])
    told = slots.slots_data(client, replace(found, report=reports[found.recipe]), "%")["classes"]
    assert told["label"] == "A against B" and told["chips"] == [["cat", "\u25b2 20.0", "ok"]] and told["note"] == "1 of 2 beyond chance"
    assert slots.slots_data(client, replace(found, report=reports[found.recipe], audition="solo"), "%")["classes"] is None
