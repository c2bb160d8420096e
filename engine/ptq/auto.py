"""The ladder: tries the sensible steps for this model and recipe, cheapest first, and keeps what helps.

1. Steps that keep the float function and only make it easier to quantize: fold, equalize, smooth, absorb. Each stands on those that
   were kept before it.
2. Steps that choose grids and roundings, each on the graph that 1 left: bias correction, searched ranges, one-pass rounding, learned
   rounding. The best of them is kept. Where weights cost next to nothing, they are not tried.

All is judged on samples of the calibration data kept aside, against the float model; evaluation data are never seen. It stops when
the goal is met. At the end the chosen steps run again on all calibration samples, so that the result is exactly that of the lines
that are written in its place.
"""
from __future__ import annotations

from engine.data import Dataset
from engine.errors import BadInput
from engine.progress import Progress, part
from engine.ptq.auto_settings import Auto
from engine.ptq.ladder import Ladder
from engine.ptq.technique import StepReport, apply_step, technique
from engine.recipe.parts import Step
from engine.recipe.text import step_line
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

LEAST = 32  # calibration samples: with fewer nothing can be kept aside


@technique("auto", Auto)
def auto(sim: QuantSim, data: Samples | None, config: Auto, progress: Progress) -> StepReport:
    """Finds steps for this model under this recipe, and does them."""
    if not isinstance(data, Dataset) or len(data) < LEAST:
        have = "none were given" if data is None else f"there are {len(data)}"
        raise BadInput(f"steps: auto keeps some calibration samples aside to judge by and needs at least {LEAST}; {have}")
    ladder = Ladder(sim, data, config, part(progress, 0.0, 0.8))
    ladder.climb()
    final, reports = _again(sim, data, ladder.best.steps, part(progress, 0.8, 1.0))
    if ladder.best.steps:
        sim.take(final)
    warnings = tuple(f"{report.name}: {line}" for report in reports for line in report.warnings)
    return StepReport("auto", tuple(ladder.lines), warnings, layers=reports[-1].layers if reports else (),
                      instead=tuple(step_line(Step(name)) for name in ladder.best.steps), tried=tuple(ladder.tried))


def _again(sim: QuantSim, data: Dataset, steps: tuple[str, ...], progress: Progress) -> tuple[QuantSim, list[StepReport]]:
    """The chosen steps on all calibration samples, as a recipe with these lines does them."""
    work, reports = sim.copy(), []
    for i, name in enumerate(steps):
        reports.append(apply_step(work, Step(name), data, part(progress, i / len(steps), (i + 1) / len(steps))))
    return work, reports
