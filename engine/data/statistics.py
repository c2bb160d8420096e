"""How sure a score is, and how sure the difference of two models on the same samples.

* One share of right answers: Wilson's score interval (Wilson, JASA 22, 1927).
* The difference of two shares on the same samples: Tango's score interval (Tango, Statistics in Medicine
  17, 1998). It keeps its 95 % near 0 differences, where Wald's collapses to zero width.
* Scores that are not only 0 and 1: Student's t on the scores, or on the paired differences.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.data.dataset import Array
from engine.errors import BadInput

Z95 = 1.959963984540054
Ends = tuple[float, float]


@dataclass(frozen=True)
class Interval:
    """A mean score with its 95 % interval (`None` where one sample or one number gives none) and its method."""

    value: float
    ci95: Ends | None
    n: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the result files."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class Drop:
    """Float minus quantized on the same samples: above 0 means that quantization lost something.

    `flips_lost` and `flips_won` count the samples whose score fell and rose; for right-or-wrong scores
    these are the answers that were lost and won.
    """

    value: float
    ci95: Ends | None
    flips_lost: int | None
    flips_won: int | None
    n: int
    method: str

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.ci95 is not None and not self.ci95[0] <= 0.0 <= self.ci95[1]

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the result files."""
        return _plain(asdict(self))


def interval(scores: Array | float) -> Interval:
    """The mean of per-sample scores with its 95 % interval; a single number has none."""
    if np.ndim(scores) == 0:
        return Interval(float(scores), None, 0, "one number for all samples: no interval")
    values = _scores(scores)
    n, mean = len(values), float(values.mean())
    if _binary(values):
        return Interval(mean, wilson(int(values.sum()), n), n, "Wilson")
    bounded = bool(((values >= 0) & (values <= 1)).all())
    ends, method = _t_interval(values, bounded)
    if ends is not None and bounded:
        ends = (max(ends[0], 0.0), min(ends[1], 1.0))
    return Interval(mean, ends, n, method)


def paired_drop(float_scores: Array | float, quantized_scores: Array | float) -> Drop:
    """The drop from float to quantized with its paired 95 % interval; both score the same samples in order."""
    if np.ndim(float_scores) == 0 or np.ndim(quantized_scores) == 0:
        value = float(np.mean(float_scores)) - float(np.mean(quantized_scores))
        return Drop(value, None, None, None, 0, "one number for all samples: no interval")
    before, after = _scores(float_scores), _scores(quantized_scores)
    if len(before) != len(after):
        raise BadInput(f"{len(before)} float scores and {len(after)} quantized: expected the same samples")
    difference = before - after
    n, value = len(difference), float(difference.mean())
    lost, won = int((difference > 0).sum()), int((difference < 0).sum())
    if _binary(before) and _binary(after):
        return Drop(value, tango(lost, won, n), lost, won, n, "Tango, paired")
    bounded = min(before.min(), after.min()) >= 0 and max(before.max(), after.max()) <= 1
    ends, method = _t_interval(difference, bool(bounded))
    return Drop(value, ends, lost, won, n, f"{method}, paired")


def wilson(right: int, n: int, z: float = Z95) -> Ends:
    """Wilson's score interval of a share."""
    share, z2 = right / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (0.0 if right == 0 else middle - half, 1.0 if right == n else middle + half)


def tango(lost: int, won: int, n: int, z: float = Z95) -> Ends:
    """Tango's score interval of `(lost - won) / n`: all differences that the score test does not reject."""
    estimate = (lost - won) / n
    return (_solve(-1.0, estimate, lost, won, n, z), _solve(1.0, estimate, lost, won, n, z))


def tango_statistic(delta: float, lost: int, won: int, n: int) -> float:
    """The score statistic for the difference `delta`, standard normal where it is the true one."""
    # The other discordant share's maximum-likelihood value, were `delta` true: a root of a quadratic.
    a, b = 2 * n, -lost - won + (2 * n - lost + won) * delta
    c = -won * delta * (1 - delta)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * share + delta * (1 - delta))
    gap = lost - won - n * delta
    return 0.0 if gap == 0 else gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)


def _solve(end: float, inside: float, lost: int, won: int, n: int, z: float) -> float:
    """The end of the interval between `inside` (accepted) and `end` (rejected), by bisection."""
    outside = end
    if abs(tango_statistic(outside, lost, won, n)) <= z:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(tango_statistic(middle, lost, won, n)) <= z:
            inside = middle
        else:
            outside = middle
    return inside


def _t_interval(values: Array, bounded: bool) -> tuple[Ends | None, str]:
    """Student's interval of the mean; equal values of a bounded score still leave some doubt."""
    n, mean = len(values), float(values.mean())
    deviation = float(values.std(ddof=1)) if n > 1 else 0.0
    if deviation > 0:
        half = t_quantile(n - 1) * deviation / math.sqrt(n)
        return (mean - half, mean + half), "Student's t"
    if bounded:
        # No sample deviates: at 95 % at most this share of all samples does, each by 1 at most.
        half = 1 - 0.025 ** (1 / n)
        return (mean - half, mean + half), "no variation seen: bound on the share of samples that vary"
    if n == 1:
        return None, "one sample: no interval"
    return (mean, mean), "no variation seen"


def t_quantile(df: int) -> float:
    """The 97.5 % quantile of Student's t (Hill, Algorithm 396, CACM 13, 1970)."""
    p = 0.05
    if df == 1:
        return math.cos(p * math.pi / 2) / math.sin(p * math.pi / 2)
    if df == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (df - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * df
    y = (d * p) ** (2 / df)
    if y > 0.05 + a:
        x = -Z95
        y = x * x
        if df < 5:
            c += 0.3 * (df - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((df + 6) / (df * y) - 0.089 * d - 0.822) * (df + 2) * 3) + 0.5 / (df + 4)) * y - 1) * (
            df + 1) / (df + 2) + 1 / y
    return math.sqrt(df * y)


def _scores(scores: Array | float) -> Array:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values):
        raise BadInput(f"scores of shape {list(values.shape)}: expected one score per sample")
    if not np.isfinite(values).all():
        raise BadInput(f"{int((~np.isfinite(values)).sum())} scores are NaN or infinite: expected finite numbers")
    return values


def _binary(values: Array) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
