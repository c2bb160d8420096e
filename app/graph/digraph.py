"""Small algorithms on directed graphs, in fixed order, so that the same graph always gives the same picture."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def successors(items: Sequence[T], arcs: Iterable[tuple[T, T]]) -> dict[T, list[T]]:
    """Each item's successors, in the order of the items."""
    place = {item: i for i, item in enumerate(items)}
    found: dict[T, list[T]] = {item: [] for item in items}
    for a, b in sorted(set(arcs), key=lambda arc: (place[arc[0]], place[arc[1]])):
        found[a].append(b)
    return found


def components(items: Sequence[T], arcs: Iterable[tuple[T, T]]) -> list[list[T]]:
    """The strongly connected components (Tarjan's, without recursion: networks are deep)."""
    after = successors(items, arcs)
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    on: set[T] = set()
    out: list[list[T]] = []
    for root in items:
        work = [(root, 0)] if root not in index else []
        while work:
            item, at = work.pop()
            if at == 0:
                index[item] = low[item] = len(index)
                stack.append(item)
                on.add(item)
            if at < len(after[item]):
                work.append((item, at + 1))
                child = after[item][at]
                if child not in index:
                    work.append((child, 0))
                elif child in on:
                    low[item] = min(low[item], index[child])
                continue
            if low[item] == index[item]:
                out.append(_popped(stack, on, item))
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[item])
    return out


def _popped(stack: list[T], on: set[T], until: T) -> list[T]:
    found = []
    while True:
        item = stack.pop()
        on.discard(item)
        found.append(item)
        if item == until:
            return found


def longest_path(items: Sequence[T], arcs: Iterable[tuple[T, T]]) -> dict[T, int]:
    """Each item's rank: one more than the highest of those before it. A source stands just above its nearest reader.

    Raises:
        ValueError: the arcs form a circle.
    """
    after = successors(items, arcs)
    waiting = dict.fromkeys(items, 0)
    for targets in after.values():
        for b in targets:
            waiting[b] += 1
    sources = [item for item in items if not waiting[item]]
    rank = dict.fromkeys(items, 0)
    queue = list(sources)
    for item in queue:
        for b in after[item]:
            rank[b] = max(rank[b], rank[item] + 1)
            waiting[b] -= 1
            if not waiting[b]:
                queue.append(b)
    if len(queue) != len(items):
        raise ValueError("the arcs form a circle")
    for item in sources:
        if after[item]:
            rank[item] = min(rank[b] for b in after[item]) - 1
    return rank


def crossings(layers: Sequence[Sequence[T]], after: Mapping[T, Sequence[T]]) -> int:
    """How many arcs between neighbouring layers cross."""
    total = 0
    for upper, lower in pairwise(layers):
        if len(upper) < 2 or len(lower) < 2:
            continue
        place = {item: i for i, item in enumerate(lower)}
        ends = [place[b] for a in upper for b in sorted(after.get(a, ()), key=lambda x: place.get(x, -1)) if b in place]
        seen: list[int] = []
        for end in ends:
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return total
