"""A session's answer to "what does it take?": bits, calibration methods and steps, each tried or predicted, ranked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import BadInput, Cancelled, MixdownError
from engine.mixed.space import SCORE, Choice, Space
from engine.mixed.takes import Move, column, differences, ranked, wider_choices
from engine.mixed.trial import Measured
from engine.mixed.writing import written
from engine.progress import Progress, part, silent
from engine.ptq import available, steps_of
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.search_ask import search_asked
from engine.search_bench import Bench, Spent
from engine.searching import Searching
from engine.taking_long import learned_rounding, training, worst_layers

METHODS = ("mse", "percentile", "sqnr", "entropy")
EARLY = ("cle", "smooth_quant")  # steps that belong right behind folding
TRIED = ("cle", "smooth_quant", "bias_correction", "seq_mse", "gptq")
LONG = ("adaround", "qat")  # minutes rather than seconds: estimated from a brief run, and left to the person to run
SAMPLES = 128
Partial = Callable[[dict[str, Any]], None]


class Taking:
    """Moves for one recipe."""

    def __init__(self, session: Any, recipe: Recipe, precisions: Sequence[str], max_drop: float, samples: int = SAMPLES) -> None:
        self.session, self.recipe, self.max_drop = session, recipe, max_drop
        ask = search_asked(precisions, max_drop=max_drop, samples=samples)
        self.searching = Searching(session, recipe, ask)
        self.space: Space | None = None
        self.moves: list[Move] = []

    def run(self, progress: Progress = silent, partial: Partial | None = None, steps: Sequence[str] | None = None) -> dict[str, Any]:
        """All moves, ranked; `partial` gets those so far. `steps`: the ones to try (default: those that take seconds)."""
        self.searching.prepare(None, part(progress, 0.0, 0.2))
        half = self.searching._halves[0]
        self.bench = Bench(self.session, half, lambda space, choice: self.recipe, Spent(), part(progress, 0.2, 0.25))
        now = self._measured(self.recipe, part(progress, 0.25, 0.35))
        cap = _cap(now, self.max_drop)
        self._bits(now, cap)
        todo = [*self._methods(), *self._steps(TRIED if steps is None else steps)]
        for n, (title, kind, recipe, change) in enumerate(todo):
            if partial is not None:
                partial(self._json(now, cap, False))
            self._tried(now, title, kind, recipe, change, part(progress, 0.35 + 0.4 * n / len(todo), 0.35 + 0.4 * (n + 1) / len(todo)))
        long = [n for n in LONG if n in available() and not _has(self.recipe, n)]
        for n, name in enumerate(long):
            if partial is not None:
                partial(self._json(now, cap, False))
            self._estimated(now, name, part(progress, 0.75 + 0.25 * n / len(long), 0.75 + 0.25 * (n + 1) / len(long)))
        return self._json(now, cap, True)

    def _estimated(self, now: Measured, name: str, progress: Progress) -> None:
        """A move that takes minutes, from a brief run; named alone where that cannot be run here."""
        def told(fraction: float, message: str) -> None:
            progress(fraction, f"Trying {name} briefly: {message}")

        try:
            if name == "adaround":
                at = self._present()
                worst = worst_layers(self.session, *(None, None) if at is None else (self.searching.spaces[at[0]], at[1]))
                self.moves.append(learned_rounding(self.session, self.recipe, worst, now, self._measured, told))
            else:
                self.moves.append(training(self.session, self.recipe, now, progress))
        except Cancelled:
            raise
        except MixdownError as error:
            recipe, change = self._with_step(name), _step_change(self.recipe, name)
            self.moves.append(Move("step", f"the step {name} (cannot be tried here: {str(error)[:120]})", recipe.to_dict(), (change,), None,
                                   None, 0.0, 0.0, None, "unknown"))

    def _json(self, now: Measured, cap: float, complete: bool) -> dict[str, Any]:
        missed = now.drop > self.max_drop
        return {"now": {"kl": now.kl, "drop": now.drop, "ci95": None if now.ci95 is None else list(now.ci95), "samples": now.samples},
                "max_drop": self.max_drop, "missed": missed, "cap": cap, "unit": "nats per sample", "direction": "lower is better",
                "moves": [m.to_json() for m in ranked(self.moves, cap)], "complete": complete}

    def _measured(self, recipe: Recipe, progress: Progress) -> Measured:
        return self.bench.promise(recipe, self.searching._halves[0], progress)

    def _bits(self, now: Measured, cap: float) -> None:
        """Wider layers, by the scores scaled to what was measured now."""
        at = self._present()
        if at is None:
            return
        number, choice = at
        space = self.searching.spaces[number]
        totals = space.totals(choice)
        scale = now.kl / max(float(totals[SCORE]), 1e-12)
        for _, other in wider_choices(space, choice, cap / max(scale, 1e-12)):
            after = space.totals(other)
            changes = differences(space, choice, other)
            recipe = replace(written(self.searching.sims[number], space.named(other), [p.name for p in space.places if p.fixed]),
                             steps=self.recipe.steps, candidates=self.recipe.candidates)
            kl = float(after[SCORE]) * scale
            size, bops = (column(after, name) - column(totals, name) for name in ("size_bytes", "bops"))
            self.moves.append(Move("bits", _title(changes), recipe.to_dict(), changes, kl, now.kl - kl, size, bops, None, "predicted"))

    def _present(self) -> tuple[int, Choice] | None:
        """The choice that the recipe comes to; None where it has precisions that are no options."""
        sim = self.session._rooms.sketch(self.recipe).enter(self.recipe)
        have = {entry.name: entry.precision for entry in sim.plan.layers}
        for number, space in enumerate(self.searching.spaces):
            if space.base == self.recipe.precision:
                choice = space.nearest(have)
                return None if choice is None else (number, choice)
        return None

    def _methods(self) -> list[tuple[str, str, Recipe, tuple[str, str, str]]]:
        now = type(self.recipe.calibration.method).__name__
        found = []
        for name in METHODS:
            recipe = self.recipe.set("calibration.method", name)
            if recipe.calibration.method != self.recipe.calibration.method:
                found.append((f"ranges by {name}", "method", recipe, ("calibration.method", now, name)))
        return found

    def _steps(self, names: Sequence[str]) -> list[tuple[str, str, Recipe, tuple[str, str, str]]]:
        return [(f"the step {name}", "step", self._with_step(name), _step_change(self.recipe, name))
                for name in names if name in available() and not _has(self.recipe, name)]

    def _with_step(self, name: str) -> Recipe:
        steps = list(steps_of(self.recipe))
        place = next((i + 1 for i, s in enumerate(steps) if s.name == "fold_batch_norm"), 0) if name in EARLY else len(steps)
        return replace(self.recipe, steps=(*steps[:place], Step(name), *steps[place:]))

    def _tried(self, now: Measured, title: str, kind: Any, recipe: Recipe, change: tuple[str, str, str], progress: Progress) -> None:
        """Runs a move; one that cannot be run on this network is left out."""
        begin = time.perf_counter()
        try:
            found = self._measured(recipe, lambda fraction, message: progress(fraction, f"Trying {title}: {message}"))
        except BadInput:
            return
        except Cancelled:
            raise
        except MixdownError:
            return
        self.moves.append(Move(kind, title, recipe.to_dict(), (change,), found.kl, now.kl - found.kl, 0.0, 0.0,
                               time.perf_counter() - begin, "measured"))


def _cap(now: Measured, max_drop: float) -> float:
    """The KL at which the drop would keep to the target, were they proportional: enough to rank moves by."""
    if now.drop <= 0 or max_drop <= 0:
        return now.kl if now.drop <= max_drop else 0.0
    return now.kl * max_drop / now.drop


def _has(recipe: Recipe, name: str) -> bool:
    return any(step.name == name for step in steps_of(recipe))


def _step_change(recipe: Recipe, name: str) -> tuple[str, str, str]:
    return ("steps", ", ".join(s.name for s in steps_of(recipe)), f"with {name}")


def _title(changes: Sequence[tuple[str, str, str]]) -> str:
    names, more = [key.removeprefix("layers.") for key, _, _ in changes], len(changes) - 3
    return f"more bits for {', '.join(names[:3])}" + (f" and {more} more" if more > 0 else "")


def taking_of(session: Any, recipe: Recipe, precisions: Sequence[str | Precision], max_drop: float, samples: int = SAMPLES) -> Taking:
    """Moves that bring this recipe to a greatest drop."""
    if not np.isfinite(max_drop):
        raise BadInput(f"the greatest drop is {max_drop!r}: expected a number such as 0.01")
    return Taking(session, recipe, [str(p) for p in precisions], max_drop, samples)
