"""The rooms of a session, stacked: each step's room stands on that of the steps before it.

A room's key is made of the key below it, the step with all its settings, and what the step looks at: nothing beside the graph
(folding), the calibration data too, or the resolved precisions as well. So an edit of bits repeats no fold, one more step
costs that step alone, and two recipes share whatever they agree on. Results of steps are kept on disk too, by the same key.
"""
from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import training as _training  # noqa: F401  (importing registers the step qat)
from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.graph import Model
from engine.progress import Making, Progress, part, silent
from engine.ptq import apply_step, registered, steps_of, unrounded
from engine.ptq.kept_layers import LayerCache
from engine.ptq.step_file import Kept, load_step, save_step
from engine.ptq.technique import build, check_steps
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.room import Room, digest
from engine.sim.quantsim import QuantSim

MAX_ROOMS = 6
VERSION = 1  # raised when what is kept of steps changes its meaning
EFFORT = {"graph": 1.0, "data": 4.0, "precision": 20.0, "training": 200.0}  # shares of the progress bar
FOLDER = "steps"
WORTH_KEEPING = 0.5  # seconds; quicker steps run again rather than fill the disk
PATIENCE = 20 * WORTH_KEEPING  # on a machine that is busy they take longer


class Rooms:
    """Makes rooms and keeps the last ones.

    Attributes:
        runs: how many steps were computed here, rather than found in memory or on disk.
    """

    def __init__(self, model: Model, calibration: Dataset | None, cache: Path | None = None, strict: bool = False,
                 base: Path = Path(), training: Dataset | None = None) -> None:
        self.runs = 0
        self._model, self._data, self._cache, self._strict, self._base = model, calibration, cache, strict, base
        self._training = training
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._making = Making()

    def room(self, recipe: Recipe, progress: Progress = silent) -> Room:
        """The room with all of the recipe's steps done."""
        steps = self._checked(recipe)
        total, done, room = sum(map(_effort, steps)) or 1.0, 0.0, self._ground(recipe)
        stack = [room.key]
        for step in steps:
            share = part(progress, done / total, (done + _effort(step)) / total)
            room = self._after(room, step, recipe, share)
            stack.append(room.key)
            done += _effort(step)
        self._shrink(stack)
        return room

    def sketch(self, recipe: Recipe, progress: Progress = silent) -> Room:
        """The room for what follows from the recipe alone: with all steps where they are at hand, else with those up to the
        first that would have to run and looks at the precision (these round weights and leave the graph's shape)."""
        room = self._ground(recipe)
        for step in self._checked(recipe):
            if registered(step.name).quantizes and not self._at_hand(room, step, recipe):
                break
            room = self._after(room, step, recipe, progress)
        return room

    def at_hand(self, recipe: Recipe) -> bool:
        """Whether `room` would run no step."""
        room = self._ground(recipe)
        for step in self._checked(recipe):
            if not self._at_hand(room, step, recipe):
                return False
            room = self._after(room, step, recipe, silent)
        return True

    def before_last(self, recipe: Recipe) -> QuantSim | None:
        """The calibrated simulation that the recipe's last step begins with; None where the steps before it would take long: those
        that took long once are on disk."""
        end = time.perf_counter() + PATIENCE

        def hurry(fraction: float, message: str) -> None:
            if time.perf_counter() > end:
                raise Cancelled

        try:
            return self.room(replace(recipe, steps=steps_of(recipe)[:-1]), hurry).calibrated(recipe, hurry)
        except Cancelled:
            return None

    def _checked(self, recipe: Recipe) -> tuple[Step, ...]:
        wanted = recipe.model.sha256 if recipe.model else None
        if wanted and self._model.sha256 and wanted != self._model.sha256:
            raise BadInput(f"the recipe was made for the model with sha256 {wanted[:16]}…, this one has {self._model.sha256[:16]}…; "
                           "use that model, or remove `model.sha256` from the recipe")
        steps = steps_of(recipe)
        check_steps(steps)
        return steps

    def _ground(self, recipe: Recipe) -> Room:
        """The room without steps."""
        content = self._model.sha256 or hashlib.sha256(self._model.proto.SerializeToString(deterministic=True)).hexdigest()
        key = digest([VERSION, content])
        found = self._rooms.get(key)
        if found is None:
            found = Room(QuantSim(self._model.clone(), recipe, strict=self._strict), key, self._data, self._cache, self._base)
        return self._entered(found)

    def _entered(self, room: Room) -> Room:
        self._rooms[room.key] = room
        self._rooms.move_to_end(room.key)
        return room

    def _key(self, room: Room, step: Step, recipe: Recipe) -> str:
        known = registered(step.name)
        looked: list[Any] = []
        if known.looks_at != "graph":
            looked.append(None if self._data is None else self._data.sha256)
        if known.quantizes:
            looked.append(room.precision(recipe))
        if known.looks_at == "training" and self._training is not None:
            looked.append(self._training.sha256)
        return digest([room.key, known.name, known.version, repr(build(step)), looked])

    def _at_hand(self, room: Room, step: Step, recipe: Recipe) -> bool:
        key = self._key(room, step, recipe)
        return key in self._rooms or (self._cache is not None and self._path(key).exists())

    def _after(self, room: Room, step: Step, recipe: Recipe, progress: Progress) -> Room:
        """The room after one more step: in memory, from disk, or made."""
        key = self._key(room, step, recipe)
        found = self._rooms.get(key)
        if found is None:
            with self._making.of(key, "Waits for the steps that run"):
                found = self._loaded(room, key) or self._run(room, step, recipe, key, progress)
        return self._entered(found)

    def _run(self, room: Room, step: Step, recipe: Recipe, key: str, progress: Progress) -> Room:
        if registered(step.name).quantizes:
            sim = room.calibrated(recipe, part(progress, 0.0, 0.1)).copy()
        else:
            sim = room.sim.copy()
            sim.update(recipe)
        before = sim.revision
        sim.kept = None if self._cache is None else LayerCache(self._cache / "layers")
        data = self._data
        if registered(step.name).looks_at == "training":
            data = self._training or data
            sim.reference = self._before_rounding(room, recipe)
        report = apply_step(sim, step, data, part(progress, 0.1, 1.0))
        self.runs += 1
        if self._cache is not None and report.seconds >= WORTH_KEEPING:
            save_step(self._path(key), sim, report, sim.revision != before)
        return room.then(sim, key, report, sim.revision != before)

    def _before_rounding(self, room: Room, recipe: Recipe) -> Model:
        """The graph of a room without the steps that rounded its weights."""
        done = replace(recipe, steps=steps_of(recipe)[:len(room.reports)])
        found = self._ground(recipe)
        for step in steps_of(unrounded(done)):
            found = self._after(found, step, recipe, silent)
        return found.sim.model

    def _loaded(self, room: Room, key: str) -> Room | None:
        kept = None if self._cache is None else load_step(self._path(key), room.sim.model)
        return None if kept is None else room.then(_restored(room.sim, kept), key, kept.report, kept.model is not None)

    def _path(self, key: str) -> Path:
        assert self._cache is not None
        return self._cache / FOLDER / f"{key}.npz"

    def _shrink(self, stack: list[str]) -> None:
        """Drops the rooms that were not entered for longest, but none of the present stack."""
        for key in [k for k in self._rooms if k not in stack]:
            if len(self._rooms) <= MAX_ROOMS:
                break
            del self._rooms[key]


def _effort(step: Step) -> float:
    return EFFORT[registered(step.name).looks_at]


def _restored(sim: QuantSim, kept: Kept) -> QuantSim:
    """The simulation after a kept step."""
    other = sim.copy()
    if kept.model is not None:
        other.model = kept.model
        other.graph_changed()
    other.unpin()
    for name, encoding in kept.pins.items():
        other.pin(name, encoding)
    return other
