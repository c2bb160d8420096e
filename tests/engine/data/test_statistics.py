"""Intervals against hand-worked and published numbers, and against what they promise: 95 % coverage."""
from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Drop, interval, paired_drop
from engine.data.statistics import Z95, t_quantile, tango, tango_statistic, wilson
from engine.errors import BadInput


def test_wilson_against_published_numbers() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: method 3 (score, no continuity correction).
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_tango_by_hand() -> None:
    # No discordant pair: |T| = sqrt(n d / (1 - d)) = z has the solution d = z² / (n + z²).
    edge = Z95**2 / (100 + Z95**2)
    assert tango(0, 0, 100) == pytest.approx((-edge, edge))
    assert tango(5, 5, 2000) == pytest.approx(tuple(-v for v in reversed(tango(5, 5, 2000))))
    # 12 lost and 2 won of 50: Wald gives 0.2 ± 1.96 sqrt(14 - 100/50) / 50 = (0.064, 0.336).
    low, high = tango(12, 2, 50)
    assert 0.05 < low < 0.064
    assert 0.336 < high < 0.35
    for end in (low, high):
        assert abs(tango_statistic(end, 12, 2, 50)) == pytest.approx(Z95, abs=1e-6)


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0, 1))
def test_tango_holds_the_estimate_and_is_never_of_zero_width(n: int, share: float, lost_share: float) -> None:
    discordant = round(n * share)
    lost = round(discordant * lost_share)
    won = discordant - lost
    low, high = tango(lost, won, n)
    assert -1 <= low <= (lost - won) / n <= high <= 1
    assert high - low > 0.5 / n
    mirrored = tango(won, lost, n)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize(("n", "lost", "won"), [
    (50, 0.10, 0.05), (200, 0.02, 0.01), (200, 0.05, 0.05), (2000, 0.01, 0.004), (500, 0.002, 0.002)])
def test_tango_covers_95_percent(n: int, lost: float, won: float) -> None:
    rng = np.random.default_rng(1)
    draws = rng.multinomial(n, [lost, won, 1 - lost - won], size=1500)
    ends = {key: tango(*key, n) for key in {(int(a), int(b)) for a, b, _ in draws}}
    covered = np.mean([ends[int(a), int(b)][0] <= lost - won <= ends[int(a), int(b)][1] for a, b, _ in draws])
    assert covered >= 0.93
    if lost + won > 0.01:
        assert covered <= 0.98


def test_student_against_tables_and_by_simulation() -> None:
    table = {1: 12.7062, 2: 4.3027, 3: 3.1824, 5: 2.5706, 10: 2.2281, 30: 2.0423, 100: 1.9840, 1000: 1.9623}
    assert {df: round(t_quantile(df), 4) for df in table} == table
    rng = np.random.default_rng(2)
    samples = rng.normal(0.3, 2.0, (1500, 12))
    covered = np.mean([(r := interval(row).ci95) is not None and r[0] <= 0.3 <= r[1] for row in samples])
    assert 0.935 <= covered <= 0.965


def test_the_interval_says_how_it_was_made() -> None:
    right = interval(np.array([1, 1, 0, 1]))
    assert (right.value, right.n, right.method) == (0.75, 4, "Wilson")
    assert right.ci95 == pytest.approx(wilson(3, 4))
    some = interval(np.array([2.0, 4.0, 6.0]))
    assert some.method == "Student's t"
    assert some.ci95 == pytest.approx((4 - 4.3027 * 2 / math.sqrt(3), 4 + 4.3027 * 2 / math.sqrt(3)), abs=1e-3)
    assert interval(0.7).ci95 is None
    assert interval(np.array([3.5])).ci95 is None
    constant = interval(np.full(100, 0.5))
    assert constant.ci95 is not None
    assert constant.ci95[0] < 0.5 < constant.ci95[1]
    assert constant.method.startswith("no variation seen")


def test_the_drop_counts_flips_and_pairs_samples() -> None:
    before, after = np.array([1, 1, 1, 0, 0, 1]), np.array([1, 0, 0, 1, 0, 1])
    drop = paired_drop(before, after)
    assert (drop.flips_lost, drop.flips_won, drop.n, drop.method) == (2, 1, 6, "Tango, paired")
    assert drop.value == pytest.approx(1 / 6)
    assert drop.ci95 == pytest.approx(tango(2, 1, 6))
    assert not drop.significant
    assert paired_drop(np.ones(50), np.zeros(50)).significant


def test_equal_scores_still_leave_some_doubt() -> None:
    for scores in (np.ones(2000), np.zeros(2000), np.full(2000, 0.25)):
        drop = paired_drop(scores, scores)
        assert drop.value == 0
        assert drop.ci95 is not None
        assert drop.ci95[0] < 0 < drop.ci95[1]
        assert drop.ci95[1] < 0.003


def test_pairing_makes_the_interval_narrower_where_samples_differ() -> None:
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 200)
    drop = paired_drop(hard + 0.3, hard + rng.normal(0, 0.1, 200))
    assert drop.method == "Student's t, paired"
    assert drop.ci95 is not None
    assert drop.ci95[1] - drop.ci95[0] < 0.05
    assert drop.significant


def test_numbers_have_no_interval_and_bad_scores_are_refused() -> None:
    drop = paired_drop(0.75, 0.5)
    assert (drop.value, drop.ci95, drop.flips_lost) == (0.25, None, None)
    assert json.loads(json.dumps(drop.to_json()))["ci95"] is None
    with pytest.raises(BadInput, match="3 float scores and 2 quantized"):
        paired_drop(np.ones(3), np.ones(2))
    with pytest.raises(BadInput, match="1 scores are NaN"):
        interval(np.array([1.0, np.nan]))
    with pytest.raises(BadInput, match="expected one score per sample"):
        interval(np.ones((2, 2)))
    with pytest.raises(BadInput, match="expected one score per sample"):
        interval(np.ones(0))


def test_results_are_plain_values_for_json() -> None:
    data = paired_drop(np.array([1, 0, 1]), np.array([1, 0, 0])).to_json()
    assert set(data) == {"value", "ci95", "flips_lost", "flips_won", "n", "method"}
    assert isinstance(json.loads(json.dumps(data))["ci95"], list)
    assert isinstance(Drop(0.0, None, 0, 0, 1, "x").to_json()["value"], float)
