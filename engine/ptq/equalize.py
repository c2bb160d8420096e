"""Factors that give neighbouring layers equal channel ranges: the arithmetic of cross-layer equalization, without a graph's edits.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, arXiv 1906.04721:
* equations 11 and 12, for a pair: s_i = sqrt(r1_i / r2_i) (there 1/r2 sqrt(r1 r2), the same), W1 / s, b1 / s, W2 s, after which
  r1_i = r2_i = sqrt(r1_i r2_i);
* a depthwise triple (first, depthwise, last) likewise with the cube root: s1 = r1 / g, s2 = g / r3, g = (r1 r2 r3)^(1/3);
* repeated over all sets of the network until nothing moves, since they overlap (section 4.1).
Only the largest |w| between each output and input is needed, so an iteration costs far less than a pass over the weights.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.progress import Progress, silent
from engine.ptq.channels import ChannelWeight, alive
from engine.ptq.pairs import LayerSource, Link


@dataclass(eq=False)
class Ranges:
    """The channel ranges of one layer's weight under the factors found so far: `[groups, outputs, inputs]` largest values."""

    largest: np.ndarray
    by_output: np.ndarray = field(init=False)
    by_input: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        groups, outputs, inputs = self.largest.shape
        self.by_output, self.by_input = np.ones(groups * outputs), np.ones(groups * inputs)

    def outputs(self) -> np.ndarray:
        """Range of each output channel."""
        groups = len(self.largest)
        return (self.largest * self.by_input.reshape(groups, 1, -1)).max(axis=2).reshape(-1) * self.by_output  # type: ignore[no-any-return]

    def inputs(self) -> np.ndarray:
        """Range of each input channel."""
        groups = len(self.largest)
        return (self.largest * self.by_output.reshape(groups, -1, 1)).max(axis=1).reshape(-1) * self.by_input  # type: ignore[no-any-return]

    def filled(self) -> float:
        """How much of the layer's range its channels fill: the mean of range over largest range (the precision of equation 8),
        over output and input channels. 1 is best: every channel uses the whole grid of the layer."""
        found = [share[np.isfinite(share)] for share in (r / max(r.max(initial=0.0), 1e-30) for r in (self.outputs(), self.inputs()))]
        return float(np.concatenate(found).mean())


@dataclass(frozen=True, eq=False)
class Solution:
    """Factors for each link (the source is divided by them), the ranges they lead to, and how it went."""

    factors: tuple[np.ndarray, ...]
    ranges: dict[str, Ranges]
    iterations: int
    converged: bool


def solve(links: Sequence[Link], tolerance: float, max_iterations: int, progress: Progress = silent) -> Solution:
    """Iterates over all sets until no factor moves by more than `tolerance`. Links must have layers as sources."""
    ranges = {str(w.node.name): Ranges(w.largest()) for w in _weights(links)}
    factors = [np.ones(link.source.channels) for link in links]
    sets = _sets(links)
    moving = [_alive(links, ranges, one) for one in sets]
    for iteration in range(1, max_iterations + 1):
        progress(iteration / max_iterations, f"Equalizing {len(links)} layers: pass {iteration}")
        change = 0.0
        for one, mask in zip(sets, moving, strict=True):
            for index, step in zip(one, _steps([links[i] for i in one], ranges, mask), strict=True):
                _scale(links[index], ranges, step)
                factors[index] *= step
                change = max(change, float(np.abs(np.log(step)).max(initial=0.0)))
        if change < tolerance:
            return Solution(tuple(factors), ranges, iteration, True)
    return Solution(tuple(factors), ranges, max_iterations, not links)


def _weights(links: Sequence[Link]) -> list[ChannelWeight]:
    found = [_own(link) for link in links] + [reader.weight for link in links for reader in link.route.readers]
    return list({id(weight.node): weight for weight in found}.values())


def _own(link: Link) -> ChannelWeight:
    assert isinstance(link.source, LayerSource)
    return link.source.weight


def _sets(links: Sequence[Link]) -> list[tuple[int, ...]]:
    """Triples around depthwise layers, then the links that are in none, as pairs."""
    by_source = {id(_own(link).node): i for i, link in enumerate(links)}
    triples = [(i, by_source[id(link.route.readers[0].weight.node)]) for i, link in enumerate(links)
               if _into_depthwise(link) and id(link.route.readers[0].weight.node) in by_source]
    taken = {i for triple in triples for i in triple}
    return sorted([*triples, *((i,) for i in range(len(links)) if i not in taken)])


def _into_depthwise(link: Link) -> bool:
    (first, *others) = link.route.readers
    return not others and first.weight.depthwise and np.array_equal(first.channels, np.arange(link.source.channels))


def _three(pair: Sequence[Link], ranges: dict[str, Ranges]) -> list[np.ndarray]:
    """r1, r2 of a pair; r1, r2, r3 of a triple, each per channel."""
    found = [ranges[link.source.name].outputs() for link in pair]
    last = np.zeros(pair[-1].source.channels)
    for reader in pair[-1].route.readers:
        mine = reader.channels >= 0
        np.maximum.at(last, reader.channels[mine], ranges[str(reader.weight.node.name)].inputs()[mine])
    return [*found, last]


def _alive(links: Sequence[Link], ranges: dict[str, Ranges], one: tuple[int, ...]) -> np.ndarray:
    """Which channels of a set are scaled. Asked of the ranges' product, which no scaling of the set changes."""
    found = _three([links[i] for i in one], ranges)
    return alive(np.prod([r / max(r.max(initial=0.0, where=np.isfinite(r)), 1e-30) for r in found], axis=0))


def _steps(pair: Sequence[Link], ranges: dict[str, Ranges], mask: np.ndarray) -> list[np.ndarray]:
    """The factors of one iteration; 1 where a channel is dead or infinite."""
    found = [np.where(mask, r, 1.0) for r in _three(pair, ranges)]
    if len(found) == 2:
        return [np.sqrt(found[0] / found[1])]
    mean = np.cbrt(found[0] * found[1] * found[2])
    return [found[0] / mean, mean / found[2]]


def _scale(link: Link, ranges: dict[str, Ranges], step: np.ndarray) -> None:
    ranges[link.source.name].by_output /= step
    for reader in link.route.readers:
        ranges[str(reader.weight.node.name)].by_input *= np.append(step, 1.0)[reader.channels]
