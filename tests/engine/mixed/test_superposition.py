"""Errors that add as vectors: a recipe that was never run is expected from others that share its options, pairs and all."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.error_vector import MOST, error_vector
from engine.analysis.sensitivity.kinds import SCORES
from engine.mixed.belief import Belief
from engine.mixed.space import Array, Choice
from engine.mixed.trial import Measured
from engine.mixed.trial_cache import TrialCache
from tests.engine.mixed.spaces import FIVE, drawn, made_up


class Vectors:
    """A network whose layers' errors are vectors that partly cancel."""

    def __init__(self, seed: int) -> None:
        self.space = made_up(8, seed, 3, grouped=False, spread=1.0)
        rng = np.random.default_rng(seed)
        size = np.sqrt(self.space.table[:, :, 0])
        common = rng.normal(size=40)
        spread = rng.normal(size=(*size.shape, 40)) + 0.8 * common * rng.choice((-1, 1), size.shape[0])[:, None, None]
        self.errors: Array = size[:, :, None] * spread / np.linalg.norm(spread, axis=-1, keepdims=True)

    def error(self, choice: Choice) -> Array:
        return np.asarray(self.errors[np.arange(len(choice)), list(choice)].sum(0))

    def kl(self, choice: Choice) -> float:
        return float((self.error(choice) ** 2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_two_changes_that_were_measured_alone_are_known_together(seed: int) -> None:
    import random

    network = Vectors(seed)
    with_errors, alone = Belief([network.space]), Belief([network.space])
    base = network.space.uniform(FIVE[1])
    singles = [(*base[:i], 2, *base[i + 1 :]) for i in range(8)]
    rng = random.Random(seed)
    for choice in dict.fromkeys([base, *singles, *(drawn(network.space, rng) for _ in range(12))]):
        with_errors.learn(0, choice, network.kl(choice), network.error(choice))
        alone.learn(0, choice, network.kl(choice))
    pairs = []
    for i, j in itertools.combinations(range(8), 2):
        pair = list(base)
        pair[i] = pair[j] = 2
        pairs.append(tuple(pair))
    true = np.array([network.kl(c) for c in pairs])
    mean, deviation = with_errors.expected(0, np.array(pairs))
    off = np.abs(mean - true) / true
    assert np.median(off) < 0.08
    assert np.median(off) < 0.5 * np.median(np.abs(alone.expected(0, np.array(pairs))[0] - true) / true)
    assert (np.abs(mean - true) < 4 * deviation).mean() > 0.9


def test_before_anything_was_measured_the_sum_is_expected_and_one_without_an_error_ends_it() -> None:
    network = Vectors(0)
    belief, choice = Belief([network.space]), network.space.uniform(FIVE[2])
    assert belief.expected(0, np.array([choice]))[0] == pytest.approx(network.space.totals(choice)[0])
    belief.learn(0, choice, network.kl(choice), network.error(choice))
    belief.learn(0, network.space.uniform(FIVE[0]), 0.1)
    assert np.isfinite(belief.expected(0, np.array([choice]))[0]).all()


@pytest.mark.parametrize("shape", [(16, 10), (6, 3, 4), (4, 5, 6, 6), (64, 300), (8, 1)])
def test_the_length_is_the_kl_and_small_errors_add(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(0, 2, shape).astype(np.float32)
    first, second = (rng.normal(0, 0.02, shape).astype(np.float32) for _ in range(2))

    def vector(error: Array) -> Array:
        outputs = reference + error
        return error_vector(reference, outputs, float(np.mean(SCORES["kl"].parts(reference, outputs))))

    a, b, both = vector(first), vector(second), vector(first + second)
    assert a.size <= MOST
    assert float((both**2).sum()) == pytest.approx(float(np.mean(SCORES["kl"].parts(reference, reference + first + second))), rel=1e-4)
    assert np.linalg.norm(both - a - b) < 0.05 * np.linalg.norm(both)


def test_an_error_of_nothing_and_one_without_bounds_are_no_error() -> None:
    reference = np.ones((4, 5), np.float32)
    assert not error_vector(reference, reference, 0.0).any()
    assert not error_vector(reference, np.full_like(reference, np.inf), float("inf")).any()


def test_what_is_kept_on_disk_has_its_error(tmp_path: Path) -> None:
    cache = TrialCache(tmp_path, ["content"])
    error = np.linspace(-1, 1, 7, dtype=np.float32)
    cache.save("a", Measured(0.1, 0.0, (0.0, 0.1), 10, 0.9, 20.0, error=error))
    cache.save("b", Measured(0.1, 0.0, None, 10, 0.9, 20.0))
    known, bare = cache.load("a"), cache.load("b")
    assert known is not None
    assert known.error is not None
    assert (known.error == error).all()
    assert bare == Measured(0.1, 0.0, None, 10, 0.9, 20.0)
    for path in tmp_path.glob("*.json"):
        path.write_text(path.read_text().replace('"error": "', '"error": "#'))
    assert cache.load("a") is None or cache.load("a") == known
