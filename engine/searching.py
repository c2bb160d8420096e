"""A session's search for mixed precision: joins scores, the problem, measurements and the promise.

Scores are taken on the calibration data; candidates are measured and repaired on the first half of the evaluation data (which
stand in a seeded order); what is promised is measured once, on the other half or on data of their own (`holdout`).
Measurements are kept by content, so a stopped search goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.analysis.prediction.measured import bare
from engine.data import Dataset
from engine.errors import BadInput
from engine.group_scores import group_scores
from engine.mixed.baselines import Baseline, amp, lite, widest_first
from engine.mixed.build import REST, Rows, Wish, bases, space_of
from engine.mixed.certifies import certifies
from engine.mixed.goal import Goal
from engine.mixed.mix import legend, packed
from engine.mixed.repair import Repair
from engine.mixed.search import Outcome, Target, outcome, search
from engine.mixed.shape import difference, frontier, layers, measured, point, reasons
from engine.mixed.space import COLUMNS, Choice, Space
from engine.mixed.trial import Trial, front
from engine.mixed.writing import written
from engine.predicting import Ask as ScoreAsk
from engine.progress import Progress, part, silent
from engine.ptq import registered, steps_of
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.score_mix import mixed_scores
from engine.search_ask import SearchAsk, rows_of, search_asked
from engine.search_bench import Bench, Spent
from engine.sim.quantsim import QuantSim
from engine.targets.cost import cost_of

Partial = Callable[[dict[str, Any]], None]
TELL_SECONDS = 1.0
LEAST = 2  # samples of each half


class Searching:
    """One search of a session: its spaces, its bench, and what it says."""

    def __init__(self, session: Any, recipe: Recipe, ask: SearchAsk, holdout: Dataset | None = None) -> None:
        """`holdout`: data for the promise instead of the second half of the evaluation data."""
        self.session, self.ask, self.spent = session, ask, Spent()
        self.whole, self.recipe = recipe, replace(recipe, steps=early_steps(recipe), candidates=_candidates(recipe, ask))
        self.sims: list[QuantSim] = []
        self.spaces: list[Space] = []
        self.kind, self.notes = ask.kind, list(session.notes)
        late = [step.name for step in steps_of(recipe) if registered(step.name).quantizes]
        if late and not ask.with_steps:
            self.notes.append(f"{', '.join(late)} look at bits and run on the choice alone: the front is measured without them, the "
                              "promise with them")
        self._halves, self._holdout = _halves(session, ask), holdout
        self._told = time.monotonic()

    def prepare(self, rows: Rows | None, progress: Progress = silent) -> None:
        """Scores and spaces; `rows` are scores that are there already."""
        begin = time.perf_counter()
        found = rows if rows is not None else self._score(progress)
        self.spent.score_seconds = time.perf_counter() - begin
        kept = _hand_set(self.session, self.recipe) if self.ask.keep else frozenset()
        wish = Wish(self.ask.precisions, kept, self.ask.allow_illegal)
        for base in bases(self.recipe, self.ask.precisions):
            based = replace(self.recipe, precision=base)
            sim = self.session._room(based).calibrated(based)
            if rows is None and str(base) not in found.get(REST, {str(base): 0.0}):
                continue  # what belongs to no layer has no score there
            self.sims.append(sim)
            self.spaces.append(space_of(sim, wish, found, self.ask.latency))
        self.notes += [n for n in dict.fromkeys(n for s in self.spaces for n in s.notes) if n not in self.notes]

    def frontier(self) -> dict[str, Any]:
        """What the scores alone say: predicted frontiers, and the options of every layer."""
        cost = cost_of(self.sims[0].model, self.sims[0].plan)
        column = self._target().column
        return {"frontiers": [frontier(s, COLUMNS[column]) for s in self.spaces], "scores": self.kind, "notes": self.notes,
                "layers": reasons(self.spaces[0], self.spaces[0].uniform(self.spaces[0].base), None), "asked": self.ask.to_json(),
                "fp32": {"size_bytes": cost.fp32_size_bytes, "bops": cost.fp32_bops}, "spent": self.spent.to_json()}

    def run(self, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """Measures, repairs, promises. `partial` gets what is there about once a second."""
        target = self._target()
        bench = Bench(self.session, self._halves[0], self._searched, self.spent, part(progress, 0.0, 0.05))
        repair = Repair(self.spaces, bench.measure, None if partial is None else lambda _: self._tell(repair, target, partial))
        if self.ask.method == "search":
            found = search(repair, target, self.ask.precisions, part(progress, 0.05, 0.85))
        else:
            for trial in self._baseline(bench, part(progress, 0.05, 0.85)).trials:
                repair.know(trial)
            found = outcome(repair, target)
        return self._result(repair, target, found, bench, part(progress, 0.85, 1.0))

    def _baseline(self, bench: Bench, progress: Progress) -> Baseline:
        """The other procedures, on the space of the widest candidate's activations."""
        order = widest_first(self.ask.precisions)
        number = next((k for k, s in enumerate(self.spaces) if s.base.activations == order[0].activations), 0)
        space = self.spaces[number]
        scores = group_scores(self.session, bare(self.recipe), space, order, self.ask.score_samples, part(progress, 0.0, 0.3))
        share = part(progress, 0.3, 1.0)
        if self.ask.method == "lite":
            return lite(space, number, order, scores, bench.measure, self.ask.percent, share)
        return amp(space, number, order, scores, bench.measure, reverse=self.ask.method == "amp_reverse", progress=share)

    def recipe_of(self, trial: Trial) -> Recipe:
        """The recipe of a trial, with all the steps that were asked for."""
        return replace(self._searched(trial.space, trial.choice), steps=self.whole.steps, candidates=self.recipe.candidates)

    def recipe_for(self, space: int, choice: Choice) -> Recipe:
        """The recipe of a choice, without the steps that look at bits."""
        return self._searched(space, choice)

    def goal(self) -> Goal:
        """The budgets in absolute units, and what is made least within them."""
        return self._target().goal

    def _searched(self, space: int, choice: Choice) -> Recipe:
        here = self.spaces[space]
        found = written(self.sims[space], here.named(choice), [p.name for p in here.places if p.fixed])
        return replace(found, steps=self.whole.steps) if self.ask.with_steps else found

    def _target(self) -> Target:
        cost = cost_of(self.sims[0].model, self.sims[0].plan)
        return self.ask.target(cost.fp32_size_bytes, cost.fp32_bops)

    def _score(self, progress: Progress) -> Rows:
        predicting = self.session._predictions(progress)
        fixed = tuple(p for p in dict.fromkeys(r.precision for _, r in self.recipe.layers) if p not in self.ask.precisions)
        wanted = tuple(dict.fromkeys((*self.ask.precisions, self.recipe.precision, *(fixed if self.ask.keep else ()))))
        plain = bare(self.recipe)
        if self.ask.kind == "mixed":
            return mixed_scores(self.session, predicting, plain, wanted, self.ask.score_samples, progress)
        found: Rows = predicting.scores(plain, ScoreAsk(wanted, self.ask.kind, self.ask.score_samples), progress).values
        return found

    def _tell(self, repair: Repair, target: Target, partial: Partial) -> None:
        if time.monotonic() - self._told > TELL_SECONDS:
            found = outcome(repair, target)
            partial({**self._points(repair, target), "chosen": None if found.chosen is None else self._point(found.chosen, True),
                     "spent": self.spent.to_json()})
            self._told = time.monotonic()

    def _points(self, repair: Repair, target: Target) -> dict[str, Any]:
        best = front(repair.trials.values(), target.column)
        told = legend(self.spaces)
        tried = [self._point(t, False) | {"mix": packed(self.spaces[t.space], t.choice, told)} for t in repair.trials.values()]
        return {"pareto": [self._point(t, True) for t in best], "tried": tried, "mix": told, "cost": COLUMNS[target.column]}

    def _point(self, trial: Trial, whole: bool) -> dict[str, Any]:
        found = point(self.spaces[trial.space], trial)
        if not whole:
            del found["layers"]
            return found
        return found | {"recipe": self.recipe_of(trial).to_dict()}

    def _result(self, repair: Repair, target: Target, found: Outcome, bench: Bench, progress: Progress) -> dict[str, Any]:
        chosen, metric = found.chosen, self.session.metric
        result: dict[str, Any] = {
            **self._points(repair, target), "chosen": None, "nearest": None, "kept": False, "promise": None, "certifies": None,
            "metric": metric.name, "fp32": {"metric": metric.name, **bench.comparison.float_score().to_json()},
            "asked": self.ask.to_json(), "scores": self.kind, "cap": found.cap, "validated_on": len(bench.comparison.data),
            "frontiers": [frontier(s, COLUMNS[target.column]) for s in self.spaces], "notes": self.notes}
        if chosen is not None:
            promise = bench.promise(self.recipe_of(chosen), self._holdout or self._halves[1], progress)
            judged = promise.drop if self.ask.judge == "estimate" else promise.worst()
            said = certifies(promise, self.ask.max_drop)
            result |= {
                "chosen": self._point(chosen, True), "promise": measured(promise),
                "kept": self.ask.max_drop is None or judged <= self.ask.max_drop, "certifies": None if said is None else said.to_json(),
                "layers": reasons(self.spaces[chosen.space], chosen.choice, repair.belief, chosen.space),
                "changed": difference(self._before(), layers(self.spaces[chosen.space], chosen.choice))}
        elif found.nearest is not None:
            result["nearest"] = self._point(found.nearest, True)
        result["words"] = words(result)
        return result | {"spent": self.spent.to_json()}

    def _before(self) -> dict[str, str]:
        """The precisions of the recipe that the search began with."""
        sim = self.session._room(self.recipe).enter(self.recipe)
        return {entry.name: str(entry.precision) for entry in sim.plan.layers}


