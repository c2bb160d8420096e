"""The climb of `auto`: one trial after the other, each judged, each decision a line."""
from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.progress import Progress, part, silent, tell
from engine.ptq.auto_settings import Auto
from engine.ptq.judge import Judge, Verdict
from engine.ptq.technique import apply_step
from engine.quant.methods import Mse
from engine.quant.precision import Int
from engine.recipe.parts import Step
from engine.sim.quantsim import QuantSim

KEEPING = ("fold_batch_norm", "cle", "smooth_quant", "absorb_bias")
SMOOTH_FIRST = ("fold_batch_norm", "smooth_quant", "cle", "absorb_bias")
ROUNDING = (("bias_correction",), ("seq_mse",), ("seq_mse", "bias_correction"), ("gptq",), ("seq_mse", "adaround"))
GAIN = 0.02  # share of the loss that a step has to take away to be kept
NEGLIGIBLE = 0.05  # share of the loss below which weights are not worth rounding again
EFFORT = {"adaround": 12.0, "gptq": 3.0, "seq_mse": 3.0}


@dataclass(frozen=True)
class State:
    """A simulation with the steps that led to it; its ranges come from the samples that are not kept aside."""

    sim: QuantSim
    steps: tuple[str, ...]
    verdict: Verdict


class _OutOfTime(Cancelled):
    """The time budget ended within a step."""


