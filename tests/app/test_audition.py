"""An audition (only soloed layers quantized) is measured and shown, and leaves no trace in the figures of the recipe."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import bench as benches
from app.client import Client

BASE = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\n"
MOVED = BASE + "layers: {features.0.conv.2: w4a8}\n"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    yield made
    made.shutdown()


def test_after_an_audition_the_last_figures_and_the_card_are_the_recipes(client: Client, tmp_path: Path) -> None:
    for name in ("net_9.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    project = client.create_project("Canned", tmp_path / "net_9.onnx", tmp_path / "data.npz", tmp_path / "data.npz").id
    client.open(project)
    client.edit(project, BASE, "start")

    def measured(recipe: str) -> int:
        job = client.wait(client.submit(project, "measure", {"recipe": recipe}), 60)
        assert job.state == "done", job.error
        return job.id

    client.wait(client.submit(project, "open"), 60)
    own = client.result(measured(BASE))
    card = client.projects()[0].thumbnail
    assert own is not None and card is not None and card["drop"] == own["drop"]
    auditioned = benches.load(client, project, solo=[2])
    assert auditioned.audition and auditioned.report is None and auditioned.before is own
    heard = client.result(measured(auditioned.audition))
    assert heard is not None and heard["drop"]["value"] < own["drop"]["value"], "all but one layer are in float"
    assert benches.load(client, project, solo=[2]).report is heard
    assert client.projects()[0].thumbnail == card, "the card shows the recipe"
    client.edit(project, MOVED, "a move")
    moved = benches.load(client, project)
    assert moved.report is None and moved.before == own, "not the audition's"
    measured(MOVED)
    changed = client.projects()[0].thumbnail
    assert changed is not None and changed["drop"] != card["drop"]


def test_where_nothing_but_an_audition_was_measured_there_are_no_earlier_figures(client: Client, tmp_path: Path) -> None:
    for name in ("net_9.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    project = client.create_project("Canned", tmp_path / "net_9.onnx", tmp_path / "data.npz", tmp_path / "data.npz").id
    client.open(project)
    client.wait(client.submit(project, "open"), 60)
    audition = benches.load(client, project, solo=[0]).audition
    assert client.wait(client.submit(project, "measure", {"recipe": audition}), 60).state == "done"
    assert benches.load(client, project).before is None
    assert client.projects()[0].thumbnail is None