def early_steps(recipe: Recipe) -> Any:
    """The steps that do not look at bits. The others are run when the bits are chosen, and the promise is with them."""
    kept = tuple(step for step in steps_of(recipe) if not registered(step.name).quantizes)
    return recipe.steps if len(kept) == len(steps_of(recipe)) else kept


def _candidates(recipe: Recipe, ask: SearchAsk) -> tuple[Precision, ...]:
    """The recipe's candidates, with those of the search where there is room for them."""
    found = tuple(dict.fromkeys((*ask.precisions, *recipe.candidates)))
    return found[:7] if not set(ask.precisions) <= set(recipe.candidates) else recipe.candidates


def _halves(session: Any, ask: SearchAsk) -> tuple[Dataset, Dataset]:
    data = session.evaluation
    if data is None:
        raise BadInput("a search measures what it finds and needs evaluation data (--evaluation); none were given")
    if len(data) < 2 * LEAST:
        raise BadInput(f"{len(data)} evaluation samples: a search needs at least {2 * LEAST}, half to validate and half to promise by")
    middle = len(data) // 2
    return data.take(range(min(middle, ask.samples or middle))), data.take(range(middle, len(data)))


def _hand_set(session: Any, recipe: Recipe) -> frozenset[str]:
    """Layers that a line of the recipe is about."""
    from engine.recipe import match_layers

    named = {layer.name for layer in session.model.layers}
    lines = tuple((n, r) for n, r in recipe.layers if n in named)
    return frozenset(match_layers(replace(recipe, layers=lines), session.model.layers))


