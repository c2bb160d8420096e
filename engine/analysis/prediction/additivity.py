"""How well scores add: the sum of the layers' own scores against the score of the whole, and the pairs where it goes wrong.

All is run on the same samples under the encodings that the recipe really has, so sums and joint scores are compared
sample by sample and the intervals are paired. Two layers can only disturb each other by the product of their noise: the
joint score of a pair differs from the sum by at most twice the geometric mean of the two, which says which pairs to run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from engine.analysis.prediction.scores import rest_of
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Array, Item, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.progress import Progress, part, silent
from engine.quant.precision import Precision
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim

WHOLE = "the whole recipe"
MOST_PAIRS = 64
DRAWS = 1000
Ends = tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """Two layers that share a tensor: their score together, and the sum of their own. `ci95` is of the excess."""

    layers: tuple[str, str]
    tensors: tuple[str, ...]
    joint: float
    sum: float
    ci95: Ends

    @property
    def excess(self) -> float:
        """Joint minus sum, in nats per sample: above 0 the two together are worse than apart."""
        return self.joint - self.sum

    @property
    def below_resolution(self) -> bool:
        """Whether the samples cannot tell the excess from none."""
        return self.ci95[0] <= 0.0 <= self.ci95[1]

    def to_json(self) -> dict[str, Any]:
        return {"layers": list(self.layers), "tensors": list(self.tensors), "joint": self.joint, "sum": self.sum, "excess": self.excess,
                "ci95": list(self.ci95), "below_resolution": self.below_resolution}


@dataclass(frozen=True)
class Additivity:
    """A recipe run as a whole, and the sum of what its layers and the rest do alone: scores per sample, in nats."""

    joint: float
    sum: float
    ratio: float | None
    ci95: Ends | None
    samples: int
    layers: int
    pairs: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        return {"joint": self.joint, "sum": self.sum, "ratio": self.ratio, "ci95": None if self.ci95 is None else list(self.ci95),
                "samples": self.samples, "layers": self.layers, "unit": "nats per sample", "kind": "exact",
                "pairs": [p.to_json() for p in self.pairs]}


def check(sim: QuantSim, data: Dataset, batch: int = 2, most: int = MOST_PAIRS, progress: Progress = silent) -> Additivity:
    """Runs a recipe's layers alone, together, and in the `most` pairs that can matter most, on all samples of `data`."""
    quantization, precision = sim.quantization, sim.recipe.precision
    layers = [item for item in items_of(sim, "layers", "both") if _names(item, quantization)]
    rest = rest_of(layers, [quantization])
    singles = [*layers, *([rest] if _names(rest, quantization) else [])]
    shared = sharing(layers, outputs(sim))
    whole = Item(WHOLE, (), tuple(quantization.constants), tuple(quantization.activations))
    alone = _run(sim, quantization, precision, [*singles, whole], data, batch, part(progress, 0.0, 0.5))
    own = dict(zip((i.name for i in singles), alone, strict=False))
    bound = {pair: float(np.sqrt(own[pair[0]].mean() * own[pair[1]].mean())) for pair in shared}
    chosen = sorted(shared, key=lambda pair: -bound[pair])[:most]
    by_name = {item.name: item for item in layers}
    both = [_together(by_name[a], by_name[b]) for a, b in chosen]
    joint = _run(sim, quantization, precision, both, data, batch, part(progress, 0.5, 1.0)) if both else []
    pairs = [_pair(names, shared[names], found, own) for names, found in zip(chosen, joint, strict=True)]
    pairs.sort(key=lambda pair: -abs(pair.excess))
    return _whole(alone[-1], np.sum(alone[:-1], axis=0) if singles else np.zeros(len(data)), len(layers), tuple(pairs))


def outputs(sim: QuantSim) -> dict[str, str]:
    """Layer → the tensor that it hands on: behind the activation that the target runs in one step with it."""
    found = {}
    for layer in sim.model.layers:
        last = sim.placement.units.get(layer.name, layer.name)
        name = str(sim.model.nodes[last].outputs[0].name) if last in sim.model.nodes else layer.output
        found[layer.name] = sim.placement.root(name) if name in sim.placement.slots else name
    return found


def sharing(layers: Sequence[Item], made: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of layers, in order of execution, with the tensors that both read, or that one makes and the other reads."""
    order = {item.name: n for n, item in enumerate(layers)}
    touches: dict[str, list[str]] = defaultdict(list)
    for item in layers:
        for name in dict.fromkeys((*item.constants, *item.activations, made[item.name])):
            touches[name].append(item.name)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for tensor, names in touches.items():
        for a, b in combinations(sorted(names, key=order.__getitem__), 2):
            found[a, b].append(tensor)
    return {pair: tuple(tensors) for pair, tensors in found.items()}


def _run(sim: QuantSim, quantization: Quantization, precision: Precision, items: Sequence[Item], data: Dataset, batch: int,
         progress: Progress) -> list[Array]:
    """The score of each item alone, per sample."""
    question = Question((precision,), "one-on", samples=len(data))
    table = Table(question, tuple(items))
    sweep = Sweep(sim.chain, question, tuple(items), [quantization], _kl, batch)
    sweep.run(data, table, 0, len(data), progress)
    return [table.parts["kl"][i, 0, : len(data)] for i in range(len(items))]


def _kl(reference: Array, found: Array, samples: object) -> dict[str, Array]:
    return {"kl": SCORES["kl"].parts(reference, found)}


def _together(a: Item, b: Item) -> Item:
    constants, activations = (tuple(dict.fromkeys((*x, *y))) for x, y in ((a.constants, b.constants), (a.activations, b.activations)))
    return Item(f"{a.name} with {b.name}", (a.name, b.name), constants, activations)


def _names(item: Item, quantization: Quantization) -> list[str]:
    """What the recipe quantizes of an item; a layer kept in float has nothing of its own."""
    return [n for n in item.constants if n in quantization.constants] + [n for n in item.activations if n in quantization.activations]


def _pair(names: tuple[str, str], tensors: tuple[str, ...], joint: Array, own: Mapping[str, Array]) -> Pair:
    apart = own[names[0]] + own[names[1]]
    draws = _resampled(joint - apart)
    return Pair(names, tensors, float(joint.mean()), float(apart.mean()), middle(draws))


def _whole(joint: Array, summed: Array, layers: int, pairs: tuple[Pair, ...]) -> Additivity:
    total, both = float(summed.mean()), _resampled(np.stack([joint, summed], 1))
    known = bool((both[:, 1] > 0).all())
    ends = middle(both[:, 0] / both[:, 1]) if known and len(joint) > 1 else None
    return Additivity(float(joint.mean()), total, float(joint.mean()) / total if total > 0 else None, ends, len(joint), layers, pairs)


def _resampled(values: Array) -> Array:
    """Means under samples drawn with replacement, always the same draws."""
    picked = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    return np.array([values[rows].mean(0) for rows in picked])


def middle(draws: Array) -> Ends:
    """The middle 95 % of draws."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
