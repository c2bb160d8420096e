"""Recipes to measure for the curve: the uniform candidates, and seeded random mixtures that fill the range between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.analysis.prediction.scores import REST, Scores
from engine.analysis.sensitivity.kinds import Array
from engine.quant.precision import FP32, Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

FLOAT = Precision(FP32, FP32)
POOL = 400  # mixtures that are drawn, of which the wanted number is taken
EVENNESS = 0.6  # of the draws of shares: below 1, mixtures in which one precision prevails are frequent


def uniform(recipe: Recipe, precisions: Sequence[Precision]) -> list[tuple[str, Recipe]]:
    """The whole model at each precision."""
    return [(f"uniform {p}", replace(recipe, precision=p, layers=(), bypass=())) for p in precisions if p != FLOAT]


def mixtures(
    sim: QuantSim, recipe: Recipe, scores: Scores, precisions: Sequence[Precision], count: int, seed: int = 0
) -> list[tuple[str, Recipe]]:
    """Random mixtures of the precisions (and float) that the target runs, their sums spread over the range.

    Sums are spread evenly in their square root: accuracy is lost at the upper end, yet the lower must not be empty. They come
    middle first, so that a curve that is cut short covers the range as well.
    """
    rng = np.random.default_rng(seed)
    bases = [p for p in dict.fromkeys(precisions) if p != FLOAT]
    options = (*bases, FLOAT)
    names, legal = _legal(sim, options)
    cost = np.array([[_score(scores, n, p) for p in options] for n in names])
    rest = [_score(scores, REST, p) for p in bases]
    pool = []
    for _ in range(POOL):
        base, shares = int(rng.integers(len(bases))), rng.dirichlet([EVENNESS] * len(options))
        chosen = _draw(rng, legal, shares)
        pool.append((float(cost[np.arange(len(names)), chosen].sum()) + rest[base], base, chosen))
    roots = np.sqrt([entry[0] for entry in pool])
    targets = np.linspace(roots.min(), roots.max(), count + 2)[1:-1]
    picked = dict.fromkeys(int(np.argmin(np.abs(roots - targets[t]))) for t in _middle_first(count))
    recipe = replace(recipe, layers=(), bypass=())
    made = ((bases[pool[i][1]], dict(zip(names, (options[k] for k in pool[i][2]), strict=True))) for i in picked)
    return [(f"mixture {n + 1}", _recipe(replace(recipe, precision=base), chosen)) for n, (base, chosen) in enumerate(made)]


def _recipe(recipe: Recipe, chosen: Mapping[str, Precision]) -> Recipe:
    """Float layers are bypassed: that is how a person keeps one in float, whatever the target has."""
    asked = {name: precision for name, precision in chosen.items() if precision not in (FLOAT, recipe.precision)}
    return recipe.with_layers(asked).with_bypass([name for name, precision in chosen.items() if precision == FLOAT])


def _draw(rng: np.random.Generator, legal: Array, shares: Array) -> Array:
    """For each row of `legal` the number of one option that is allowed there, drawn by the shares."""
    weights = np.cumsum(legal * (shares + 1e-9), axis=1)
    drawn = rng.random(len(legal)) * weights[:, -1]
    return (drawn[:, None] >= weights).sum(1).clip(max=legal.shape[1] - 1)


def _legal(sim: QuantSim, options: Sequence[Precision]) -> tuple[list[str], Array]:
    """The layers, and [layers, options] with 1 where the target runs it; all of them where it runs nothing but float."""
    kinds: dict[tuple[str, str], list[float]] = {}
    for layer in sim.model.layers:
        key = (layer.op_type, layer.kind)
        if key not in kinds:
            runs = [float(p == FLOAT or not sim.target.why_illegal(p, *key)) for p in options]
            kinds[key] = runs if sum(runs) > 1 else [1.0] * len(options)
    layers = sim.model.layers
    return [x.name for x in layers], np.array([kinds[x.op_type, x.kind] for x in layers]).reshape(len(layers), len(options))


def _score(scores: Scores, name: str, precision: Precision) -> float:
    """As the recipe asks for it, to choose by; what the graph makes of it comes when it is measured."""
    return scores.values.get(name, {}).get(str(precision), 0.0)


def _middle_first(count: int) -> list[int]:
    """0..count-1 in an order of which every beginning is spread over the whole."""
    found, spans = [], [(0, count)]
    while spans:
        low, high = spans.pop(0)
        if low < high:
            middle = (low + high) // 2
            found.append(middle)
            spans += [(low, middle), (middle + 1, high)]
    return found
