"""What the check of additivity says: over all measured recipes, and in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.analysis.prediction.additivity import DRAWS, Additivity, middle
from engine.analysis.prediction.curve import Point


def ratios(points: Sequence[Point]) -> dict[str, Any]:
    """Joint score over sum for each measured recipe: the median with its 95 % interval from resampling the recipes, and the range."""
    found = np.array([p.joint / p.sum for p in points if p.samples and p.joint is not None and p.sum > 0])
    if not len(found):
        return {"recipes": 0, "ratio": None, "ci95": None, "range": None}
    picked = np.random.default_rng(0).integers(0, len(found), (DRAWS, len(found)))
    ends = middle(np.median(found[picked], axis=1)) if len(found) > 2 else None
    return {"recipes": len(found), "ratio": float(np.median(found)), "ci95": None if ends is None else list(ends),
            "range": [float(found.min()), float(found.max())]}


def words(found: Additivity, measured: Mapping[str, Any], kind: str) -> list[str]:
    """What was found, in plain sentences."""
    said = []
    if found.ratio is None:
        said.append("The recipe quantizes nothing: there is no score to add.")
    else:
        sure = "" if found.ci95 is None else f" (95 %: {found.ci95[0]:.2f} to {found.ci95[1]:.2f})"
        said.append(f"Run as a whole, the recipe scores {found.joint:.3g} nats per sample; its {found.layers} layers and the rest alone "
                    f"sum to {found.sum:.3g}: the whole is {found.ratio:.2f} times the sum{sure}, on {found.samples} samples.")
    if measured["recipes"]:
        low, high = measured["range"]
        scores = "exact scores" if kind == "exact" else "estimates"
        said.append(f"Over {measured['recipes']} measured recipes the whole is {measured['ratio']:.2f} times the sum of the {scores} at "
                    f"the median, {low:.2f} to {high:.2f} in all. The curve allows for what is common to them, its interval for the rest.")
    clear = [p for p in found.pairs if not p.below_resolution][:3]
    for pair in clear:
        how = "more" if pair.excess > 0 else "less"
        said.append(f"{pair.layers[0]} and {pair.layers[1]} share {pair.tensors[0]}: together {pair.joint:.3g}, apart {pair.sum:.3g}, "
                    f"so {abs(pair.excess):.3g} {how} than the sum says.")
    if found.pairs and not clear:
        said.append(f"{len(found.pairs)} pairs of layers that share a tensor were run: none differs from its sum by more than the "
                    "samples leave open.")
    return said
