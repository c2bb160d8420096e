"""One level of the picture: items of given sizes and arcs between them, laid out in ranks from top to bottom.

Ranks by longest path; arcs that pass ranks get bends, shared by all readers of one source; order by barycentre sweeps,
the order with the fewest crossings wins; places by least squares under the rule that neighbours keep their distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.graph.digraph import crossings, longest_path
from app.graph.places import Link, place

GAP, PORT_GAP, SIDE, BEND = 15.0, 8.0, 14.0, 6.0
SWEEPS, MUCH = 8, 3000  # a level with very many items gets fewer sweeps: each costs time in proportion
MOST_BENDS = 8000
Point = tuple[float, float]


class TangledError(ValueError):
    """So many lines pass so many ranks that a picture would show nothing, and laying it out would take seconds."""


@dataclass(frozen=True)
class Item:
    """Something with a size in px. `ins` and `outs`: where a source's line enters or leaves it, in px from the centre."""

    key: str
    width: float
    height: float
    what: str = "node"  # node | block | top | bottom (ports of the block around) | bend
    ins: Mapping[str, float] = field(default_factory=dict)
    outs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Arc:
    """From an item to an item of the same level; `source` is the drawn node whose tensor it is, `edges` the drawn edges in it."""

    start: str
    end: str
    source: str
    edges: tuple[int, ...] = ()


@dataclass
class Level:
    """Items in ranks with their centres (`x`) and tops (`y`), and the links between neighbouring ranks."""

    items: dict[str, Item]
    ranks: list[list[str]]
    links: list[list[Link]]  # links[r] run from rank r to rank r + 1
    x: dict[str, float]
    y: list[tuple[float, float]]  # top and bottom of each rank

    @property
    def width(self) -> float:
        """From the leftmost edge (0) to the rightmost."""
        return max((self.x[k] + self.items[k].width / 2 for rank in self.ranks for k in rank), default=0.0)

    @property
    def height(self) -> float:
        """Of all ranks."""
        return self.y[-1][1] if self.y else 0.0


def lay_out(items: Sequence[Item], arcs: Sequence[Arc], trunk: frozenset[int] = frozenset()) -> Level:
    """The places of all items; the arcs must have no circle, and those with a drawn edge of `trunk` run straight.

    Raises `TangledError`.
    """
    known = {item.key: item for item in items}
    rank = _ranks(items, arcs)
    ranks: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for item in items:
        ranks[rank[item.key]].append(item.key)
    links = _links(known, ranks, rank, arcs, trunk)
    ranks = _ordered(ranks, links)
    x = place(ranks, links, {k: i.width for k, i in known.items()}, {k for k, i in known.items() if i.what == "bend"}, SIDE)
    return Level(known, ranks, links, x, _rows(known, ranks, links, x))


def _ranks(items: Sequence[Item], arcs: Sequence[Arc]) -> dict[str, int]:
    rank = longest_path([i.key for i in items], [(a.start, a.end) for a in arcs])
    top = min((rank[i.key] for i in items if i.what != "top"), default=0)
    bottom = max((rank[i.key] for i in items if i.what != "bottom"), default=0)
    for item in items:
        if item.what == "top":
            rank[item.key] = min(rank[item.key], top - 1)
        if item.what == "bottom":
            rank[item.key] = bottom + 1
    ports = [rank[i.key] for i in items if i.what == "top"]
    for item in items:
        if item.what == "top":
            rank[item.key] = min(ports)
    base = min(rank.values(), default=0)
    return {key: r - base for key, r in rank.items()}


def _links(known: dict[str, Item], ranks: list[list[str]], rank: dict[str, int], arcs: Sequence[Arc],
           trunk: frozenset[int]) -> list[list[Link]]:
    """Links between neighbouring ranks; bends are added to `known`, `ranks` and `rank`."""
    links: list[list[Link]] = [[] for _ in ranks]
    bundles: dict[tuple[str, str], list[Arc]] = {}
    for arc in arcs:
        bundles.setdefault((arc.start, arc.source), []).append(arc)
    if sum(max(rank[a.end] for a in members) - rank[start] - 1 for (start, _), members in bundles.items()) > MOST_BENDS:
        raise TangledError
    for (start, source), members in bundles.items():
        at, last = start, max(rank[a.end] for a in members)
        for r in range(rank[start] + 1, last + 1):
            for arc in members:
                if rank[arc.end] == r:
                    links[r - 1].append(Link(at, arc.end, source, arc.edges))
            rest = [a for a in members if rank[a.end] > r]
            if rest:
                bend = f"~{start}~{source}~{r}"
                known[bend] = Item(bend, BEND, 0.0, "bend")
                rank[bend] = r
                ranks[r].append(bend)
                links[r - 1].append(Link(at, bend, source, tuple(e for a in rest for e in a.edges)))
                at = bend
    return [[_ported(known, link, trunk) for link in row] for row in links]


def _ported(known: Mapping[str, Item], link: Link, trunk: frozenset[int]) -> Link:
    a, b = known[link.start], known[link.end]
    leaves, enters = a.outs.get(link.source, 0.0), b.ins.get(link.source, 0.0)
    return Link(link.start, link.end, link.source, link.edges, leaves, enters, not trunk.isdisjoint(link.edges))


def _ordered(ranks: list[list[str]], links: Sequence[Sequence[Link]]) -> list[list[str]]:
    after: dict[str, list[str]] = {}
    above: dict[str, list[Link]] = {}
    below: dict[str, list[Link]] = {}
    for row in links:
        for link in row:
            after.setdefault(link.start, []).append(link.end)
            below.setdefault(link.start, []).append(link)
            above.setdefault(link.end, []).append(link)
    best, fewest = ranks, crossings(ranks, after)
    now = [list(r) for r in ranks]
    for sweep in range(min(SWEEPS, 2 + MUCH // sum(map(len, ranks))) if fewest else 0):
        down = sweep % 2 == 0
        for r in range(1, len(now)) if down else range(len(now) - 2, -1, -1):
            _sort(now[r], now[r - 1] if down else now[r + 1], above if down else below, down)
        count = crossings(now, after)
        if count < fewest:
            best, fewest = [list(r) for r in now], count
    return best


def _sort(rank: list[str], fixed: Sequence[str], links: Mapping[str, Sequence[Link]], down: bool) -> None:
    """Each item goes to the mean place of its neighbours in the fixed rank; without neighbours it stays."""
    place_of = {key: i + 0.5 for i, key in enumerate(fixed)}
    scale = len(fixed) / max(len(rank), 1)
    mean = {}
    for i, key in enumerate(rank):
        ends = [place_of[n.start if down else n.end] + 1e-4 * (n.leaves if down else n.enters) for n in links.get(key, ())]
        mean[key] = sum(ends) / len(ends) if ends else (i + 0.5) * scale
    rank.sort(key=mean.__getitem__)


def _rows(
    known: Mapping[str, Item], ranks: Sequence[Sequence[str]], links: Sequence[Sequence[Link]], x: Mapping[str, float]
) -> list[Point]:
    """Top and bottom of each rank; lines that run far to the side get more room to bend."""
    rows, top = [], 0.0
    for r, rank in enumerate(ranks):
        if r:
            ports = {known[k].what for k in (*rank, *ranks[r - 1])} & {"top", "bottom"}
            far = max((abs(x[n.start] + n.leaves - x[n.end] - n.enters) for n in links[r - 1]), default=0.0)
            top += max(PORT_GAP if ports else GAP, min(far * 0.22, 36.0))
        bottom = top + max((known[k].height for k in rank), default=0.0)
        rows.append((top, bottom))
        top = bottom
    return rows
