"""Problems for tests: made-up ones, and those of real graphs with made-up scores."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.graph import Model
from engine.mixed.build import Rows, Wish, space_of
from engine.mixed.edges import Edges
from engine.mixed.space import Choice, Group, Option, Place, Space
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

FIVE = tuple(Precision.parse(p) for p in ("w8a16", "w8a8", "w4a8", "w4a16", "w4a4"))


def made_up(layers: int, seed: int = 0, precisions: int = 5, grouped: bool = True, spread: float = 4.0) -> Space:
    """Layers whose noise falls fourfold a bit, over `spread` decades of size; every ninth begins a group of three that share a type."""
    rng = np.random.default_rng(seed)
    wanted, places = FIVE[:precisions], []
    for i in range(layers):
        macs, values, loss = int(10 ** rng.uniform(4, 7)), int(10 ** rng.uniform(2, 5.5)), 10 ** rng.uniform(-1 - spread, -1)
        options = []
        for p in wanted:
            w, a = p.weights.bits, p.activations.bits
            score = loss * (4.0 ** (4 - w) * rng.uniform(0.5, 2) + 0.3 * 4.0 ** (4 - a) * rng.uniform(0.5, 2))
            options.append(Option(p, (score, float(values * w // 8), float(macs * w * a), float(values * w), 0.0)))
        places.append(Place(f"layer{i}", tuple(options)))
    groups, at = [], 0
    while at < layers:
        members = tuple(range(at, at + 3)) if grouped and at % 9 == 0 and at + 3 <= layers else (at,)
        widths = dict.fromkeys(p.activations for p in wanted)
        own = [tuple(k for k, p in enumerate(wanted) if p.activations == a) for a in widths]
        modes = own if len(members) > 1 else [tuple(range(precisions))]
        groups.append(Group(members, tuple((mode,) * len(members) for mode in modes)))
        at += len(members)
    return Space(wanted[1], tuple(places), tuple(groups), (0.0,) * 5, 1000 * layers, Edges((), {}, {}, {}, {}), Recipe())


def drawn(space: Space, rng: random.Random) -> Choice:
    """Any choice that the groups allow."""
    found = [0] * len(space.places)
    for group in space.groups:
        for place, allowed in zip(group.places, rng.choice(group.modes), strict=True):
            found[place] = rng.choice(allowed)
    return tuple(found)


def of_model(model: Model, recipe: Recipe, candidates: Sequence[str], scores: Rows | None = None, **wish: object) -> tuple[QuantSim, Space]:
    """The problem of a graph; without scores all of them are 0."""
    sim = QuantSim(model.clone(), recipe)
    wanted = tuple(Precision.parse(c) for c in candidates)
    return sim, space_of(sim, replace(Wish(wanted), **wish), scores or {})  # type: ignore[arg-type]
