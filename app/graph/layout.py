"""The picture of a network: every block is laid out by itself and then is one item of what is around it.

So blocks never overlap, a folded block is just a small item, and lines enter and leave a block at its border.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.block_names import Chain
from app.graph.columns import Columns, columns
from app.graph.level import Arc, Item, Level, lay_out
from app.graph.places import Link

PAD, TITLE, BOTTOM = 8.0, 19.0, 8.0
CHARACTER = 6.1  # px of a letter in a block's title
SPREAD = 9.0  # px between lines that enter one node
WRAP = 10.0
Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Leaf:
    """What is drawn as one box: a node, or a folded block. `chain`: the open blocks around it."""

    key: str
    chain: Chain
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A piece of an edge: px points, the drawn edges in it, and whether it leads to another column."""

    points: tuple[float, ...]
    edges: tuple[int, ...]
    wraps: bool = False


@dataclass
class Layout:
    """Boxes of leaves and of open blocks (outermost first), lines, and the whole size."""

    width: float = 0.0
    height: float = 0.0
    leaves: dict[str, Box] = field(default_factory=dict)
    blocks: dict[str, Box] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


@dataclass
class _Part(Layout):
    ins: dict[str, float] = field(default_factory=dict)
    outs: dict[str, float] = field(default_factory=dict)


RawArc = tuple[str, str, tuple[int, ...]]


def layout(leaves: Sequence[Leaf], arcs: Sequence[RawArc], titles: dict[str, str], aspect: float = 0.0,
           trunk: frozenset[int] = frozenset()) -> Layout:
    """Places for all leaves.

    Args:
        leaves: in graph order.
        arcs: (from, to, the drawn edges in it) between leaves; without circles, not even when blocks are taken as one.
        titles: of open blocks; a block is never narrower than its title.
        aspect: width over height of the panel; 0: one column whatever its length.
        trunk: the drawn edges that run straight.
    """
    return _part((), leaves, arcs, titles, aspect, trunk)


def _part(path: Chain, leaves: Sequence[Leaf], arcs: Sequence[RawArc], titles: dict[str, str], aspect: float,
          trunk: frozenset[int]) -> _Part:
    depth = len(path)
    item_of = {leaf.key: leaf.chain[depth] if len(leaf.chain) > depth else leaf.key for leaf in leaves}
    children: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        if len(leaf.chain) > depth:
            children.setdefault(leaf.chain[depth], []).append(leaf)
    touching: dict[str, list[RawArc]] = {name: [] for name in children}
    for arc in arcs:
        for name in dict.fromkeys((item_of.get(arc[0]), item_of.get(arc[1]))):
            if name in touching:
                touching[name].append(arc)
    parts = {name: _part((*path, name), members, touching[name], titles, 0.0, trunk) for name, members in children.items()}
    level = lay_out(_items(leaves, item_of, parts, arcs), _arcs(item_of, arcs), trunk)
    return _assembled(path, level, parts, titles, aspect)


def _items(leaves: Sequence[Leaf], item_of: dict[str, str], parts: dict[str, _Part], arcs: Sequence[RawArc]) -> list[Item]:
    sizes = {leaf.key: leaf for leaf in leaves}
    tops = dict.fromkeys(f"in:{a}" for a, b, _ in arcs if a not in item_of)
    bottoms = dict.fromkeys(f"out:{a}" for a, b, _ in arcs if b not in item_of)
    found = [Item(key, 0.0, 0.0, "top") for key in tops]
    for key in dict.fromkeys(item_of.values()):
        part = parts.get(key)
        if part is None:
            found.append(Item(key, sizes[key].width, sizes[key].height))
        else:
            found.append(Item(key, part.width, part.height, "block", part.ins, part.outs))
    return found + [Item(key, 0.0, 0.0, "bottom") for key in bottoms]


