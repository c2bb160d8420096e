"""A session's answers sample by sample: each recipe is run once, kept, and compared from then on at no cost."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.answers import Answers, AnswerStore, answers_of
from engine.analysis.comparison import Truth, compare, per_class, truth_of
from engine.analysis.measure import Comparison
from engine.analysis.pictures import pictures_of
from engine.analysis.runner import Outputs
from engine.data.dataset import Array, Dataset
from engine.progress import Progress, part, silent
from engine.recipe import Recipe

FLOAT = "float"
LAYER_KEYS = ("name", "module", "op_type", "kind", "requested", "precision", "legal", "reason", "bypassed", "sqnr_db", "params", "macs",
              "size_bytes", "fp32_size_bytes", "bops")
Measure = Callable[[Recipe, Progress], None]


class Answering:
    """Answers of recipes (and of the float model) on one evaluation set."""

    def __init__(self, data: Dataset, order: Array | None, context: object, cache: Path | None) -> None:
        """`order`: each sample's place in the data as they came. `context`: model, data and metric, as plain values."""
        self._data, self._order = data, order
        self._store = AnswerStore(None if cache is None else cache / "answers", context)
        self._fresh: dict[str, Answers] = {}

    def keep(self, recipe: Recipe | None, comparison: Comparison, outputs: Outputs, report: Mapping[str, Any] | None = None) -> Answers:
        """Keeps what a run answered."""
        first = outputs[comparison.runner.chain.output_names[0]]
        answers = answers_of(comparison.scores(outputs), first, None if report is None else short(report))
        if recipe is None or recipe.encodings is None:  # a file of encodings may change under the same recipe
            self._store.save(_key(recipe), answers)
        if recipe is not None:
            self._fresh = {_key(recipe): answers}
        return answers

    def known(self, recipe: Recipe | None) -> Answers | None:
        """What was kept of a run; None where it has to be run."""
        return self._store.load(_key(recipe))

    def of(self, recipe: Recipe | None, measure: Measure, progress: Progress = silent,
           float_model: Callable[[Progress], Comparison] | None = None) -> Answers:
        """The answers of a run, which `measure` runs (it calls `keep`) where they are not kept; None is the float model."""
        found = self.known(recipe)
        if found is None and recipe is not None:
            measure(recipe, progress)
            return self._fresh[_key(recipe)]
        if found is None:
            assert float_model is not None
            comparison = float_model(progress)
            return self.keep(None, comparison, comparison.float_outputs(progress))
        return found

    def truth(self, reference: Answers) -> Truth:
        """What counts as right."""
        return truth_of(self._data.labels, self._data.classes, reference)

    def classes(self, comparison: Comparison, answers: Answers) -> list[dict[str, Any]]:
        """What a run loses in each class against the float model; empty without labels."""
        reference = self._store.load(FLOAT) or self.keep(None, comparison, comparison.float_outputs())
        truth = self.truth(reference)
        rows = per_class(reference, answers, truth) if truth.source == "labels" else []
        return [{"name": r["name"], "samples": r["samples"], "fp32": r["left"], "quantized": r["right"], "drop": r["drop"]} for r in rows]

    def compare(self, left: Recipe | None, right: Recipe | None, float_model: Callable[[Progress], Comparison],
                measure: Measure, progress: Progress = silent) -> dict[str, Any]:
        """Two runs side by side; None is the float model. `measure` runs a recipe and calls `keep`."""
        reference = self.of(None, measure, part(progress, 0.0, 0.2), float_model)
        a = self.of(left, measure, part(progress, 0.2, 0.55), float_model)
        b = self.of(right, measure, part(progress, 0.55, 0.9), float_model)
        progress(0.92, "Drawing the samples that differ")
        pictures = pictures_of(self._data)
        order = np.arange(len(self._data)) if self._order is None else self._order
        found = compare(a, b, self.truth(reference), order, None if pictures is None else pictures.address)
        found["left"] |= {"report": a.report, "fingerprint": _key(left)}
        found["right"] |= {"report": b.report, "fingerprint": _key(right)}
        return found


def short(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what a comparison does not show."""
    keys = ("samples", "fp32", "quantized", "drop", "sqnr_db", "agreement", "cost", "boundaries", "target", "fingerprint", "seconds")
    layers = [{key: layer.get(key) for key in LAYER_KEYS} for layer in report.get("layers", [])]
    steps = [{"name": step.get("name"), "changes": len(step.get("changes", []))} for step in report.get("steps", [])]
    return {key: report[key] for key in keys if key in report} | {"layers": layers, "steps": steps}


def _key(recipe: Recipe | None) -> str:
    return FLOAT if recipe is None else recipe.fingerprint()


def answering_of(session: Any, cache: Path | None) -> Answering:
    """The answering of a session that has evaluation data."""
    calibration = None if session.calibration is None else session.calibration.sha256
    context = [session.model.sha256, session.evaluation.sha256, calibration, session.metric.name]
    return Answering(session.evaluation, session.order, context, cache)
