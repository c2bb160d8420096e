"""Is a difference of two runs on the same samples more than chance? One test for each kind of score.

* Right or wrong: McNemar's test, which looks only at the samples whose answer changed. The exact p-value and the
  mid-p-value (Fagerland, Lydersen, Laake, BMC Medical Research Methodology 13, 2013), which is less cautious and keeps
  its level; the latter decides.
* Any other score per sample: Student's t on the paired differences.
* One number for all samples: nothing can be tested, and that is said.
"""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.data.dataset import Array
from engine.errors import BadInput

LEVEL = 0.05


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of "no difference".

    Attributes:
        name: in words, such as `McNemar, mid-p`.
        p: probability of a difference at least as large if there were none (None where nothing can be tested).
        p_exact: the same by the exact McNemar test; None for other tests.
        n: samples (for McNemar: those whose answer changed between right and wrong).
        why: why there is no p, or what it counts.
    """

    name: str
    p: float | None
    p_exact: float | None
    n: int
    why: str

    @property
    def significant(self) -> bool:
        """Whether chance alone would make such a difference in fewer than 5 % of cases."""
        return self.p is not None and self.p < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"significant": self.significant}


def paired_test(left: Array | float, right: Array | float) -> PairedTest:
    """The test that fits the scores; both score the same samples [N] in the same order.

    Raises:
        BadInput: scores of different numbers of samples.
    """
    if np.ndim(left) == 0 or np.ndim(right) == 0:
        return PairedTest("none", None, None, 0, "the metric is one number for all samples: nothing can be tested")
    before, after = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if len(before) != len(after):
        raise BadInput(f"{len(before)} scores on the left and {len(after)} on the right: expected the same samples")
    if _binary(before) and _binary(after):
        lost, won = int((before > after).sum()), int((before < after).sum())
        why = f"{lost} samples lost and {won} won, which without a difference are equally likely"
        why = why if lost + won else "no sample changed between right and wrong"
        return PairedTest("McNemar, mid-p", mcnemar_mid_p(lost, won), mcnemar_exact(lost, won), lost + won, why)
    return _student(before - after)


def mcnemar_exact(lost: int, won: int) -> float:
    """P-value of the exact test: the changed samples fell to one side or the other like a fair coin."""
    n, least = lost + won, min(lost, won)
    return min(1.0, 2.0 * _at_most(least, n))


def mcnemar_mid_p(lost: int, won: int) -> float:
    """The exact p-value less half the probability of what was seen, on each side."""
    n, least = lost + won, min(lost, won)
    if not n:
        return 1.0
    return min(1.0, 2.0 * _at_most(least, n) - _probability(least, n) if lost != won else 1.0 - 0.5 * _probability(least, n))


def _student(difference: Array) -> PairedTest:
    from scipy.special import stdtr  # loaded when needed: no other part of a measurement asks for it

    n, name = len(difference), "Student's t, paired"
    if not difference.any():
        return PairedTest(name, 1.0, None, n, "no sample's score differs")
    deviation = float(difference.std(ddof=1)) if n > 1 else 0.0
    if deviation == 0.0:
        why = "one sample: nothing can be tested" if n == 1 else "every sample differs by the same amount: nothing can be tested"
        return PairedTest(name, None, None, n, why)
    t = abs(float(difference.mean())) / (deviation / math.sqrt(n))
    return PairedTest(name, float(2.0 * stdtr(n - 1, -t)), None, n, f"t = {t:.2f} on {n} paired differences")


def _at_most(k: int, n: int) -> float:
    """The probability of at most `k` heads of `n` fair coins."""
    from scipy.special import bdtr

    return float(bdtr(k, n, 0.5)) if n else 1.0


def _probability(k: int, n: int) -> float:
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2.0))


def _binary(values: Array) -> bool:
    return bool(((values == 0) | (values == 1)).all())
