"""What a post-training technique is, the registry of those that exist, and how a recipe's steps run.

A technique is a function `(sim, data, config, progress) -> StepReport`: it changes the simulation it is
given, or raises and leaves it as it was. Its config is a frozen dataclass with a doc line per field,
and the registry is keyed by that type.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engine.errors import BadInput, nearest
from engine.progress import Progress, part, silent
from engine.recipe import Recipe
from engine.recipe.parts import STEP_NAMES, Step
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

DEFAULT_STEPS = (Step("fold_batch_norm"),)


@dataclass(frozen=True)
class StepReport:
    """What a step did: one line per change, in words; `seconds` are wall time."""

    name: str
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for reports."""
        return {"name": self.name, "changes": list(self.changes), "warnings": list(self.warnings),
                "seconds": self.seconds, "options": dict(self.options)}


Technique = Callable[[QuantSim, Samples | None, Any, Progress], StepReport]
_CONFIGS: dict[str, type[Any]] = {}
_TECHNIQUES: dict[type[Any], Technique] = {}


def technique(name: str, config: type[Any]) -> Callable[[Technique], Technique]:
    """Registers a technique under its step name and its config's type."""
    def add(function: Technique) -> Technique:
        _CONFIGS[name] = config
        _TECHNIQUES[config] = function
        return function
    return add


def available() -> dict[str, type[Any]]:
    """Step name → config type of the techniques that exist."""
    return dict(_CONFIGS)


def build(step: Step) -> Any:
    """The config of a recipe's step; raises `BadInput` for steps and options that do not exist."""
    if step.name not in _CONFIGS:
        known = f"It is planned; here are: {', '.join(_CONFIGS)}." if step.name in STEP_NAMES else nearest(step.name, _CONFIGS)
        raise BadInput(f"steps: there is no step {step.name!r} in this version. {known}")
    config = _CONFIGS[step.name]
    names = [f.name for f in fields(config)]
    for key in step.options:
        if key not in names:
            raise BadInput(f"steps: {step.name} has no option {key!r}. {nearest(key, names)}")
    return config(**step.options)


def steps_of(recipe: Recipe) -> tuple[Step, ...]:
    """The steps a recipe means: `[fold_batch_norm]` when it does not say."""
    return DEFAULT_STEPS if recipe.steps is None else recipe.steps


def apply_steps(sim: QuantSim, data: Samples | None, progress: Progress = silent) -> tuple[StepReport, ...]:
    """Runs the recipe's steps in order on `sim`."""
    steps = [(step, build(step)) for step in steps_of(sim.recipe)]
    reports = []
    for i, (step, config) in enumerate(steps):
        begin = time.perf_counter()
        report = _TECHNIQUES[type(config)](sim, data, config, part(progress, i / len(steps), (i + 1) / len(steps)))
        reports.append(StepReport(step.name, report.changes, report.warnings, time.perf_counter() - begin, dict(step.options)))
    return tuple(reports)
