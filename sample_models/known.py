"""Asks the workbench's own questions about the bundled samples once, and keeps the answers beside their models.

    python -m sample_models.known                       # all, about a minute of processor time each
    python -m sample_models.known fashion_imbalanced    # these alone

A newcomer then sees measured figures, exact scores and predictions at once. Run it again whenever the engine's numbers change;
a test says when that is due.
"""
from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import bench, curves
from app.client import Client
from app.known import write
from app.samples import Sample, bundled_samples
from app.sensitivity import ask
from app.sensitivity.view import View

SCORED = 512  # samples of the exact scores
WAIT = 600.0


def questions(client: Client, project: str) -> list[tuple[str, dict[str, Any]]]:
    """What the pages ask for by themselves for a new project, and the exact scores that a newcomer would ask for."""
    found = bench.load(client, project)
    estimate, exact = ask.arguments(found, View(), "estimate"), ask.arguments(found, View(mode="one-on"), samples=SCORED)
    curve = curves.arguments(found, "exact", SCORED, measurements=1, all_asked=False)
    return [("open", {}), ("measure", {"recipe": found.recipe}), ("sensitivity", estimate), ("sensitivity", exact), ("curve", curve)]


def answers(sample: Sample, home: Path, wanted: Sequence[int] = (0, 1, 2, 3, 4)) -> list[dict[str, Any]]:
    """The answers of a real worker to the questions at these places."""
    client = Client(home)
    try:
        project = client.create_project(sample.name, sample.model, evaluation=sample.evaluation, calibration=sample.calibration,
                                        training=sample.training).id
        client.wait(client.submit(project, "open"), WAIT)
        asked = questions(client, project)
        return [{"verb": v, "args": args, "result": _answer(client, project, v, args)} for v, args in (asked[i] for i in wanted)]
    finally:
        client.shutdown()


def _answer(client: Client, project: str, verb: str, args: dict[str, Any]) -> dict[str, Any]:
    number = client.submit(project, verb, args)
    client.wait(number, WAIT)
    result = client.result(number)
    if result is None:
        raise SystemExit(f"{verb} gave no answer: {client.job(number).error or client.job(number).state}")
    return result


def main(names: Sequence[str]) -> None:
    """The samples of these names; all where none is given."""
    found = {sample.name: sample for sample in bundled_samples()}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise SystemExit(f"there is no sample {unknown[0]!r}; there are {', '.join(found)}")
    for sample in (found[name] for name in names or found):
        with tempfile.TemporaryDirectory() as home:
            path = write(sample, answers(sample, Path(home)))
        print(f"{path.parent.name}/{path.name}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
