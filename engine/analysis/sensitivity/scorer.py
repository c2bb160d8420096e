"""Scores of one output against the float model's: the built-in kinds, and the task metric's drop."""
from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.analysis.sensitivity.kinds import SCORES, Array, ScoreKind
from engine.data import Dataset
from engine.data.metrics import Metric
from engine.errors import BadInput

DROP = "metric_drop"
Score = Callable[[Array, Array, Array], dict[str, Array]]


def metric_kind(metric: Metric | None, data: Dataset, outputs: int) -> tuple[ScoreKind | None, str | None]:
    """The task metric as a score, else why there is none (nothing to say where it is among the scores already).

    A user's function is called as everywhere, `f(outputs, labels)`.
    """
    if metric is None or metric.against == "float":
        return None, None
    if data.labels is None:
        return None, f"{metric.name} is no score here: these data have no labels. Ask for the other data (`on`), or add labels to these."
    if outputs > 1 and not metric.builtin:
        return None, f"{metric.name} is no score here: a sweep scores the first output alone, and this model has {outputs}."
    doc = "drop of the task metric, the mean over samples; positive is a loss"
    if not metric.per_sample:
        doc += "; a metric that gives one number for a set is taken on each sample by itself"
    return ScoreKind(DROP, f"{metric.name}, float minus quantized", False, doc, lambda a, b: a), None


def metric_key(metric: Metric | None) -> str:
    """What scores by this metric depend on: its name, and for a user's function the file it stands in."""
    if metric is None:
        return ""
    if metric.builtin:
        return metric.name
    try:
        source = Path(inspect.getfile(inspect.unwrap(metric.function))).read_bytes()
    except (OSError, TypeError):  # no function of a file: its scores hold for this process alone
        source = f"{os.getpid()} {id(metric.function)}".encode()
    return f"{metric.name} {hashlib.sha256(source).hexdigest()[:24]}"


def scorer(metric: Metric | None, data: Dataset) -> Score:
    """Per-sample parts of every built-in score, and of `metric` where one is given, from (float output, output, sample numbers)."""
    drop = None if metric is None else _Drop(metric, data)

    def score(reference: Array, found: Array, samples: Array) -> dict[str, Array]:
        parts = {kind.name: kind.parts(reference, found) for kind in SCORES.values()}
        if drop is not None:
            parts[DROP] = drop(reference, found, samples)
        return parts

    return score


class _Drop:
    """Float minus quantized score of a metric; the float model's is taken once a sample."""

    def __init__(self, metric: Metric, data: Dataset) -> None:
        assert data.labels is not None
        self._metric, self._labels = metric, data.labels
        self._before = np.full(len(data), np.nan)
        self._known = np.zeros(len(data), dtype=bool)

    def __call__(self, reference: Array, found: Array, samples: Array) -> Array:
        """Per-sample drops [n]; NaN where the metric says nothing of a sample."""
        fresh, rows = np.unique(samples, return_index=True)
        rows, fresh = rows[~self._known[fresh]], fresh[~self._known[fresh]]
        if len(fresh):
            self._before[fresh], self._known[fresh] = self._scores(reference[rows], fresh), True
        drops: Array = self._before[samples] - self._scores(found, samples)
        return drops

    def _scores(self, outputs: Array, samples: Array) -> Array:
        scores = self._metric.score(outputs, self._labels[samples])
        if not isinstance(scores, float):
            return scores
        return np.asarray([self._alone(outputs[i : i + 1], self._labels[s : s + 1]) for i, s in enumerate(samples)])

    def _alone(self, output: Array, label: Array) -> float:
        try:
            return float(np.mean(self._metric.score(output, label)))
        except BadInput:
            if not self._metric.builtin:
                raise
            return np.nan  # such as a picture in which no position has a label
