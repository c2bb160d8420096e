"""The result of a sweep: per-sample parts of every score, and values with intervals made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.analysis.sensitivity.kinds import SCORES, Array, Item, Question, ScoreKind
from engine.data.builtin_metrics import MAX_DB

BOOTSTRAPS = 400
SEED = 0


@dataclass
class Table:
    """Scores of items x precisions.

    Attributes:
        parts: score name → [items, precisions, samples] (or with a last axis of 2); NaN where not measured.
        estimate: whether the values are estimates from gradients.
        kinds: what each score means; a task metric adds its own.
        samples: how many samples have been scored at least once.
        sizes: how much of the `kl` each sample is expected to hold (mean 1) where the largest came first, see `sizes.py`.
        far: estimates above this are too large for the second-order model that made them.
    """

    question: Question
    items: tuple[Item, ...]
    parts: dict[str, Array] = field(default_factory=dict)
    estimate: bool = False
    kinds: dict[str, ScoreKind] = field(default_factory=lambda: dict(SCORES))
    samples: int = 0
    seconds: float = 0.0
    sizes: Array | None = None
    far: float = np.inf

    def put(self, item: int, precision: int, first: int, parts: Mapping[str, Array]) -> None:
        """Stores per-sample parts of samples from `first` on."""
        for name, values in parts.items():
            if name not in self.parts:
                shape = (len(self.items), len(self.question.precisions), self.question.samples, *values.shape[1:])
                self.parts[name] = np.full(shape, np.nan, dtype=np.float64)
            self.parts[name][item, precision, first : first + len(values)] = values

    def count(self, name: str = "kl") -> Array:
        """Samples scored in each cell: [items, precisions]."""
        if name not in self.parts:
            return np.zeros((len(self.items), len(self.question.precisions)), dtype=np.int64)
        return np.isfinite(self._flat(name)).sum(2)

    def value(self, name: str) -> Array:
        """[items, precisions]; NaN where nothing was measured."""
        return self._pooled(name, np.ones((1, self.question.samples)))[0]

    def bootstrap(self, name: str, draws: int = BOOTSTRAPS, seed: int = SEED) -> Array:
        """[draws, items, precisions]: the value under samples drawn with replacement, the same draw for all cells.

        Common draws keep the differences between items paired: a hard sample is hard for all of them.
        """
        rng = np.random.default_rng(seed)
        measured = np.flatnonzero(np.isfinite(self._flat(name)).any((0, 1)))
        weights = np.zeros((draws, self.question.samples))
        if len(measured):
            picked = rng.integers(0, len(measured), (draws, len(measured)))
            for row, draw in enumerate(picked):
                np.add.at(weights[row], measured[draw], 1.0)
        return self._pooled(name, weights)

    def halves(self, name: str, splits: int = 20, seed: int = SEED) -> Array:
        """[splits, 2, items, precisions]: the value on random halves of the samples that all cells share."""
        rng = np.random.default_rng(seed)
        flat = self._flat(name)
        shared = np.flatnonzero(np.isfinite(flat).all((0, 1)))
        if len(shared) < 4:
            return np.empty((0, 2, *flat.shape[:2]))
        weights = np.zeros((splits, 2, self.question.samples))
        for split in weights:
            picked = rng.permutation(shared)
            split[0, picked[: len(picked) // 2]] = split[1, picked[len(picked) // 2 :]] = 1.0
        return self._pooled(name, weights.reshape(2 * splits, -1)).reshape(splits, 2, *flat.shape[:2])

    def interval(self, name: str) -> tuple[Array, Array]:
        """95 % bootstrap interval, (low, high) of [items, precisions] each."""
        draws = self.bootstrap(name)
        empty = np.isnan(draws).all(0)
        low, high = np.nanpercentile(np.where(empty, 0.0, draws), [2.5, 97.5], axis=0)
        return np.where(empty, np.nan, low), np.where(empty, np.nan, high)

    def _flat(self, name: str) -> Array:
        values = self.parts[name]
        return values if values.ndim == 3 else values[..., 0]

    def _pooled(self, name: str, weights: Array) -> Array:
        """The value under sample weights [draws, samples]: a weighted mean, or a ratio of weighted sums in dB."""
        values = self.parts[name]
        known = np.isfinite(self._flat(name))
        filled = np.where(known[..., None] if values.ndim == 4 else known, values, 0.0)
        if self.kinds[name].pool == "sqnr":
            signal, noise = (np.einsum("dn,ipn->dip", weights, filled[..., k]) for k in (0, 1))
            with np.errstate(all="ignore"):
                ratio = np.where(noise > 0, 10 * np.log10(signal / np.where(noise > 0, noise, 1)), MAX_DB)
            return np.where(signal > 0, np.minimum(ratio, MAX_DB), np.nan)
        total = np.einsum("dn,ipn->dip", weights, filled)
        counts = np.einsum("dn,ipn->dip", weights, self._shares(name, known))
        return np.where(counts > 0, total / np.where(counts > 0, counts, 1), np.nan)

    def _shares(self, name: str, known: Array) -> Array:
        """How many samples each one stands for: one, but in a cell with the hardest ones alone, as many as its size says."""
        if self.sizes is None or name != "kl":
            return known.astype(np.float64)
        return np.where(known, np.where(known.all(2, keepdims=True), 1.0, self.sizes), 0.0)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The `scores` of a result: one row per measured cell, in item order.

        After a race only the `kl` says something of all samples where some are missing: other scores have a row where they are whole.
        """
        if name not in self.parts:
            return []
        value, (low, high), counts = self.value(name), self.interval(name), self.count(name)
        kind, least = self.kinds[name], 1 if self.sizes is None or name == "kl" else self.question.samples
        return [
            {
                "layer": item.name,
                "precision": str(precision),
                "mode": self.question.mode,
                "what": self.question.what,
                "metric": name,
                "unit": kind.unit,
                "higher_is_better": kind.higher_is_better,
                "value": float(value[i, p]),
                "ci95": None if self.question.mode == "data-free" else [float(low[i, p]), float(high[i, p])],
                "samples": int(counts[i, p]),
                "estimate": self.estimate,
                **({"rough": bool(value[i, p] > self.far)} if self.estimate else {}),
            }
            for i, item in enumerate(self.items)
            for p, precision in enumerate(self.question.precisions)
            if counts[i, p] >= least
        ]
