"""Recipes to measure for the curve: the uniform candidates, and seeded random mixtures that fill the range between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.analysis.prediction.scores import REST, Scores, counts
from engine.quant.precision import FP32, Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

FLOAT = Precision(FP32, FP32)
POOL = 400  # mixtures that are drawn, of which the wanted number is taken
EVENNESS = 0.6  # of the draws of shares: below 1, mixtures in which one precision prevails are frequent


def uniform(recipe: Recipe, precisions: Sequence[Precision]) -> list[tuple[str, Recipe]]:
    """The whole model at each precision."""
    return [(f"uniform {p}", replace(recipe, precision=p, layers=(), bypass=())) for p in precisions if p != FLOAT]


def mixtures(sim: QuantSim, scores: Scores, precisions: Sequence[Precision], count: int, seed: int = 0) -> list[tuple[str, Recipe]]:
    """Random mixtures of the precisions (and float) that the target runs, their sums spread over the range.

    Sums are spread evenly in their square root: accuracy is lost at the upper end, yet the lower must not be empty.
    """
    rng = np.random.default_rng(seed)
    legal = _legal(sim, (*dict.fromkeys(p for p in precisions if p != FLOAT), FLOAT))
    bases = [p for p in dict.fromkeys(precisions) if p != FLOAT]
    pool = []
    for _ in range(POOL):
        base = bases[rng.integers(len(bases))]
        shares = dict(zip((*bases, FLOAT), rng.dirichlet([EVENNESS] * (len(bases) + 1)), strict=True))
        chosen = {name: _draw(rng, options, shares) for name, options in legal.items()}
        pool.append((_asked(scores, chosen, base), base, chosen))
    pool.sort(key=lambda entry: entry[0])
    roots = np.sqrt([entry[0] for entry in pool])
    targets = np.linspace(roots[0], roots[-1], count + 2)[1:-1]
    picked = dict.fromkeys(int(np.argmin(np.abs(roots - t))) for t in targets)
    recipe = replace(sim.recipe, layers=(), bypass=())
    return [(f"mixture {n + 1}", replace(recipe, precision=pool[i][1]).with_layers(pool[i][2])) for n, i in enumerate(picked)]


def _draw(rng: np.random.Generator, options: Sequence[Precision], shares: Mapping[Precision, float]) -> Precision:
    weights = np.array([shares[p] for p in options]) + 1e-9
    return options[rng.choice(len(options), p=weights / weights.sum())]


def _legal(sim: QuantSim, precisions: Sequence[Precision]) -> dict[str, list[Precision]]:
    """Layer → the precisions that its target runs; all of them where it runs none. Float is always among them."""
    found = {}
    for layer in sim.model.layers:
        runs = [p for p in precisions if p == FLOAT or not sim.target.why_illegal(p, layer.op_type, layer.kind)]
        found[layer.name] = runs if len(runs) > 1 else list(precisions)
    return found


def _asked(scores: Scores, chosen: Mapping[str, Precision], base: Precision) -> float:
    """The sum as the recipe asks for it, to choose by; what the graph makes of it comes when it is measured."""
    rows = {**{name: str(p) for name, p in chosen.items()}, REST: str(base)}
    return float(sum(scores.values[n].get(p, 0.0) for n, p in rows.items() if n in scores.values and counts(p)))
