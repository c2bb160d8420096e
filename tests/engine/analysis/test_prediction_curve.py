"""The curve from summed scores to the drop: monotone, sure of no more than the samples allow, honest beyond what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.prediction.curve import ENOUGH, FLOAT_POINT, Point, centred, fit
from engine.data.statistics import Z95, paired_drop


def point(summed: float, drop: float, samples: int = 512, error: float = 0.004) -> Point:
    """A measured point with a symmetric interval."""
    return Point("p", summed, drop, (drop - Z95 * error, drop + Z95 * error), samples)


def measured(summed: float, rng: np.random.Generator, samples: int, scatter: float = 0.0) -> Point:
    """A classifier that loses answers with a probability that follows from the sum, run on some samples."""
    true = truth(summed * np.exp(scatter * rng.normal()))
    lost, won = rng.random(samples) < true + 0.01, rng.random(samples) < 0.01
    drop = paired_drop(np.where(won, 0.0, 1.0), np.where(lost & ~won, 0.0, 1.0))
    return Point("m", summed, drop.value, drop.ci95, samples)


def truth(summed: float) -> float:
    """A drop that rises and bends."""
    return float(0.3 * summed / (summed + 0.1))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_monotone_and_within_its_interval_whatever_the_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = rng.choice([0.0, 1e-7, 0.01, 0.02, *10 ** rng.uniform(-6, 0, 15)], 18)
    points = [point(float(s), float(rng.normal(0, 0.05)), int(rng.choice([64, 512, 2000])), float(rng.uniform(0.001, 0.02))) for s in sums]
    curve = fit([FLOAT_POINT, *points], 0.9)
    assert curve is not None
    knots = np.array(curve.knots)
    assert (np.diff(knots[:, 0]) > 0).all() and (np.diff(knots[:, 1:], axis=0) >= 0).all()
    assert (knots[:, 2] <= knots[:, 1]).all() and (knots[:, 1] <= knots[:, 3]).all()
    said = np.array([curve.at(float(x)) for x in np.linspace(0, 2 * sums.max(), 50)])
    assert (np.diff(said[:, 0]) >= 0).all() and (said[:, 1] <= said[:, 0]).all() and (said[:, 0] <= said[:, 2]).all()
    assert curve.at(0.0) == (0.0, 0.0, 0.0)


def test_too_few_points_give_no_curve() -> None:
    points = [FLOAT_POINT, *(point(0.1 * n, 0.01 * n) for n in range(1, ENOUGH - 1))]
    assert fit(points) is None
    assert fit([*points, point(0.9, 0.2)]) is not None


def test_an_interval_is_never_narrower_than_what_the_samples_leave_open() -> None:
    points = [point(0.01 * n, 0.002 * n, error=0.004) for n in range(1, 30)]  # no scatter at all
    curve = fit([FLOAT_POINT, *points])
    assert curve is not None and curve.loo["rms"] is not None and curve.loo["rms"] < 0.1
    for p in points:
        _, low, high = curve.at(p.sum)
        assert p.ci95 is not None and low <= p.ci95[0] and high >= p.ci95[1]


def test_scatter_that_samples_do_not_explain_widens_it() -> None:
    rng = np.random.default_rng(0)
    tight = fit([FLOAT_POINT, *(point(0.01 * n, 0.005 * n) for n in range(1, 20))])
    loose = fit([FLOAT_POINT, *(point(0.01 * n, 0.005 * n + float(rng.normal(0, 0.03))) for n in range(1, 20))])
    assert tight is not None and loose is not None
    widths = [curve.at(0.1)[2] - curve.at(0.1)[1] for curve in (tight, loose)]
    assert widths[1] > 3 * widths[0] and (loose.loo["rms"] or 0) > 3
    assert (loose.loo["worst"] or 0) >= (loose.loo["median_abs"] or 0) > (tight.loo["median_abs"] or 0)


def test_points_on_more_samples_count_for_more() -> None:
    def drop(first: int, second: int) -> float:
        rows = [FLOAT_POINT, point(0.1, 0.04, first), point(0.2, 0.01, second)]  # out of order: they are pooled
        return float(centred(rows)[1][-1])

    assert drop(2000, 500) == pytest.approx(0.034) and drop(500, 2000) == pytest.approx(0.016)


def test_a_gain_at_a_small_sum_is_taken_for_noise_since_the_float_model_loses_nothing() -> None:
    curve = fit([FLOAT_POINT, point(0.001, -0.004), point(0.002, -0.002), point(0.1, 0.02), point(0.2, 0.03)])
    assert curve is not None
    value, low, high = curve.at(0.001)
    assert value == pytest.approx(0.0, abs=0.001) and low < -0.004 < high


@pytest.mark.parametrize(("scatter", "least"), [(0.0, 0.93), (0.5, 0.88)])
def test_intervals_hold_what_is_measured_afterwards(scatter: float, least: float) -> None:
    inside, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sums = np.linspace(0.03, 1, 20) ** 2
        curve = fit([FLOAT_POINT, *(measured(float(s), rng, 512, scatter) for s in sums)], 1.0)
        assert curve is not None
        for s in rng.uniform(0.001, 0.9, 10):
            value, low, high = curve.at(float(s))
            seen = measured(float(s), rng, 2000, scatter).drop
            inside.append(low <= seen <= high)
            errors.append(abs(value - seen))
    assert np.mean(inside) >= least
    assert np.median(errors) < 0.02 + 0.05 * scatter


def test_beyond_the_last_point_it_stays_flat_and_widens_up_to_the_cap() -> None:
    points = [FLOAT_POINT, *(point(0.1 * n, 0.02 * n) for n in range(1, 8))]
    curve = fit(points, 0.5)
    assert curve is not None
    last, near, far = curve.at(points[-1].sum), curve.at(0.8), curve.at(1e6)
    assert last[0] == near[0] == far[0] and last[1] == near[1] == far[1]
    assert last[2] + 0.02 <= near[2] < far[2] == 0.5, "the true drop at 0.8 is 0.16: the upper end must reach it"
    free = fit(points)
    assert free is not None and free.at(1e6)[2] > 1000


def test_a_metric_without_intervals_goes_by_its_residuals_alone() -> None:
    points = [Point("p", 0.01 * n, 0.1 * n + (0.05 if n % 2 else 0.0), None, 0 + 100) for n in range(1, 12)]
    curve = fit([FLOAT_POINT, *points])
    assert curve is not None
    value, low, high = curve.at(0.055)
    assert 0.02 < high - value < 0.5 and low < value
