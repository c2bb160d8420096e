"""What measured recipes say about others, by the errors of their outputs: a Gaussian process whose values are vectors.

The error of a recipe's output is taken as the sum of what each layer's option adds, a vector of random direction whose squared
length is the option's score (so that the expected KL of what was never measured is the sum of the scores), and of what
pairs of options add together. One measurement tells as many numbers as the output has, all of them under one covariance
between recipes, so two recipes that differ in a layer each, from a third one, say what both changes do at once: how errors
of layers cancel and add up need not be measured pair by pair. Only inner products of errors are kept.

    cov(x, y) = a (S + pair P / n + common n),  S = sum sqrt(s_i s'_i) over shared options,  P = S² less its squares,
    n = sqrt(sum s_i sum s'_i)

and every recipe has a share `own` that is its own alone: a type that changes in one place rounds anew all that follows. The
expected KL is the squared length of the expected error plus its variance. The widths are those of a small grid under which
the errors are most likely, `a` the best for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from engine.mixed.space import Array

BLIND = 0.015  # of an expected value: its deviation is never less
DIRECTIONS = 20.0  # in which errors of a network spread; they are far fewer than its outputs
CAUTION = 3.0  # measurements that `a = 1` counts as
ENOUGH, OFTEN = 4, 10  # measurements from which on the widths are fitted, and how often: after a share of 1 / OFTEN more


@dataclass(frozen=True)
class Widths:
    """Shares of the errors, relative to the sum of the scores."""

    pair: float = 0.1
    common: float = 0.0
    own: float = 0.03


GRID = tuple(Widths(*w) for w in product((0.03, 0.1, 0.3, 1.0), (0.0, 0.03, 0.1), (0.003, 0.01, 0.03, 0.06, 0.1, 0.2)))


class Superposition:
    """Measured recipes as rows of option numbers with their scores, and the inner products of their errors."""

    def __init__(self, rows: int) -> None:
        self.widths, self.size = Widths(), 1.0
        self._seen, self._own = np.zeros((0, rows), dtype=int), np.zeros((0, rows))
        self._errors: list[Array] = []
        self._next = ENOUGH
        self._products: Array = np.zeros((0, 0))
        self._parts: Array = np.zeros((3, 0, 0))
        self._inverse: Array = np.zeros((0, 0))
        self._lengths: Array = np.zeros((0, 0))

    def __len__(self) -> int:
        return len(self._errors)

    def learn(self, at: Array, own: Array, error: Array) -> None:
        """One recipe: options [1, rows], their scores [1, rows], and the error of its output."""
        self._errors.append(error)
        self._seen, self._own = np.vstack([self._seen, at]), np.vstack([self._own, own])
        self._products = _grown(self._products, np.array([float(np.dot(e, error)) for e in self._errors]))
        column = self._terms(self._seen, self._own, at, own)[:, :, 0]
        self._parts = np.array([_grown(part, new) for part, new in zip(self._parts, column, strict=True)])
        if len(self) >= self._next:
            self.widths, self._next = max(GRID, key=self._likelihood), len(self) + max(2, len(self) // OFTEN)
        covariance = self._covariance(self.widths)
        self._inverse = np.linalg.inv(covariance)
        self.size = (float((self._inverse * self._products).sum()) + CAUTION) / (len(self) + CAUTION)
        self._lengths = self._inverse @ self._products @ self._inverse

    def expected(self, at: Array, own: Array) -> tuple[Array, Array]:
        """(mean, standard deviation) of the KL of recipes [n, rows], each [n]."""
        cross = self._mixed(self._terms(at, own, self._seen, self._own), self.widths)
        length = np.maximum(((cross @ self._lengths) * cross).sum(1), 0.0)
        total = own.sum(1)
        pairs = total**2 - (own**2).sum(1)
        alone = self._mixed(np.array([total, pairs / np.maximum(total, 1e-30), total]), self.widths)
        variance = self.size * (np.maximum(alone - ((cross @ self._inverse) * cross).sum(1), 0.0) + self.widths.own * total)
        mean = length + variance
        return mean, np.sqrt((4 * length * variance + 2 * variance**2) / DIRECTIONS + (BLIND * mean) ** 2)

    def _terms(self, at: Array, own: Array, other: Array, theirs: Array) -> Array:
        """[3, n, m] between two lists of recipes: shared options, pairs of them, all together."""
        kinds = 1 + max(int(at.max(initial=0)), int(other.max(initial=0)))
        one, two = _spread(at, np.sqrt(own), kinds), _spread(other, np.sqrt(theirs), kinds)
        shared = one @ two.T
        whole = np.sqrt(own.sum(1)[:, None] * theirs.sum(1)[None])
        return np.array([shared, (shared**2 - one**2 @ (two**2).T) / np.maximum(whole, 1e-30), whole])

    @staticmethod
    def _mixed(terms: Array, w: Widths) -> Array:
        found: Array = terms[0] + w.pair * terms[1] + w.common * terms[2]
        return found

    def _covariance(self, w: Widths) -> Array:
        found: Array = self._mixed(self._parts, w) + np.diag(w.own * np.maximum(self._own.sum(1), 1e-15))
        return found

    def _likelihood(self, w: Widths) -> float:
        covariance = self._covariance(w)
        sign, size = np.linalg.slogdet(covariance)
        if sign <= 0:
            return -np.inf
        quadratic = max(float((np.linalg.inv(covariance) * self._products).sum()), 1e-300)
        return float(-size - len(self) * np.log(quadratic / len(self)))


def _spread(at: Array, values: Array, kinds: int) -> Array:
    """[n, rows x kinds]: each value at the place of its option, so that a product of two adds up what they share."""
    found = np.zeros((*at.shape, kinds))
    np.put_along_axis(found, at[:, :, None], values[:, :, None], 2)
    return found.reshape(len(at), -1)


def _grown(square: Array, column: Array) -> Array:
    """A symmetric matrix with one more row and column; the last number of `column` is the new corner."""
    n = len(column)
    found = np.empty((n, n))
    found[:-1, :-1], found[-1], found[:, -1] = square, column, column
    return found