def searching_of(session: Any, scores: Mapping[str, Any] | Sequence[str | Precision], recipe: Recipe | None, holdout: Dataset | None,
                 progress: Progress, **given: Any) -> Searching:
    """A search that has its scores: those that `sensitivity` gave, or taken now for these candidates."""
    precisions, rows = (scores["precisions"], rows_of(scores)) if isinstance(scores, Mapping) else (scores, None)
    found = Searching(session, recipe or Recipe(), search_asked(precisions, **given), holdout)
    if isinstance(scores, Mapping):
        found.kind = "estimate" if scores.get("estimate") else "exact"
    found.prepare(rows, progress)
    return found


def found_recipe(result: Mapping[str, Any]) -> Recipe:
    """The chosen recipe; raises `BadInput` with the outcome in words where none was chosen."""
    if result["chosen"] is None:
        raise BadInput(str(result["words"]))
    return Recipe.parse(result["chosen"]["recipe"])


def words(result: Mapping[str, Any]) -> str:
    """The outcome in a sentence or two."""
    asked, chosen = result["asked"], result["chosen"]
    if chosen is None:
        return (f"None of the {len(result['tried'])} measured recipes keeps to the drop of {asked['max_drop']:g} that was asked for. "
                "Allow more, add a wider candidate, or repair with steps.")
    promise = result["promise"]
    ends = promise["drop"]["ci95"]
    sure = "" if ends is None else f" (95 %: {ends[0]:.4f} to {ends[1]:.4f})"
    text = f"On {promise['samples']} samples that nothing was chosen by, the drop is {promise['drop']['value']:.4f}{sure}."
    if asked["max_drop"] is None:
        return text
    how = "its estimate" if asked["judge"] == "estimate" else "its upper end"
    return f"{text} By {how} this {'keeps' if result['kept'] else 'does not keep'} to {asked['max_drop']:g}."
