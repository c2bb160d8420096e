"""Searching the settings of a recipe's training step: trials in a study beside the project's other results."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from engine.data import Dataset
from engine.errors import BadInput, nearest
from engine.progress import Progress, part, silent
from engine.ptq import steps_of
from engine.ptq.technique import build
from engine.qat import Qat
from engine.qat.trials import Search, Space, Trial
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.room import Room
from engine.training import run_key

STUDIES = "trials.db"
Partial = Callable[[dict[str, Any]], None]


def tune(recipe: Recipe, room: Callable[[Recipe, Progress], Room], data: Dataset | None, cache: Path | None, space: Mapping[str, Any],
         progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
    """Tries settings of the recipe's last step, which must be `qat`, on the network as the steps before it leave it.

    Returns plain values: `trials` (number, state, settings, loss, curve, seconds), `best` settings, `line` (the recipe's step with
    them, only what differs from the defaults), `steps` (the whole list with it). `partial` gets the same after every trial.

    Raises:
        BadInput: the recipe does not end with training, or there are no data to train on.
    """
    steps = steps_of(recipe)
    if not steps or steps[-1].name != "qat":
        raise BadInput("settings of training are searched for a recipe whose last step is qat; add it to `steps:`")
    if data is None:
        raise BadInput("training needs data: give --training or --calibration")
    config: Qat = build(steps[-1])
    unknown = [key for key in space if key not in {f.name for f in fields(Space)}]
    if unknown:
        raise BadInput(f"a search over training settings has no {unknown[0]!r}. {nearest(unknown[0], [f.name for f in fields(Space)])}")
    before = replace(recipe, steps=steps[:-1])
    made = room(before, part(progress, 0.0, 0.05))
    sim = made.calibrated(before, part(progress, 0.05, 0.1))
    search = Search(None if cache is None else cache / STUDIES, run_key(sim, data, config), Space(**space))

    def told(trials: Sequence[Trial]) -> None:
        if partial is not None:
            partial(_found(search, config, steps))

    search.run(sim.copy, data, config, part(progress, 0.1, 1.0), told)
    return _found(search, config, steps)


def _found(search: Search, config: Qat, steps: Sequence[Step]) -> dict[str, Any]:
    line = {"qat": changed(search.best(config))}
    lines = [s.name if not s.options else {s.name: dict(s.options)} for s in steps[:-1]]
    return search.to_json(config) | {"line": line, "steps": [*lines, line]}


def changed(config: Qat) -> Mapping[str, Any]:
    """The settings that are not the defaults."""
    usual = asdict(Qat())
    return {f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != usual[f.name]}
