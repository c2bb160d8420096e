"""The additive quantity of a whole measurement, so that a recipe that was measured stands beside those that a search measured."""
from __future__ import annotations

import numpy as np

from engine.analysis.measure import Comparison
from engine.analysis.runner import Outputs
from engine.analysis.sensitivity.kinds import SCORES


def output_kl(comparison: Comparison, outputs: Outputs) -> float:
    """How far the first output's probabilities moved from the float model's, nats per sample (noise power where they are none).

    Lower is better. `outputs`: of all evaluation samples, in their order.
    """
    name = comparison.runner.chain.output_names[0]
    return float(np.mean(SCORES["kl"].parts(comparison.float_outputs()[name], outputs[name])))
