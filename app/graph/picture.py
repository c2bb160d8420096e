"""From the engine's drawing to a layout: labels and sizes of nodes, folded blocks, and the whole as plain values for the browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.block_names import Chain
from app.graph.blocks import chains
from app.graph.layout import CHARACTER, Layout, Leaf, RawArc, layout
from app.graph.trunk import trunk

HEIGHT, FOLDED = 24.0, 34.0
NARROW, WIDE = 52.0, 168.0
PLAIN = frozenset({"conv", "conv2d", "linear", "matmul", "gemm", "fc"})  # last parts of names that the glyph says too
SHORT = {"LayerNormalization": "LayerNorm", "BatchNormalization": "BatchNorm", "GlobalAveragePool": "GlobalAvgPool", "MatMulAdd": "MatMul"}
Drawing = Mapping[str, Any]
_KEPT: dict[tuple[Any, ...], dict[str, Any]] = {}
_MOST = 24


def picture(drawing: Drawing, folded: Iterable[str] = (), aspect: float = 1.5) -> dict[str, Any]:
    """Places and names for the browser; the same drawing, folds and aspect give the same picture, kept for the next time.

    Returns:
        `id`; `w`, `h` in px; `nodes`: [x, y, w, h, label], empty inside a folded block; `folded`: [x, y, w, h, name, title, members];
        `blocks`: [x, y, w, h, name, title]; `lines`: [points, drawn edges in it, whether it leads to another column].
    """
    known = known_folds(drawing, folded)
    key = (drawing["hash"], tuple(sorted(known)), round(aspect, 2))
    if key not in _KEPT:
        if len(_KEPT) >= _MOST:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = _made(drawing, known, aspect)
    return _KEPT[key]


def known_folds(drawing: Drawing, folded: Iterable[str]) -> frozenset[str]:
    """Those of the names that are blocks of this drawing."""
    return frozenset(folded) & {block for chain in chains_of(drawing) for block in chain}


def _made(drawing: Drawing, folded: frozenset[str], aspect: float) -> dict[str, Any]:
    around, names = list(chains_of(drawing)), title_of(drawing)
    reps = [next((f"b:{b}" for b in chain if b in folded), f"n:{i}") for i, chain in enumerate(around)]
    found = layout(_leaves(drawing, around, reps, names), _arcs(drawing, reps), names, aspect, trunk(drawing))
    return _plain(drawing, around, reps, names, found, number(drawing, folded, aspect))


def number(drawing: Drawing, folded: Iterable[str], aspect: float) -> str:
    """The `id` of a picture."""
    return f"{drawing['hash']}:{','.join(sorted(folded))}:{aspect:.2f}"


def chains_of(drawing: Drawing) -> tuple[Chain, ...]:
    """For each node the blocks around it."""
    return _chains(drawing["hash"], _Held(drawing))


class _Held:
    """Carries a drawing past the cache, which knows it by its hash alone."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)


@lru_cache(maxsize=16)
def _chains(digest: str, held: _Held) -> tuple[Chain, ...]:
    edges = [(int(e["from"]), int(e["to"])) for e in held.drawing["edges"]]
    return tuple(chains(held.drawing["nodes"], edges))


def block_names(drawing: Drawing) -> list[str]:
    """The outermost blocks, in graph order."""
    return list(dict.fromkeys(chain[0] for chain in chains_of(drawing) if chain))


def title_of(drawing: Drawing) -> dict[str, str]:
    """A block's title: its name without the name of the block around it."""
    found: dict[str, str] = {}
    for chain in chains_of(drawing):
        for outer, block in zip(("", *chain), chain, strict=False):
            found[block] = _without(block, outer)
    return found


def _without(name: str, prefix: str) -> str:
    rest = name[len(prefix):].strip("./") if prefix and name.startswith(prefix) else name
    return rest or name


def label(node: Mapping[str, Any], block: str) -> str:
    """What stands in a node's box: a layer's name without its block, an op's type."""
    if node["kind"] in ("input", "output"):
        return str(node["name"])
    if node["kind"] == "op":
        op = SHORT.get(str(node["op"]), str(node["op"]))
        return op + (" + " + node["parts"][-1] if node["op"] == "Add" and len(node["parts"]) > 1 else "")
    name, module = str(node["name"]), str(node["module"])
    rest = _without(name, block)
    if rest == name and block and module.startswith(block) and module != block:
        rest = _without(module, block)
    rest = rest.rsplit("/", 1)[-1] if "/" in rest else rest
    start, _, last = rest.rpartition(".")
    return start if start and last.lower() in PLAIN else rest


def _leaves(drawing: Drawing, around: Sequence[Chain], reps: Sequence[str], names: Mapping[str, str]) -> list[Leaf]:
    found: dict[str, Leaf] = {}
    for node, chain, rep in zip(drawing["nodes"], around, reps, strict=True):
        if rep in found:
            continue
        if rep.startswith("b:"):
            found[rep] = Leaf(rep, chain[: chain.index(rep[2:])], min(WIDE, CHARACTER * len(names[rep[2:]]) + 56), FOLDED)
        else:
            wide = CHARACTER * len(label(node, chain[-1] if chain else "")) + (58 if node["kind"] == "layer" else 20)
            found[rep] = Leaf(rep, chain, min(WIDE, max(NARROW, wide)), HEIGHT)
    return list(found.values())


def _arcs(drawing: Drawing, reps: Sequence[str]) -> list[RawArc]:
    found: dict[tuple[str, str], list[int]] = {}
    for i, edge in enumerate(drawing["edges"]):
        a, b = reps[edge["from"]], reps[edge["to"]]
        if a != b:
            found.setdefault((a, b), []).append(i)
    return [(a, b, tuple(edges)) for (a, b), edges in found.items()]


def _plain(
    drawing: Drawing, around: Sequence[Chain], reps: Sequence[str], names: Mapping[str, str], found: Layout, own: str
) -> dict[str, Any]:
    boxes = [_rounded(found.leaves.get(rep) if rep.startswith("n:") else None) for rep in reps]
    texts = [label(node, chain[-1] if chain else "") for node, chain in zip(drawing["nodes"], around, strict=True)]
    members: dict[str, list[int]] = {}
    for i, rep in enumerate(reps):
        if rep.startswith("b:"):
            members.setdefault(rep, []).append(i)
    return {
        "id": own, "w": round(found.width, 1), "h": round(found.height, 1),
        "nodes": [[*box, text] if box else [] for box, text in zip(boxes, texts, strict=True)],
        "folded": [[*_rounded(found.leaves[rep]), rep[2:], names[rep[2:]], inside] for rep, inside in members.items()],
        "blocks": [[*_rounded(box), name, names[name]] for name, box in found.blocks.items()],
        "lines": [[list(line.points), list(line.edges), int(line.wraps)] for line in found.lines],
    }


def _rounded(box: tuple[float, float, float, float] | None) -> list[float]:
    return [] if box is None else [round(v, 1) for v in box]