def _arcs(item_of: dict[str, str], arcs: Sequence[RawArc]) -> list[Arc]:
    """The arcs of a level; those that run inside one item are left to it, those with the same ends and source are one."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for a, b, edges in arcs:
        start, end = item_of.get(a, f"in:{a}"), item_of.get(b, f"out:{a}")
        if start != end:
            found.setdefault((start, end, a), []).extend(edges)
    return [Arc(start, end, source, tuple(edges)) for (start, end, source), edges in found.items()]


def _assembled(path: Chain, level: Level, parts: dict[str, _Part], titles: dict[str, str], aspect: float) -> _Part:
    title = CHARACTER * len(titles.get(path[-1], path[-1])) + 30 if path else 0.0
    inner = max(level.width, title - 2 * PAD)
    left, top = ((inner - level.width) / 2 + PAD, TITLE) if path else (0.0, 0.0)
    split = columns(level, aspect) if aspect and not path else None
    shifts = [(x + left, y + top) for x, y in (split.shifts if split else ((0.0, 0.0),) * len(level.ranks))]
    made = _Part(inner + 2 * PAD, level.height + TITLE + BOTTOM) if path else _Part(level.width, level.height)
    if split:
        made.width, made.height = split.width, split.height
    if path:
        made.blocks[path[-1]] = (0.0, 0.0, made.width, made.height)
    for r, rank in enumerate(level.ranks):
        for key in rank:
            _put(made, level, key, parts.get(key), shifts[r][0], shifts[r][1] + level.y[r][0])
    for r, links in enumerate(level.links):
        enters = _entering(level, links)
        made.lines += [_line(level, r, link, e, shifts, split) for link, e in zip(links, enters, strict=True)]
    return made


def _put(made: _Part, level: Level, key: str, part: _Part | None, dx: float, y: float) -> None:
    item, x = level.items[key], level.x[key] + dx
    if item.what == "top":
        made.ins[key.removeprefix("in:")] = x - made.width / 2
    elif item.what == "bottom":
        made.outs[key.removeprefix("out:")] = x - made.width / 2
    elif item.what == "node":
        made.leaves[key] = (x - item.width / 2, y, item.width, item.height)
    elif part is not None:
        ox = x - item.width / 2
        made.leaves.update(_moved(part.leaves, ox, y))
        made.blocks.update(_moved(part.blocks, ox, y))
        for line in part.lines:
            moved = tuple(v + (y if i % 2 else ox) for i, v in enumerate(line.points))
            made.lines.append(Line(moved, line.edges, line.wraps))


def _moved(boxes: dict[str, Box], dx: float, dy: float) -> dict[str, Box]:
    return {key: (x + dx, y + dy, w, h) for key, (x, y, w, h) in boxes.items()}


def _entering(level: Level, links: Sequence[Link]) -> list[float]:
    """Where each link enters its item: several into one node stand side by side, in the order from which they come."""
    ends: dict[str, list[int]] = {}
    for i, link in enumerate(links):
        ends.setdefault(link.end, []).append(i)
    found = [link.enters for link in links]
    for key, members in ends.items():
        item = level.items[key]
        if item.what != "node" or len(members) < 2:
            continue
        step = min(SPREAD, item.width * 0.8 / len(members))
        members.sort(key=lambda i: level.x[links[i].start] + links[i].leaves)
        straight = [n for n, i in enumerate(members) if abs(level.x[links[i].start] + links[i].leaves - level.x[key]) < 3]
        middle = straight[0] if straight else (len(members) - 1) / 2
        for n, i in enumerate(members):
            found[i] = max(-item.width * 0.42, min(item.width * 0.42, (n - middle) * step))
    return found


def _line(level: Level, r: int, link: Link, enters: float, shifts: Sequence[tuple[float, float]], split: Columns | None) -> Line:
    a, b = level.items[link.start], level.items[link.end]
    (ax, ay), (bx, by) = shifts[r], shifts[r + 1]
    x0, x1 = level.x[a.key] + link.leaves + ax, level.x[b.key] + enters + bx
    begin = level.y[r][0] + ay + (a.height if a.what != "top" else -TITLE)
    low, high = level.y[r][1] + ay, level.y[r + 1][0] + by
    end = high + (BOTTOM if b.what == "bottom" else 0.0)
    if split is not None and split.of[r] != split.of[r + 1]:
        gutter = split.gutters[split.of[r + 1]]
        down, up = split.bottoms[split.of[r]] + WRAP, high - WRAP
        points = (x0, begin, x0, down, gutter, down, gutter, up, x1, up, x1, end)
        return Line(tuple(round(v, 1) for v in points), link.edges, True)
    path: list[float] = [x0, begin, x0, low, x1, high, x1, end]
    return Line(tuple(round(v, 1) for v in _thinned(path)), link.edges)


def _thinned(path: Iterable[float]) -> list[float]:
    """The points without repeated ones."""
    values = list(path)
    points = list(zip(values[::2], values[1::2], strict=True))
    kept = [p for i, p in enumerate(points) if i == 0 or abs(p[0] - points[i - 1][0]) + abs(p[1] - points[i - 1][1]) > 0.05]
    return [v for p in kept for v in p]
