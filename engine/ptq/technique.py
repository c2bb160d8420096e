"""What a post-training technique is, the registry of those that exist, and how a recipe's steps run.

A technique is a function `(sim, data, config, progress) -> StepReport`: it changes the simulation it is
given, or raises and leaves it as it was. Its config is a frozen dataclass with a doc line per field,
and the registry is keyed by that type.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from engine.data import Dataset
from engine.errors import BadInput, nearest
from engine.progress import Progress, part, silent
from engine.recipe import Recipe
from engine.recipe.parts import DEFAULT_STEPS, STEP_NAMES, Step
from engine.recipe.text import thaw
from engine.setting import check_settings as check_settings  # techniques take the whole contract from here
from engine.setting import setting as setting
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

LooksAt = Literal["graph", "data", "precision", "training"]


@dataclass(frozen=True)
class LayerChange:
    """What a step did to one layer.

    Attributes:
        layer: its name.
        before: of `unit`, before the step; None where nothing was measured.
        after: the same after it.
        unit: what the two numbers are, with its direction in words where it is not SQNR: "dB" (of the layer's output on
            calibration data against the float model; higher is better), "range ratio", …
        note: what else there is to say, in words.
    """

    layer: str
    before: float | None = None
    after: float | None = None
    unit: str = "dB"
    note: str = ""


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        name: of the step.
        changes: one line per change, in words.
        warnings: what it could not do, in words.
        seconds: wall time.
        options: what the recipe sets.
        layers: before and after, layer by layer.
        equivalent: the step promises that the float model's function is the same (up to rounding, 1e-4 of range).
        instead: steps as a recipe's plain lines that do the same as this one (`auto` alone; None elsewhere).
        tried: what was tried and judged on the way, as plain values (`auto` alone).
        training: the curve of a training run, as plain values (`qat` alone).
    """

    name: str
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[LayerChange, ...] = ()
    equivalent: bool = False
    instead: tuple[Any, ...] | None = None
    tried: tuple[Mapping[str, Any], ...] = ()
    training: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for reports."""
        return {"name": self.name, "changes": list(self.changes), "warnings": list(self.warnings), "seconds": self.seconds,
                "options": dict(self.options), "layers": [asdict(change) for change in self.layers],
                "equivalent": self.equivalent, "instead": None if self.instead is None else list(self.instead),
                "tried": [dict(one) for one in self.tried], "training": self.training}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> StepReport:
        """What `to_json` wrote."""
        instead = found["instead"]
        return StepReport(found["name"], tuple(found["changes"]), tuple(found["warnings"]), float(found["seconds"]),
                          dict(found["options"]), tuple(LayerChange(**layer) for layer in found["layers"]),
                          bool(found["equivalent"]), None if instead is None else tuple(instead), tuple(found["tried"]),
                          found.get("training"))


Technique = Callable[[QuantSim, Samples | None, Any, Progress], StepReport]


@dataclass(frozen=True)
class Registered:
    """A technique: its step name, config type, function, and what its result depends on beside its options."""

    name: str
    config: type[Any]
    run: Technique
    looks_at: LooksAt
    version: int = 1

    @property
    def quantizes(self) -> bool:
        """Whether it runs the quantized network, so that its result depends on types and ranges."""
        return self.looks_at in ("precision", "training")


_BY_NAME: dict[str, Registered] = {}
_BY_CONFIG: dict[type[Any], Registered] = {}


def technique(name: str, config: type[Any], looks_at: LooksAt = "precision", version: int = 1) -> Callable[[Technique], Technique]:
    """Registers a technique under its step name and its config's type.

    `looks_at`: "graph" where the weights alone decide (folding), "data" where calibration data do too, "precision" where the
    recipe's types and ranges do as well, "training" where training data do on top. A result is used again for every recipe that
    agrees in what the technique looks at.
    `version` is raised when the technique's numbers change: what is kept on disk is then computed anew.
    """
    def add(function: Technique) -> Technique:
        _BY_NAME[name] = _BY_CONFIG[config] = Registered(name, config, function, looks_at, version)
        return function
    return add


def registered(name: str) -> Registered:
    """The technique of a step name; raises `BadInput` where there is none."""
    if name not in _BY_NAME:
        known = f"It is planned; here are: {', '.join(_BY_NAME)}." if name in STEP_NAMES else nearest(name, _BY_NAME)
        raise BadInput(f"steps: there is no step {name!r} in this version. {known}")
    return _BY_NAME[name]


def available() -> dict[str, type[Any]]:
    """Step name → config type of the techniques that exist."""
    return {name: one.config for name, one in _BY_NAME.items()}


def build(step: Step) -> Any:
    """The config of a recipe's step; raises `BadInput` for steps and options that do not exist."""
    config = registered(step.name).config
    names = [f.name for f in fields(config)]
    for key in step.options:
        if key not in names:
            raise BadInput(f"steps: {step.name} has no option {key!r}. {nearest(key, names)}")
    return config(**step.options)


def steps_of(recipe: Recipe) -> tuple[Step, ...]:
    """The steps a recipe means: `[fold_batch_norm]` when it does not say."""
    return DEFAULT_STEPS if recipe.steps is None else recipe.steps


def unrounded(recipe: Recipe) -> Recipe:
    """The recipe without the steps that look at types and ranges: the graph on which one asks which layers suffer from few bits,
    and against which rounded weights are compared. Where no such step is there it is the recipe itself."""
    steps = steps_of(recipe)
    kept = tuple(step for step in steps if not registered(step.name).quantizes)
    return recipe if len(kept) == len(steps) else replace(recipe, steps=kept)


def apply_step(sim: QuantSim, step: Step, data: Samples | None, progress: Progress = silent) -> StepReport:
    """Runs one step on `sim`; its report has the wall time and the recipe's options.

    A step that looks at the precision gets a calibrated simulation: without ranges they are gathered first.
    """
    config = build(step)
    known = _BY_CONFIG[type(config)]
    if known.quantizes and data is not None and sim.missing():
        wanted = sim.recipe.calibration
        some = data.subset(wanted.samples, wanted.seed) if isinstance(data, Dataset) else data
        sim.calibrate(some, part(progress, 0.0, 0.2))
        progress = part(progress, 0.2, 1.0)
    begin = time.perf_counter()
    found = known.run(sim, data, config, progress)
    return replace(found, name=step.name, seconds=time.perf_counter() - begin, options=thaw(step.options))


def check_steps(steps: Iterable[Step]) -> None:
    """Raises `BadInput` for the first step or option that does not exist."""
    for step in steps:
        build(step)


def apply_steps(sim: QuantSim, data: Samples | None, progress: Progress = silent) -> tuple[StepReport, ...]:
    """Runs the recipe's steps in order on `sim`. All are checked before the first runs."""
    steps = steps_of(sim.recipe)
    check_steps(steps)
    return tuple(apply_step(sim, step, data, part(progress, i / len(steps), (i + 1) / len(steps))) for i, step in enumerate(steps))
