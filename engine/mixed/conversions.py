"""Conversions along edges as a linear program: what a place where types meet costs, exactly, whatever its neighbours have.

What one unit of the graph converts follows from the activation types of the few layers around it. For each way that these can
be (a joint state) there is one variable; the states of a place add up to one, and those in which a layer has a type add up to
the layer's own options of that type. Where options are whole numbers so are states, and the product of choices that a
conversion depends on is linear in them (the local marginals of Wainwright and Jordan, 2008, section 4). States need not be
asked to be whole numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from scipy.sparse import csr_array

from engine.mixed.edges import Node
from engine.mixed.space import Array, Space
from engine.quant.precision import DataType

MOST_STATES = 512  # of one place


@dataclass(frozen=True)
class Meeting:
    """A place where types meet: the layers that its conversions depend on, their types in each state, and its charge in each.

    `charge` is in bit operations of one sample.
    """

    layers: tuple[int, ...]
    states: tuple[tuple[DataType, ...], ...]
    charge: Array


def meetings(space: Space) -> tuple[Meeting, ...]:
    """Every place whose conversions a choice can change, and those of one cost as one with nothing to depend on."""
    speaks = _speakers(space)
    nodes: dict[tuple[int, ...], list[Node]] = defaultdict(list)
    for unit in dict.fromkeys(node.unit for node in space.edges.nodes):
        own = space.edges.members(unit)
        free = {speaks[k] for k in space.edges.layers_of(own) if len(_types(space, k)) > 1}
        nodes[tuple(sorted(free))] += own
    found = []
    for layers, several in nodes.items():
        if prod(len(_types(space, k)) for k in layers) <= MOST_STATES:
            found.append(_meeting(space, layers, several, speaks))
    return tuple(m for m in found if m.charge.any())


def _meeting(space: Space, layers: tuple[int, ...], nodes: Sequence[Node], speaks: Sequence[int]) -> Meeting:
    states = tuple(product(*(_types(space, k) for k in layers)))
    around = space.edges.layers_of(nodes)
    base = [place.options[0].precision for place in space.places]
    charge = []
    for state in states:
        given, now = dict(zip(layers, state, strict=True)), list(base)
        for k in around:
            wanted = given.get(speaks[k], base[k].activations)
            now[k] = next((o.precision for o in space.places[k].options if o.precision.activations == wanted), base[k])
        charge.append(space.edges.charge_of(nodes, now))
    return Meeting(layers, states, np.array(charge))


def _types(space: Space, layer: int) -> tuple[DataType, ...]:
    return tuple(dict.fromkeys(o.precision.activations for o in space.places[layer].options))


def _speakers(space: Space) -> list[int]:
    """For each layer the first one of its group that always has the same type."""
    found = list(range(len(space.places)))
    for group in space.groups:
        for n, place in enumerate(group.places):
            for m, other in enumerate(group.places[:n]):
                kinds = [[{space.places[p].options[o].precision.activations for o in mode[k]} for k, p in ((m, other), (n, place))]
                         for mode in group.modes]
                if all(a == b and len(a) == 1 for a, b in kinds):
                    found[place] = found[other]
                    break
    return found


def rows_of(space: Space, options: Sequence[Sequence[int]], count: int) -> tuple[csr_array, Array, Array]:
    """The variables and equations of all meetings beside `count` variables, those of options by layer.

    Returns:
        equations [rows, variables], their right sides [rows], charge [variables].
    """
    found, at = meetings(space), count
    values, rows, columns, right, charge = list[float](), list[int](), list[int](), list[float](), [np.zeros(count)]

    def put(variables: Sequence[int], value: float) -> None:
        rows.extend([len(right)] * len(variables))
        columns.extend(variables)
        values.extend([value] * len(variables))

    for meeting in found:
        own = range(at, at + len(meeting.states))
        put(own, 1.0)
        right.append(1.0)
        for n, layer in enumerate(meeting.layers):
            for kind in _types(space, layer):
                put([v for v, state in zip(own, meeting.states, strict=True) if state[n] == kind], 1.0)
                put([v for v, o in zip(options[layer], space.places[layer].options, strict=True) if o.precision.activations == kind], -1.0)
                right.append(0.0)
        charge.append(meeting.charge)
        at += len(meeting.states)
    return csr_array((values, (rows, columns)), shape=(len(right), at)), np.array(right), np.concatenate(charge)
