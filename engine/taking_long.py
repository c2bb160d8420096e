"""Moves that take minutes, estimated from a brief run of each on this machine: learned rounding of the worst layers, and training.

A brief run says two things: what it wins with a fraction of the work, and how fast this machine does it. The whole of it is told as
an estimate, never as measured: its gain is the brief run's (more work rarely wins less), its time the brief run's, scaled.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import BadInput
from engine.mixed.space import SCORE, Choice, Space
from engine.mixed.takes import Move
from engine.mixed.trial import Measured
from engine.progress import Progress, part
from engine.ptq import steps_of
from engine.ptq.adaround import AdaRound
from engine.ptq.matrix import FORMS
from engine.qat import Qat, train
from engine.recipe import Recipe
from engine.recipe.parts import Step

WORST = 3
BRIEF = {"iterations": 100, "samples": 64}  # of AdaRound
TRAINED, BATCH = 192, 16  # samples of the brief training, in so many steps as they make batches
Measure = Callable[[Recipe, Progress], Measured]


def learned_rounding(session: Any, recipe: Recipe, worst: list[str], now: Measured, measure: Measure, progress: Progress) -> Move:
    """AdaRound of some layers (of all where none is named): tried with a tenth of the steps on a part of the data.

    Raises:
        BadInput: it cannot be run on this network.
    """
    match = {"match": ",".join(map(_literal, worst))} if worst else {}
    brief, whole = (replace(recipe, steps=(*steps_of(recipe), Step("adaround", {**match, **more}))) for more in (BRIEF, {}))
    found = measure(brief, progress)
    report = session._room(brief).reports[-1]
    full, calibration = AdaRound(), session.calibration
    data = min(full.samples, len(calibration)) / min(BRIEF["samples"], len(calibration))
    seconds = report.seconds * max(full.iterations / BRIEF["iterations"], data)
    title = f"learned rounding of {', '.join(worst)}" if worst else "learned rounding of all layers"
    change = ("steps", ", ".join(s.name for s in steps_of(recipe)), f"with adaround{' of ' + ', '.join(worst) if worst else ''}")
    return Move("step", title, whole.to_dict(), (change,), found.kl, now.kl - found.kl, 0.0, 0.0, seconds, "estimate")


def training(session: Any, recipe: Recipe, now: Measured, progress: Progress) -> Move:
    """Training with its usual settings: one short pass says by which share the held-out loss falls, and how long a step takes.

    Raises:
        BadInput: it cannot be run on this network, or on these data.
    """
    data = session.training or session.calibration
    if data is None:
        raise BadInput("training needs data")
    sim = session._room(recipe).calibrated(recipe, part(progress, 0.0, 0.1)).copy()
    some, whole = data.subset(TRAINED, 0), Qat()
    found = train(sim, some, Qat(epochs=1, batch=BATCH), lambda f, m: progress(0.1 + 0.9 * f, f"Trying a short training: {m}"))
    rate = max(found.epochs[0].rate, 1e-9) if found.epochs else 1e-9
    share = 1.0 - found.best_loss / found.start if found.start > 0 else 0.0
    gain = now.kl * share if share > 0 else None
    change = ("steps", ", ".join(s.name for s in steps_of(recipe)), "with qat")
    steps = replace(recipe, steps=(*steps_of(recipe), Step("qat")))
    return Move("step", "training", steps.to_dict(), (change,), None if gain is None else now.kl - gain, gain, 0.0, 0.0,
                whole.epochs * len(data) / rate, "estimate")


def worst_layers(session: Any, space: Space | None, choice: Choice | None) -> list[str]:
    """The layers that cost the most by the scores, of those whose weights are integer and can be rounded otherwise."""
    if space is None or choice is None:
        return []
    kinds = {layer.name: layer.op_type for layer in session.model.layers}
    scores = space.table[np.arange(len(choice)), list(choice), SCORE]
    able = [i for i, p in enumerate(space.places) if kinds.get(p.name) in FORMS and p.options[choice[i]].precision.weights.bits <= 8]
    return [space.places[i].name for i in sorted(able, key=lambda i: -float(scores[i]))[:WORST] if scores[i] > 0]


def _literal(name: str) -> str:
    """A name as a glob that means it alone; what a glob of commas cannot say becomes one letter of any kind."""
    return "".join("[" + c + "]" if c in "*?[" else "?" if c == "," else c for c in name)
