"""The whole way with a real worker: the curve starts by itself, edits are predicted, then measured, and the record says how far off."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import bench, curves, prediction, recipes, samples, track_record
from app.client import Client

pytestmark = pytest.mark.slow


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path)
    yield made
    made.shutdown()


def own_project(client: Client) -> Any:
    """A project of the bundled files, without the results that the sample ships with."""
    sample = samples.bundled_samples()[0]
    project = client.create_project("own", sample.model, evaluation=sample.evaluation, calibration=sample.calibration)
    client.open(project.id)
    return project


def done(client: Client, number: int) -> Any:
    job = client.wait(number, 200)
    assert job.state == "done", f"{job.verb}: {job.state} {job.error}"
    return client.result(number)


def test_predicted_then_measured(client: Client) -> None:
    project = own_project(client)
    start = client.state(project.id).recipe
    for verb, args in (("open", {}), ("measure", {"recipe": start})):
        done(client, client.submit(project.id, verb, args))
    asked = curves.automatic(client, bench.load(client, project.id))
    assert asked is not None and asked["kind"] == "estimate"
    first = done(client, client.submit(project.id, curves.VERB, asked))
    assert first["enough"] and any(p["label"] == "measured on 2000 samples" for p in first["points"]), "the measurement is in the fit"

    layers = [x["name"] for x in bench.load(client, project.id).layers]
    for names, precision in ((layers[2:9], "w4a8"), (layers[:5], "fp16"), (layers[9:16], "w4a8")):
        found = bench.load(client, project.id)
        client.edit(project.id, recipes.write(recipes.set_precision(found.doc, names, precision, found.layers)), "edit")
        recipe = client.state(project.id).recipe
        resolved = done(client, client.submit(project.id, "resolve", {"recipe": recipe}))
        curve = curves.curve_for(client, bench.load(client, project.id))
        assert curve is not None
        said = prediction.predict(curve, prediction.precisions_of(resolved["layers"], recipes.base(recipes.read(recipe))))
        report = done(client, client.submit(project.id, "measure", {"recipe": recipe}))
        assert said.value is not None and said.low is not None and said.high is not None
        assert said.low <= report["drop"]["value"] <= said.high, "the bundled sample's measurements lie in the interval"
        assert said.sqnr_db == pytest.approx(report["sqnr_db"], abs=3.0)

    record = track_record.track_record(client, bench.load(client, project.id))
    assert len(record.pairs) == record.inside == 3 and record.worst is not None and record.worst < 0.02
    again = curves.automatic(client, bench.load(client, project.id))
    assert again is not None and again["measurements"] == 3
    second = done(client, client.submit(project.id, curves.VERB, again))
    assert len(second["points"]) == len(first["points"]) + 3 and second["seconds"] < first["seconds"]


def test_a_measurement_passes_a_curve_that_is_being_made(client: Client) -> None:
    project = own_project(client)
    start = client.state(project.id).recipe
    done(client, client.submit(project.id, "measure", {"recipe": start}))
    slow = client.submit(project.id, curves.VERB, curves.arguments(bench.load(client, project.id)) | {"mixtures": 200})
    other = recipes.write(recipes.read(start) | {"precision": "w4a8"})
    report = done(client, client.submit(project.id, "measure", {"recipe": other}))
    assert client.job(slow).active, "the measurement was answered between two batches of the curve"
    client.cancel(slow)
    assert client.wait(slow, 20).state == "cancelled"
    alone = done(client, client.submit(project.id, "measure", {"recipe": recipes.write(recipes.read(start) | {"precision": "w8a16"})}))
    assert report["samples"] == alone["samples"] == 2000 and report["drop"]["value"] > alone["drop"]["value"]
