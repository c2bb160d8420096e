"""The paired tests against enumeration, against scipy, and against simulated chance."""
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from engine.data.paired_tests import mcnemar_exact, mcnemar_mid_p, paired_test
from engine.data.statistics import paired_drop
from engine.errors import BadInput


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (0, 6), (8, 7), (16, 16), (89, 27), (1673, 18)])
def test_exact_is_the_binomial_test(lost: int, won: int) -> None:
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar_exact(lost, won) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("lost", "won"), [(1, 0), (5, 2), (2, 5), (8, 7), (6, 6), (12, 3)])
def test_mid_p_counts_half_of_what_was_seen(lost: int, won: int) -> None:
    n = lost + won
    chance = [math.comb(n, k) / 2**n for k in range(n + 1)]
    as_rare = sum(p for k, p in enumerate(chance) if abs(k - n / 2) > abs(lost - n / 2))
    seen = sum(p for k, p in enumerate(chance) if abs(k - n / 2) == abs(lost - n / 2))
    assert mcnemar_mid_p(lost, won) == pytest.approx(as_rare + seen / 2)


def test_mid_p_is_symmetric_and_below_exact() -> None:
    for lost, won in ((3, 9), (40, 22), (0, 4)):
        assert mcnemar_mid_p(lost, won) == mcnemar_mid_p(won, lost) < mcnemar_exact(lost, won)


def test_a_hundred_thousand_changes_are_no_overflow() -> None:
    assert 0.0 < mcnemar_mid_p(50_400, 49_600) < 0.05
    assert mcnemar_mid_p(90_000, 10_000) == 0.0


def test_chance_is_called_significant_in_about_five_percent() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(2000):
        changed, side = rng.random(400) < 0.1, rng.random(400) < 0.5
        left = np.where(changed, side, 1.0)
        right = np.where(changed, ~side, 1.0)
        found += paired_test(left, right).significant
    assert 0.03 < found / 2000 < 0.065


def test_other_scores_take_students_t_as_scipy_does() -> None:
    rng = np.random.default_rng(1)
    left = rng.normal(0.9, 0.05, 200)
    right = left - rng.normal(0.004, 0.02, 200)
    found = paired_test(left, right)
    assert found.p == pytest.approx(stats.ttest_rel(left, right).pvalue, rel=1e-9)
    assert found.significant == paired_drop(left, right).significant
    assert found.p_exact is None and found.n == 200


def test_what_cannot_be_tested_says_why() -> None:
    assert paired_test(0.5, 0.4).p is None
    assert "one number" in paired_test(0.5, 0.4).why
    assert paired_test(np.full(9, 0.5), np.full(9, 0.5)).p == 1.0
    assert "same amount" in paired_test(np.full(4, 0.5), np.full(4, 0.25)).why
    with pytest.raises(BadInput, match="3 scores on the left and 2 on the right"):
        paired_test(np.ones(3), np.ones(2))
