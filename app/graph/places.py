"""Where items stand in their ranks: as near as possible below and above what they are linked to, never too near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SWEEPS = 11  # at most; the last one goes down, so that chains end up straight
STRAIGHT, LOOSE = 4.0, 0.02  # how strongly two bends, or an item and a bend, want to be in line; two items: 1
MAIN = 1e4  # how strongly the trunk does
GIVING = 0.001  # how firmly a bend holds its place against the items beside it; an item: 1


@dataclass(frozen=True)
class Link:
    """A line from an item to one in the next rank; `leaves` and `enters` are px from the centres, `main` is the trunk."""

    start: str
    end: str
    source: str
    edges: tuple[int, ...] = ()
    leaves: float = 0.0
    enters: float = 0.0
    main: bool = False


def place(
    ranks: Sequence[Sequence[str]], links: Sequence[Sequence[Link]], widths: Mapping[str, float], bends: set[str], side: float
) -> dict[str, float]:
    """The centre of each item; the leftmost edge of all is 0."""
    above, below = _pulls(links, bends)
    giving = bends - {key for row in links for n in row if n.main for key in (n.start, n.end)}
    x: dict[str, float] = {}
    for rank in ranks:
        at = -sum(widths[k] + side for k in rank) / 2
        for key in rank:
            x[key] = at + (widths[key] + side) / 2
            at += widths[key] + side
    settled: dict[str, float] = {}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for rank in ranks if down else reversed(ranks):
            _settle(rank, x, above if down else below, widths, (bends, giving), side)
        if down:
            if settled and all(abs(x[k] - settled[k]) < 0.05 for k in x):
                break
            settled = dict(x)
    _straighten(ranks, links, x, widths, bends, side)
    left = min((x[k] - widths[k] / 2 for k in x), default=0.0)
    return {k: round(v - left, 1) for k, v in x.items()}


Pulls = dict[str, list[tuple[str, float, float]]]


def _pulls(links: Sequence[Sequence[Link]], bends: set[str]) -> tuple[Pulls, Pulls]:
    """For each item what pulls it from above and from below: (other item, shift, strength)."""
    above: Pulls = {}
    below: Pulls = {}
    for row in links:
        for n in row:
            strength = LOOSE if (n.start in bends) != (n.end in bends) else STRAIGHT if n.start in bends else 1.0
            strength = MAIN if n.main else strength
            above.setdefault(n.end, []).append((n.start, n.leaves - n.enters, strength))
            below.setdefault(n.start, []).append((n.end, n.enters - n.leaves, strength))
    return above, below


def _settle(
    rank: Sequence[str], x: dict[str, float], pull: Pulls, widths: Mapping[str, float], bent: tuple[set[str], set[str]], side: float
) -> None:
    """Moves one rank: each item to the mean of its pulls, then apart by pooling neighbours that are too near.

    `bent`: all bends, and those that give way to items.
    """
    bends, giving = bent
    wanted, weights, shift = [], [], [0.0]
    for i, key in enumerate(rank):
        pulls = pull.get(key, [])
        firm = [p for p in pulls if p[2] > LOOSE]
        pulls = firm or pulls
        total = sum(s for _, _, s in pulls)
        wanted.append(sum((x[other] + d) * s for other, d, s in pulls) / total if total else x[key])
        weights.append((max(total, LOOSE)) * (GIVING if key in giving else 1.0))
        if i:
            shift.append(shift[-1] + _gap(rank[i - 1], key, widths, bends, side))
    for key, value, by in zip(rank, _pooled([w - s for w, s in zip(wanted, shift, strict=False)], weights), shift, strict=False):
        x[key] = value + by


def _gap(a: str, b: str, widths: Mapping[str, float], bends: set[str], side: float) -> float:
    """The least distance of the centres of two neighbours."""
    return (widths[a] + widths[b]) / 2 + side * (0.6 if a in bends or b in bends else 1.0)


def _straighten(
    ranks: Sequence[Sequence[str]], links: Sequence[Sequence[Link]], x: dict[str, float], widths: Mapping[str, float], bends: set[str],
    side: float,
) -> None:
    """A line that passes several ranks runs straight where nothing is in its way: at the outermost of its bends."""
    onward = {n.start: n.end for row in links for n in row if n.start in bends and n.end in bends}
    room = {}
    for rank in ranks:
        for i, key in enumerate(rank):
            low = x[rank[i - 1]] + _gap(rank[i - 1], key, widths, bends, side) if i else float("-inf")
            high = x[rank[i + 1]] - _gap(key, rank[i + 1], widths, bends, side) if i + 1 < len(rank) else float("inf")
            room[key] = (low, high)
    reached = set(onward.values())
    for head in [b for b in onward if b not in reached]:
        run = [head]
        while run[-1] in onward:
            run.append(onward[run[-1]])
        for at in (max(x[b] for b in run), min(x[b] for b in run)):
            if all(room[b][0] - 1e-6 <= at <= room[b][1] + 1e-6 for b in run):
                x.update(dict.fromkeys(run, at))
                break


def _pooled(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest non-decreasing values, by weighted least squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return [value for value, _, count in blocks for _ in range(count)]