class Ladder:
    """One climb.

    Attributes:
        best: what is kept so far.
        lines: each decision in a line.
        tried: each trial with its figures, as plain values.
    """

    def __init__(self, sim: QuantSim, data: Dataset, config: Auto, progress: Progress) -> None:
        self._config, self._progress, self._begun = config, progress, time.monotonic()
        share = min(config.aside, config.most_aside / len(data))
        self._data, aside = data.split(1.0 - share, config.seed)
        progress(0.0, f"Auto: the float model on {len(aside)} samples kept aside")
        self._judge = Judge(sim, aside)
        self._skipped: list[str] = []
        self._states: dict[tuple[str, ...], QuantSim] = {}
        self._total, self._done = _efforts(config), 1.0
        self.lines: list[str] = []
        self.tried: list[dict[str, Any]] = []
        self.best = self._judged(sim.copy(), (), silent)
        self._note(self.best, 0.0, True, f"at first, on {len(aside)} samples kept aside: {self.best.verdict.words}")

    def climb(self) -> None:
        """All trials, cheapest first, until the goal is met or the time is up."""
        try:
            for name in SMOOTH_FIRST if _transformer(self.best.sim) else KEEPING:
                if name in self._config.allowed:
                    self._try((name,), self.best)
            if self._rounding_matters():
                base = self.best
                for rung in rungs(self._config.allowed):
                    self._try(rung, base)
        except _OutOfTime:
            self.lines.append(f"stopped after {self._config.seconds:g} s with the best so far")
        if self._skipped:
            self.lines.append(f"{', '.join(self._skipped)}: not tried, {self._met()}")
        steps = ", ".join(self.best.steps) or "no steps"
        self.lines.append(f"kept: {steps} ({self.best.verdict.words})")
        self._suggest()

    def _try(self, steps: tuple[str, ...], on: State) -> None:
        """Runs steps on a state; they are kept if the loss is less than the best one's."""
        label = " + ".join(steps)
        if self._met() and steps != ("fold_batch_norm",):
            self._skipped.append(label)
            return
        begun, effort = time.monotonic(), sum(map(_effort, steps))
        progress = part(self._progress, self._done / self._total, min((self._done + effort) / self._total, 1.0))
        try:
            found = self._run(steps, on, progress)
        except BadInput as error:
            self.lines.append(f"{label}: left out, {error}")
            return
        finally:
            self._done += effort
        self._decide(label, found, time.monotonic() - begun)

    def _run(self, steps: tuple[str, ...], on: State, progress: Progress) -> State | None:
        """The state after the steps; None where the last one found nothing to do."""
        sim, changed = on.sim.copy(), False
        for i, name in enumerate(steps):
            share = part(self._limited(progress), i / (len(steps) + 1), (i + 1) / (len(steps) + 1))
            path = on.steps + steps[: i + 1]
            if path in self._states:
                sim, changed = self._states[path].copy(), True
                continue
            before = sim.revision, sim.pinned
            apply_step(sim, Step(name), self._data, share)
            changed = (sim.revision, sim.pinned) != before
            if changed:
                self._states[path] = sim.copy()
        return self._judged(sim, on.steps + steps, part(self._limited(progress), 0.9, 1.0)) if changed else None

    def _decide(self, label: str, found: State | None, seconds: float) -> None:
        if found is None:
            self.lines.append(f"{label}: found nothing to change")
            return
        before, now = self.best.verdict, found.verdict
        usual = label == "fold_batch_norm"  # devices fold: what is not folded is not what they run
        kept = now.loss < before.loss * (1 - GAIN) or (usual and now.loss <= before.loss * (1 + GAIN))
        change = (now.loss / before.loss - 1) * 100 if before.loss > 0 else 0.0
        less = f"{abs(change):.0f} % {'less' if change < 0 else 'more'} loss than the best before"
        verdict = "kept, since devices fold" if usual and kept and change >= 0 else "kept" if kept else "left out"
        self._note(found, seconds, kept, f"{label}: {verdict}, {less}: {now.words}, {seconds:.1f} s")
        if kept:
            self.best = found

    def _note(self, state: State, seconds: float, kept: bool, words: str) -> None:
        self.lines.append(words)
        self.tried.append({"steps": list(state.steps), **state.verdict.to_json(), "seconds": seconds, "kept": kept, "words": words})
        tell(self._progress, {"tried": list(self.tried), "lines": list(self.lines)})

    def _judged(self, sim: QuantSim, steps: tuple[str, ...], progress: Progress) -> State:
        if sim.missing():
            wanted = sim.recipe.calibration
            sim.calibrate(self._data.subset(wanted.samples, wanted.seed), part(progress, 0.0, 0.6))
        return State(sim, steps, self._judge.of(sim, progress=part(progress, 0.6, 1.0)))

    def _met(self) -> str:
        """Why nothing more is needed; empty while it is."""
        now, config = self.best.verdict, self._config
        if now.agreement is None:
            return f"the goal is met: SQNR {now.sqnr_db:.1f} dB of {config.goal_db:g}" if now.sqnr_db >= config.goal_db else ""
        differ = 100 * (1 - now.agreement)
        # So few samples that one alone would miss the goal say little when none does: the noise has to be low as well.
        if differ > config.goal or (now.samples * config.goal < 100 and now.sqnr_db < config.goal_db):
            return ""
        return f"the goal is met: {differ:.2f} % of {now.samples} answered otherwise, {config.goal:g} % allowed"

    def _rounding_matters(self) -> bool:
        """Whether weights cost enough to be rounded with more care; says so where they do not."""
        sim = self.best.sim
        if not any(isinstance(plan.dtype, Int) for plan in sim.plan.weights.values()):
            self.lines.append("no weight is on an integer grid: rounding is not tried")
            return False
        if self._met():
            return True
        shares = self._judge.shares(sim)
        whole = max(sum(shares.values()), 1e-30)
        self.lines.append(f"weights alone make {100 * shares['weights'] / whole:.0f} % of the loss, activations alone "
                          f"{100 * shares['activations'] / whole:.0f} %")
        if shares["weights"] < NEGLIGIBLE * whole:
            self.lines.append("careful rounding of weights cannot help: it is not tried; more bits for the activations that rank first "
                              "under Sensitivity do")
            return False
        return True

    def _suggest(self) -> None:
        """What no step can do: ranges of activations by least error, where that helps."""
        recipe = self.best.sim.recipe
        other = replace(recipe, calibration=replace(recipe.calibration, activations=Mse()))
        if self._met() or recipe.method_for("activations") == Mse():
            return
        sim = self.best.sim.moved(other)
        verdict = self._judge.of(sim)
        if verdict.loss < self.best.verdict.loss * (1 - GAIN):
            words = f"ranges of activations by `mse` would leave {verdict.words}: set calibration.activations in the recipe"
            self.lines.append(words)
            self.tried.append({"steps": list(self.best.steps), **verdict.to_json(), "seconds": 0.0, "kept": False, "words": words,
                               "recipe_edit": {"calibration": {"activations": "mse"}}})

    def _limited(self, progress: Progress) -> Progress:
        """Raises once the time budget is spent; figures still go through."""
        return progress if not self._config.seconds else _Limited(progress, self._begun + self._config.seconds)


class _Limited:
    def __init__(self, progress: Progress, end: float) -> None:
        self._progress, self._end = progress, end

    def __call__(self, fraction: float, message: str) -> None:
        self._progress(fraction, message)
        if time.monotonic() > self._end:
            raise _OutOfTime("the time budget is spent")

    def tell(self, figures: Mapping[str, Any]) -> None:
        tell(self._progress, figures)


def _effort(name: str) -> float:
    return EFFORT.get(name, 1.0)


def rungs(allowed: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The trials of rounding, each once, with what may be tried alone."""
    return list(dict.fromkeys(kept for steps in ROUNDING if (kept := tuple(name for name in steps if name in allowed))))


def _efforts(config: Auto) -> float:
    """Of the whole climb, with one for the float model."""
    trials = [*((name,) for name in KEEPING if name in config.allowed), *rungs(config.allowed)]
    return 1.0 + sum(sum(map(_effort, steps)) for steps in trials)


def _transformer(sim: QuantSim) -> bool:
    """Whether most layers are matrix products rather than convolutions."""
    convolutions = sum(layer.op_type.startswith("Conv") for layer in sim.model.layers)
    return 2 * convolutions < len(sim.model.layers)
