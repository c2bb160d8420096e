"""A session's answers sample by sample: each recipe is run once, kept, and compared from then on at no cost."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.answers import Answers, AnswerStore, answers_of
from engine.analysis.class_losses import per_class
from engine.analysis.closeness import closeness
from engine.analysis.comparison import compare
from engine.analysis.decisions import axis_of_classes, decide
from engine.analysis.measure import Comparison
from engine.analysis.pictures import pictures_of
from engine.analysis.runner import Outputs
from engine.analysis.truth import Truth, truth_of
from engine.data.dataset import Array, Dataset
from engine.progress import Progress, part, silent
from engine.recipe import Recipe
from engine.sim.padding import Padding

FLOAT = "float"
LAYER_KEYS = ("name", "module", "op_type", "kind", "requested", "precision", "legal", "reason", "bypassed", "sqnr_db", "params", "macs",
              "size_bytes", "fp32_size_bytes", "bops")
Measure = Callable[[Recipe, Progress], None]


class Answering:
    """Answers of recipes (and of the float model) on one evaluation set."""

    def __init__(self, data: Dataset, order: Array | None, context: object, cache: Path | None,
                 mask: Callable[[], Array | None] = lambda: None) -> None:
        """`order`: each sample's place in the data as they came. `context`: model, data and metric, as plain values.
        `mask`: what is 0 where there is padding, [N, positions]; asked for once."""
        self._data, self._order = data, order
        self._store = AnswerStore(None if cache is None else cache / "answers", context)
        self._fresh: dict[str, Answers] = {}
        self._mask = lru_cache(maxsize=1)(mask)

    def keep(self, recipe: Recipe | None, comparison: Comparison, outputs: Outputs, report: Mapping[str, Any] | None = None) -> Answers:
        """Keeps what a run answered."""
        name = comparison.runner.chain.output_names[0]
        first, told = outputs[name], None if report is None else short(report)
        axis = axis_of_classes(first, self._data.labels, comparison.metric.name == "agreement" or comparison.decides)
        decided = None if axis is None else decide(first, axis)
        close = closeness(first, comparison.float_outputs()[name], self._mask()) if decided is None and _comparable(first) else None
        answers = answers_of(comparison.scores(outputs), decided, told, close)
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
        return truth_of(self._data.labels, self._data.classes, reference, self._mask())

    def classes(self, comparison: Comparison, answers: Answers) -> list[dict[str, Any]]:
        """What a run loses in each class against the float model; empty without labels."""
        reference = self._store.load(FLOAT) or self.keep(None, comparison, comparison.float_outputs())
        truth = self.truth(reference)
        rows = per_class(reference, answers, truth) if truth.source == "labels" else []
        return [{"name": r["name"], "samples": r["samples"], "fp32": r["left"], "quantized": r["right"], "drop": r["drop"],
                 **({"positions": r["positions"]} if "positions" in r else {})} for r in rows]

    def compare(self, left: Recipe | None, right: Recipe | None, float_model: Callable[[Progress], Comparison],
                measure: Measure, progress: Progress = silent) -> dict[str, Any]:
        """Two runs side by side; None is the float model. `measure` runs a recipe and calls `keep`."""
        reference = self.of(None, measure, part(progress, 0.0, 0.2), float_model)
        a = self.of(left, measure, part(progress, 0.2, 0.55), float_model)
        b = self.of(right, measure, part(progress, 0.55, 0.9), float_model)
        progress(0.92, "Drawing the samples that differ")
        pictures = pictures_of(self._data)
        if pictures is not None and pictures.layout == "hw" and len(a.positions) == 1:
            pictures = None  # a row a position, not a picture
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


def _comparable(output: Array) -> bool:
    """Whether an output is floats, a row a sample."""
    return output.ndim >= 1 and output.dtype.kind == "f" and len(output) > 0


def _key(recipe: Recipe | None) -> str:
    return FLOAT if recipe is None else recipe.fingerprint()


def answering_of(session: Any, cache: Path | None) -> Answering:
    """The answering of a session that has evaluation data."""
    calibration = None if session.calibration is None else session.calibration.sha256
    context = [session.model.sha256, session.evaluation.sha256, calibration, session.metric.name]

    def mask() -> Array | None:
        name = Padding.of(session.model).mask
        return None if name is None else np.asarray(session.evaluation.batch(0, len(session.evaluation))[name])

    return Answering(session.evaluation, session.order, context, cache, mask)
