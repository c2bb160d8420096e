"""The one room where the parts meet: a thin front over model, data, recipe and measurements.

Each method takes a recipe and gives plain values, ready for JSON. What was computed for one recipe is
kept and used for the next: stepped graphs, statistics, sessions, the float model's outputs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.consequences import consequences, moved_recipe
from engine.analysis.facts import data_facts, metric_facts, model_facts
from engine.analysis.graph_drawing import drawing
from engine.analysis.layer_facts import layer_facts
from engine.analysis.layer_noise import LayerNoise
from engine.analysis.measure import Comparison
from engine.analysis.output_kl import output_kl
from engine.analysis.report import measured, report
from engine.analysis.resolved import resolved
from engine.analysis.runner import Outputs, Runner
from engine.analysis.sensitivity.answer import answer
from engine.analysis.sensitivity.cache import ScoreCache
from engine.analysis.sensitivity.confidence import TOP
from engine.analysis.sensitivity.kinds import Question
from engine.analysis.sensitivity.scorer import metric_key
from engine.answering import Answering, answering_of
from engine.data import Dataset, load_data
from engine.data.metrics import Metric, resolve_metric
from engine.errors import BadInput
from engine.foreseeing import Foreseeing
from engine.graph import Model, load_model
from engine.predicting import Predicting, Reports, curve_asked, predicting_of
from engine.progress import Progress, part, silent
from engine.ptq import unrounded
from engine.quant.precision import Precision
from engine.ranging import Ranging
from engine.recipe import Recipe
from engine.repairing import repairing_of
from engine.room import Room
from engine.rooms import Rooms
from engine.searching import found_recipe, searching_of
from engine.sim.kept_cuts import BUDGET, KeptCuts
from engine.sim.quantization import FLOAT
from engine.solving import solve
from engine.taking import taking_of
from engine.targets import resolve

Partial = Callable[[dict[str, Any]], None]
ORDER_SEED = 0
MAX_REPORTS = 400  # measurements that a curve is fitted to, the newest ones


class Session:
    """A model with its data; answers what a recipe does to it."""

    def __init__(self, model: Model, evaluation: Dataset | None = None, calibration: Dataset | None = None, training: Dataset | None = None,
                 metric: str | None = None, cache: Path | None = None, allow_code: bool = False, strict: bool = False,
                 base: Path = Path(), kept_bytes: int = BUDGET) -> None:
        """Data are checked against the model's inputs. With one of the two sets given it is split in two disjoint halves.
        Paths inside a recipe are relative to `base`, the folder of its file. `kept_bytes` of tensors stay in memory, so that a
        measurement runs only what an edit touches.

        Raises:
            BadInput: data that do not fit the model.
        """
        evaluation = None if evaluation is None else evaluation.bind(model.inputs)
        calibration = None if calibration is None else calibration.bind(model.inputs)
        training = None if training is None else training.bind(model.inputs)
        self.notes: list[str] = []
        if evaluation is not None and calibration is None and len(evaluation) > 1:
            calibration, evaluation = evaluation.split(0.5, ORDER_SEED)
            self.notes.append(f"No calibration data were given: {len(calibration)} of the evaluation samples calibrate, "
                              f"{len(evaluation)} others evaluate.")
        self.calibration, self.training = calibration, training
        self.order = None if evaluation is None else np.random.default_rng(ORDER_SEED).permutation(len(evaluation))
        self.evaluation = None if evaluation is None or self.order is None else evaluation.take(self.order)
        sample = calibration or evaluation
        self.model = model if sample is None else model.with_sample(sample.batch(0, 1))
        labelled = evaluation if evaluation is not None or metric is None else calibration  # asked for by name, it scores a sweep
        found = None if labelled is None else resolve_metric(metric, labelled, model.outputs, allow_code=allow_code)
        self.metric: Metric | None = found
        self._cache = cache
        self._rooms = Rooms(self.model, self.calibration, cache, strict, base, self.training)
        self._comparison: Comparison | None = None
        self._kept, self._noise = KeptCuts(kept_bytes), LayerNoise()
        self._foreseeing = Foreseeing()
        self._ranging = Ranging(self._room, self.calibration, self.evaluation)
        self._answering: Answering | None = None
        self._predicting: Predicting | None = None
        self.reports: Reports = tuple  # earlier reports of this project, oldest first; a store has them

    @staticmethod
    def for_project(project: Any, store: Any) -> Session:
        """The session of a stored project."""
        model = load_model(project.model)
        paths = (project.evaluation, project.calibration, project.training)
        evaluation, calibration, training = (load_data(path) if path else None for path in paths)
        session = Session(model, evaluation, calibration, training, metric=project.metric or None, cache=store.cache_folder(project.id))
        session.reports = lambda: [(r.id, partial(store.runs.report, r.id)) for r in store.runs.all(project.id, "measure")[-MAX_REPORTS:]]
        return session

    def open(self, progress: Progress = silent) -> dict[str, Any]:
        """Facts about the model and its data; nothing is quantized."""
        progress(0.0, "Reading the model")
        facts = model_facts(self.model)
        data = data_facts(self.evaluation, self.calibration, self.training)
        return facts | {"data": data, "metric": metric_facts(self.metric), "notes": list(self.notes)}

    def graph(self, progress: Progress = silent) -> dict[str, Any]:
        """The network as it is drawn: nodes and edges, without places."""
        progress(0.0, "Drawing the network")
        return drawing(self.model)

    def resolve(self, recipe: Recipe, progress: Progress = silent, strict: bool = False) -> dict[str, Any]:
        """What follows from the recipe alone, without running anything.

        Raises:
            IllegalPrecision: under `strict`, a layer would not get what it asks for, or what it gets is illegal on the target.
        """
        room = self._rooms.sketch(recipe, progress)
        if strict:
            sim = room.enter(recipe)
            resolve(sim.model, recipe, sim.target, sim.placement, strict=True)
        return resolved(room.enter(recipe), room.state(recipe)) | {"foresight": self._foreseeing.of(room, recipe)}

    def ahead(self, recipe: Recipe, moves: Mapping[str, str], progress: Progress = silent) -> dict[str, Any]:
        """What moves would bring with them: layers and tensors that follow, changes of type, cost, and what `strict` would refuse.

        `moves`: layer → precision, `base` or `float`; the key `base` moves the base. See `engine.analysis.consequences`.
        """
        room = self._rooms.sketch(recipe, progress)
        sim = room.enter(recipe)
        return consequences(sim, sim.moved(moved_recipe(sim, recipe, moves)))

    def float_value(self, progress: Progress = silent) -> dict[str, Any]:
        """The float model's score with its interval."""
        begin = time.perf_counter()
        comparison, metric = self._compare(progress)
        found = comparison.float_score(progress)
        return {"fp32": {"metric": metric.name, **found.to_json()}, "samples": found.n, "seconds": time.perf_counter() - begin}

    def measure(self, recipe: Recipe, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """Runs the whole recipe on the evaluation data: the report. `partial` gets the numbers of fewer samples first."""
        return self._measured(recipe, progress, partial)[0]

    def simulate(self, recipe: Recipe, progress: Progress = silent) -> dict[str, Any]:
        """The report of the whole recipe, steps included: float against quantized on the evaluation data."""
        return self.measure(recipe, progress)

    def simulate_outputs(self, recipe: Recipe, progress: Progress = silent) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """`simulate`, and the outputs in the data's own order as `fp32/NAME` and `quantized/NAME`."""
        found, outputs = self._measured(recipe, progress, None)
        comparison, _ = self._compare(progress)
        back = np.argsort(self.order) if self.order is not None else slice(None)
        arrays = {f"fp32/{name}": array[back] for name, array in comparison.float_outputs().items()}
        return found, arrays | {f"quantized/{name}": array[back] for name, array in outputs.items()}

    def repair(self, recipe: Recipe, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """What each step of the recipe gives: every prefix of its steps measured, each against the one before it, in pairs.

        `partial` gets the rows that are done, and live figures of the step that runs.
        """
        self._compare(progress)
        return repairing_of(self).repair(recipe, progress, partial) | {"content": list(self.content()), "notes": list(self.notes)}

    def repair_known(self, recipe: Recipe) -> dict[str, Any] | None:
        """The same, where all of it was measured before; else None."""
        self._compare(silent)
        return repairing_of(self).known(recipe)

    def training_kept(self, recipe: Recipe) -> dict[str, Any]:
        """The epochs on disk of the training that the recipe ends with, a killed or stopped one: `training`, as
        `engine.qat.Training` tells them; None where there are none. Nothing is trained."""
        from engine.training import kept_training

        data = self.training or self.calibration
        found = None if self._cache is None or data is None else kept_training(recipe, self._rooms.before_last, data, self._cache)
        return {"training": found}

    def tune(self, recipe: Recipe, progress: Progress = silent, partial: Partial | None = None, **space: Any) -> dict[str, Any]:
        """Searches the settings of the recipe's training step; trials are kept, so that a stopped search goes on.

        `space`: see `engine.qat.trials.Space`.
        """
        from engine.tuning import tune  # Optuna takes half a second to load

        return tune(recipe, self._rooms.room, self.training or self.calibration, self._cache, space, progress, partial)

    def compare(self, left: Recipe | None, right: Recipe | None, progress: Progress = silent) -> dict[str, Any]:
        """Two recipes sample by sample; None is the float model. What was measured before is not run again."""
        metric = metric_facts(self.metric)
        if metric is None:
            raise BadInput("comparing runs needs evaluation data (--evaluation); none were given")
        found = self._answers().compare(left, right, lambda p: self._compare(p)[0], self._measure_for, progress)
        return found | {"metric": metric}

    def curve(self, recipe: Recipe, precisions: Sequence[str], progress: Progress = silent, partial: Partial | None = None,
              **given: Any) -> dict[str, Any]:
        """The curve that predicts the metric's drop from summed scores, for recipes that differ from this one in precisions.

        `given`: see `engine.predicting.Ask`. `partial` gets it as it grows.
        """
        return self._predictions(progress).curve(recipe, curve_asked(precisions, **given), progress, partial)

    def additivity(self, recipe: Recipe, precisions: Sequence[str], progress: Progress = silent, **given: Any) -> dict[str, Any]:
        """How well the scores of this recipe's layers add up to the score of the whole, and the pairs where they do not."""
        return self._predictions(progress).additivity(recipe, curve_asked(precisions, **given), progress)

    def search(self, scores: Mapping[str, Any] | Sequence[str], recipe: Recipe | None = None, **given: Any) -> Recipe:
        """The recipe that `search_report` chooses; raises `BadInput` where nothing measured keeps to the target."""
        return found_recipe(self.search_report(scores, recipe, **given))

    def search_report(self, scores: Mapping[str, Any] | Sequence[str], recipe: Recipe | None = None, holdout: Dataset | None = None,
                      progress: Progress = silent, partial: Partial | None = None, **given: Any) -> dict[str, Any]:
        """The right bits for every layer: a Pareto front of measured recipes, the chosen one, and its promise on unused samples.

        `scores`: what `sensitivity` said, or candidates that are scored now. `recipe`: what all recipes share. `given`: the target
        and how it is searched, see `engine.searching.SearchAsk` (`max_drop=0.01`).
        """
        return searching_of(self, scores, recipe, holdout, part(progress, 0.0, 0.2), **given).run(part(progress, 0.2, 1.0), partial)

    def takes(self, recipe: Recipe, precisions: Sequence[str], max_drop: float, progress: Progress = silent,
              partial: Partial | None = None, steps: Sequence[str] | None = None) -> dict[str, Any]:
        """What it takes to bring a recipe to a greatest drop: ranked moves (bits, calibration methods, steps), each a whole recipe.

        The gain of bits is predicted from scores, that of the others measured on some of the validation half.
        """
        return taking_of(self, recipe, precisions, max_drop).run(progress, partial, steps)

    def frontier(self, scores: Mapping[str, Any] | Sequence[str], recipe: Recipe | None = None, progress: Progress = silent,
                 **given: Any) -> dict[str, Any]:
        """What scores alone predict for every budget: nothing is measured. Arguments as for `search_report`."""
        return searching_of(self, scores, recipe, None, progress, **given).frontier()

    def solve(self, scores: Mapping[str, Any] | Sequence[str], recipe: Recipe | None = None, max_score: float | None = None,
              progress: Progress = silent, **given: Any) -> dict[str, Any]:
        """The proven best mix within budgets by scores alone; `max_score` stands for a greatest drop. Others as for `search_report`."""
        return solve(searching_of(self, scores, recipe, None, progress, **given), max_score, progress)

    def calibrate(self, recipe: Recipe, progress: Progress = silent) -> dict[str, Any]:
        """One pass over the calibration data, and a table of the ranges; clipping is counted on evaluation data too."""
        return self._ranging.table(recipe, progress)

    def sensitivity(self, question: Question | Sequence[str], recipe: Recipe | None = None, on: str = "calibration", racing: bool = False,
                    top: int = TOP, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """Scores of every layer (or other item) at the question's precisions, with intervals and rankings.

        `session.sensitivity(["w8a8", "w4a8"])` asks the usual question: one-on, layers, weights and activations.
        Scores are taken on the calibration data by default, so that the evaluation data stay unseen, and on the graph before any
        step of the recipe that rounds weights: rounded weights have no more error to show. Answers are kept
        by content: the same question twice costs nothing, and a stopped sweep goes on where it was.
        """
        if not isinstance(question, Question):
            question = Question(tuple(Precision.parse(p) for p in question))
        recipe = unrounded(recipe or Recipe())
        data = {"calibration": self.calibration, "evaluation": self.evaluation}.get(on)
        room = self._room(recipe, progress)
        if question.mode == "data-free" or data is None:
            return answer(room.enter(recipe), question, None, progress=progress)
        sim = room.calibrated(recipe, part(progress, 0.0, 0.1))
        some = data.subset(question.samples, question.seed)
        question = replace(question, samples=len(some))
        runner = room.ready_runner(some, progress)
        return answer(sim, question, some, self.metric, self._scores(recipe, question, some), runner.batch, racing, top,
                      part(progress, 0.1, 1.0), partial)

    def _scores(self, recipe: Recipe, question: Question, data: Dataset) -> ScoreCache | None:
        if self._cache is None:
            return None
        shared = [self.model.sha256, self._rooms.room(recipe).graph, data.sha256, metric_key(self.metric), question.mode]
        return ScoreCache(self._cache / "scores", json.dumps(shared))

    def diagnose(self, recipe: Recipe, layers: Sequence[str] | None = None, progress: Progress = silent) -> dict[str, Any]:
        """Why layers lose accuracy under this recipe, the gravest cause first, with remedies that were tried on the layer."""
        return self._ranging.causes(recipe, layers, progress)

    def layer_facts(self, recipe: Recipe, name: str, progress: Progress = silent) -> dict[str, Any]:
        """One layer for the inspector; with calibration data its ranges are there too."""
        room = self._room(recipe, progress)
        sim = room.enter(recipe) if self.calibration is None else room.calibrated(recipe, progress)
        return layer_facts(sim, name, self.calibration)

    def export(self, recipe: Recipe, out: Path | str, progress: Progress = silent, versions: tuple[str, ...] = ("1.0.0", "0.6.1"),
               allow_illegal: bool = False, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Writes the float model with its encodings, the QDQ model, the recipe and the report to a folder."""
        from engine.exporting import write

        sim = self._room(recipe, part(progress, 0.0, 0.2)).calibrated(recipe, part(progress, 0.2, 0.4))
        return write(sim, Path(out), part(progress, 0.4, 1.0), versions, allow_illegal, found)

    def verify(self, folder: Path, progress: Progress = silent) -> dict[str, Any]:
        """Re-reads exported files and runs them against the simulation on the evaluation data: the certificate."""
        from engine.export import verify

        if self.evaluation is None:
            raise BadInput("verifying needs evaluation data (--evaluation)")
        return verify(folder, self.evaluation, progress).to_json()

    def quantize(self, recipe: Recipe, out: Path, progress: Progress = silent, allow_illegal: bool = False,
                 waterfall: bool = False) -> dict[str, Any]:
        """Measures, exports and verifies in one go. The report says what each step gave, where that is asked for or known."""
        from engine.exporting import quantized

        self._rooms.sketch(recipe).enter(recipe).plan.refuse_illegal(allow_illegal)
        return quantized(self, recipe, out, progress, allow_illegal, waterfall)

    def _measured(self, recipe: Recipe, progress: Progress, partial: Partial | None) -> tuple[dict[str, Any], Outputs]:
        begin = time.perf_counter()
        comparison, metric = self._compare(progress)
        room = self._room(recipe, progress)
        sim = room.calibrated(recipe, part(progress, 0.0, 0.2))
        runner = room.ready_runner(comparison.data, progress)
        tell = None if partial is None else lambda m: partial(measured(metric.name, m))
        early = self._room(unrounded(recipe))
        run = runner.kept_run(sim.quantization, self._kept, room.graph)
        floats = early.ready_runner(comparison.data, progress).kept_run(FLOAT, self._kept, early.graph)
        self._kept.begin((*run.keys, *floats.keys))
        found, outputs = comparison.measure(runner, sim.quantization, part(progress, 0.2, 0.9), tell, run)
        places = {layer.name: layer.output for layer in sim.model.layers}
        sqnr = self._noise.sqnr(run, floats, comparison.data, runner.batch, places, part(progress, 0.9, 1.0))
        extra = {"seconds": time.perf_counter() - begin, "steps": [s.to_json() for s in room.reports], "notes": list(self.notes),
                 "content": list(self.content()), "kept_cuts": self._kept.facts(), "kl": output_kl(comparison, outputs)}
        whole = report(self.model, sim, recipe, metric.name, found, sqnr, extra)
        answers = self._answers().keep(recipe, comparison, outputs, whole)
        return whole | {"per_class": self._answers().classes(comparison, answers)}, outputs

    def content(self) -> tuple[str, ...]:
        """What every measurement depends on beside its recipe: model, evaluation and calibration data, metric."""
        data = (self.evaluation, self.calibration)
        return (self.model.sha256 or "", *("" if d is None else d.sha256 for d in data), self.metric.name if self.metric else "")

    def _predictions(self, progress: Progress) -> Predicting:
        if self._predicting is None:
            comparison, _ = self._compare(progress)
        if self._predicting is None:  # still: another job may have run meanwhile, and its scores are to be kept
            self._predicting = predicting_of(self, comparison, self._scores, self._cache, lambda: self.reports())
        return self._predicting

    def _measure_for(self, recipe: Recipe, progress: Progress) -> None:
        self._measured(recipe, progress, None)

    def _answers(self) -> Answering:
        if self._answering is None:
            self._answering = answering_of(self, self._cache)
        return self._answering

    def _room(self, recipe: Recipe, progress: Progress = silent) -> Room:
        return self._rooms.room(recipe, progress)

    def _compare(self, progress: Progress) -> tuple[Comparison, Metric]:
        if self.evaluation is None or self.metric is None:
            raise BadInput("measuring needs evaluation data (--evaluation); none were given")
        if self._comparison is None:
            progress(0.0, "Preparing the float model")
        if self._comparison is None:  # still: another job may have run meanwhile
            from engine.sim.chain import Chain

            self._comparison = Comparison(Runner(Chain(self.model), self.evaluation), self.evaluation, self.metric)
        return self._comparison, self.metric
