"""What measured recipes say about the scores: a Gaussian process over recipes, with the sum of the scores as its mean.

A recipe's measured KL is taken as

    K(x) = r * sum s_i  +  sum d_i  +  sum over pairs 2 (e + e_ij) sqrt(s_i s_j)

with s_i the score of layer i's option as it came, d_i its error, e_ij the correlation of the noise of two options, e what
all pairs have in common (Cauchy-Schwarz: |e + e_ij| <= 1, so the term is how far a pair may be off its sum), and r one
factor for all. A priori d_i ~ N(0, (doubt s_i)²), e_ij ~ N(0, pair²), e ~ N(0, common²), r ~ N(1, scale²), all independent.
The pairs need not be listed: between two recipes they have the covariance 2 pair² ((sum u_i)² - sum u_i²), u_i =
sqrt(s_i s'_i) where both have the same option and 0 elsewhere. So recipes that differ in one layer say most about that
layer: this is what repair lives on. The widths are those of a small grid under which the measurements are most likely
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.30). What belongs to no layer is one more
row, with the base precision as its option. Where the errors of outputs are known, not the KL alone, `superposition.py` expects
better than this, and does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from engine.mixed.space import SCORE, Array, Choice, Space
from engine.mixed.superposition import Superposition

BLIND = 0.015  # of an expected value: its deviation is never less, since no network is a sum over pairs
NOISE = 0.01  # of a measured value: what the model leaves open
LEAST = 0.05  # of a score: however it is corrected, it never says that noise does good
ENOUGH, FIT = 6, 3  # measurements from which on the widths are fitted, and how often


@dataclass(frozen=True)
class Widths:
    """How far scores may be off: single ones, pairs, all together; relative."""

    doubt: float = 0.4
    pair: float = 0.15
    scale: float = 0.5
    common: float = 0.1


GRID = tuple(Widths(*w) for w in product((0.1, 0.3, 0.8), (0.03, 0.1, 0.2, 0.4), (0.2, 1.0), (0.02, 0.1, 0.3)))


class Belief:
    """Scores of all spaces (base precisions) of a search, corrected by measurements. Layers and precisions are numbered across them."""

    def __init__(self, spaces: Sequence[Space]) -> None:
        self.spaces, self.widths = tuple(spaces), Widths()
        names = list(dict.fromkeys([*(o.precision for s in spaces for p in s.places for o in p.options), *(s.base for s in spaces)]))
        number = {precision: i for i, precision in enumerate(names)}
        layers = len(spaces[0].places)
        self.scores: Array = np.zeros((layers + 1, len(names)))
        self._codes = []
        for space in spaces:
            width = space.table.shape[1]
            own = [[number[o.precision] for o in p.options] for p in space.places]
            self._codes.append(np.array([row + row[:1] * (width - len(row)) for row in own]))
            for i, place in enumerate(space.places):
                self.scores[i, own[i]] = [max(o.values[SCORE], 0.0) for o in place.options]
            self.scores[layers, number[space.base]] = max(space.constant[SCORE], 0.0)
        self._base, self._rows = [number[s.base] for s in spaces], np.arange(layers + 1)
        self._seen, self._values = np.zeros((0, layers + 1), dtype=int), np.zeros(0)
        self._own = np.zeros((0, layers + 1))
        self._parts = np.zeros((4, 0, 0))  # what the covariance of the measurements is made of, see `_terms`
        self._weights, self._inverse = np.zeros(0), np.zeros((0, 0))
        self._errors: Superposition | None = Superposition(layers + 1)
        self._late: list[tuple[Array, Array, float]] = []  # what is learned by the KL alone only once an error is missing

    def learn(self, space: int, choice: Choice, measured: float, error: Array | None = None) -> None:
        """A recipe was measured: KL per sample, in nats, and the error of its output (one without it, and errors are looked at no more)."""
        at = self._at(space, np.array([choice]))
        own = self.scores[self._rows, at]
        if error is None:
            self._errors = None
        if self._errors is not None and error is not None:
            self._errors.learn(at, own, error)
        self._late.append((at, own, measured))
        if self._errors is None:
            for each in self._late:
                self._learn(*each)
            self._late.clear()

    def _learn(self, at: Array, own: Array, measured: float) -> None:
        self._seen, self._own = np.vstack([self._seen, at]), np.vstack([self._own, own])
        self._values = np.append(self._values, measured)
        column = self._terms(self._seen, self._own, at, own)
        self._parts = np.concatenate([np.concatenate([self._parts, column[:, :-1].transpose(0, 2, 1)], 1), column], 2)
        if len(self._values) >= ENOUGH and len(self._values) % FIT == 0:
            self.widths = max(GRID, key=self._likelihood)
        self._inverse = np.linalg.inv(self._covariance(self.widths))
        self._weights = self._inverse @ (self._values - self._own.sum(1))

    def expected(self, space: int, choices: Array) -> tuple[Array, Array]:
        """(mean, standard deviation) of the KL of recipes [n, layers], each [n]."""
        at = self._at(space, choices)
        own = self.scores[self._rows, at]
        if self._errors is not None and len(self._errors):
            return self._errors.expected(at, own)
        if not len(self._values):
            return own.sum(1), self.widths.scale * own.sum(1)
        cross = self._mixed(self._terms(at, own, self._seen, self._own), self.widths)
        mean = own.sum(1) + cross @ self._weights
        total, squares = own.sum(1), (own**2).sum(1)
        pairs = np.sqrt(own).sum(1) ** 2 - total
        alone = self._mixed(np.array([squares, total**2, 2 * (total**2 - squares), pairs**2]), self.widths)
        variance = np.maximum(alone - ((cross @ self._inverse) * cross).sum(1), 0.0)
        return np.maximum(mean, LEAST * total), np.sqrt(variance + (BLIND * mean) ** 2)

    def around(self, space: int, choice: Choice) -> Space:
        """The space with scores that hold near a choice: the KL expected with one option changed, and all sums right at the choice."""
        here, found = self.spaces[space], self.spaces[space].table[:, :, SCORE].copy()
        singles = self.singles(space, choice)
        mean, _ = self.expected(space, np.array([c for _, _, c in singles] + [choice]).reshape(-1, len(choice)))
        own = found[np.arange(len(choice)), list(choice)]
        total = float(own.sum()) + here.constant[SCORE]
        factor = float(mean[-1]) / total if total > 0 else 1.0
        scores = np.where(np.isfinite(found), found * factor, 0.0)
        for (place, option, _), value in zip(singles, mean[:-1], strict=True):
            scores[place, option] = scores[place, choice[place]] + float(value - mean[-1])
        return here.with_scores(np.maximum(scores, 0.0), here.constant[SCORE] * factor)

    def singles(self, space: int, choice: Choice) -> list[tuple[int, int, Choice]]:
        """All (layer, option, choice with that option) that differ from a choice in one layer; groups may disagree in them."""
        return [(i, o, (*choice[:i], o, *choice[i + 1 :])) for i, place in enumerate(self.spaces[space].places)
                for o in range(len(place.options)) if o != choice[i]]

    def _at(self, space: int, choices: Array) -> Array:
        """The numbers of the precisions [n, layers and the rest]."""
        found = self._codes[space][np.arange(choices.shape[1])[None, :], choices]
        return np.hstack([found, np.full((len(choices), 1), self._base[space])])

    def _terms(self, at: Array, own: Array, other: Array, theirs: Array) -> Array:
        """[4, n, m] between two lists of recipes: shared options, all together, pairs of shared options, all pairs."""
        found = np.empty((4, len(at), len(other)))
        roots, total = np.sqrt(own), own.sum(1)
        pairs = roots.sum(1) ** 2 - total
        for column, (codes, values) in enumerate(zip(other, theirs, strict=True)):
            same = at == codes
            shared = np.where(same, own, 0.0) @ values
            found[0, :, column] = shared
            found[1, :, column] = total * values.sum()
            found[2, :, column] = 2 * ((np.where(same, roots, 0.0) @ np.sqrt(values)) ** 2 - shared)
            found[3, :, column] = pairs * (np.sqrt(values).sum() ** 2 - values.sum())
        return found

    @staticmethod
    def _mixed(terms: Array, w: Widths) -> Array:
        found: Array = w.doubt**2 * terms[0] + w.scale**2 * terms[1] + w.pair**2 * terms[2] + w.common**2 * terms[3]
        return found

    def _covariance(self, w: Widths) -> Array:
        noise = (NOISE * np.maximum(np.maximum(self._values, self._own.sum(1)), 1e-12)) ** 2
        found: Array = self._mixed(self._parts, w) + np.diag(noise)
        return found

    def _likelihood(self, w: Widths) -> float:
        covariance, off = self._covariance(w), self._values - self._own.sum(1)
        sign, size = np.linalg.slogdet(covariance)
        return -np.inf if sign <= 0 else float(-0.5 * off @ np.linalg.solve(covariance, off) - 0.5 * size)
