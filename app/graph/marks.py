"""Changes of type put on the edges of the drawing: where each stands, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Change = Mapping[str, str]


@dataclass(frozen=True)
class Mark:
    """A change of type. `edge` is its place among the drawn edges (-1: inside `node`); `begins`: where the edge leaves its node."""

    edge: int
    node: int
    begins: bool
    words: str


def marks(drawing: Mapping[str, Any], changes: Sequence[Change]) -> list[Mark]:
    """One mark for each change that has a place in the drawing, in graph order; changes without one are left out."""
    owner = {name: i for i, node in enumerate(drawing["nodes"]) for name in node["members"]}
    maker = {name: i for i, node in enumerate(drawing["nodes"]) for name in node["tensors"]}
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for i, edge in enumerate(drawing["edges"]):
        into.setdefault(edge["to"], []).append(i)
        out.setdefault(edge["from"], []).append(i)
    found = []
    for change in changes:
        begins = not change["reader"]
        node = owner.get(change["writer"] if begins else change["reader"], -1)
        if node < 0:
            continue
        near = _leaving(out.get(node, []), drawing, change) if begins else _reading(into.get(node, []), drawing, change, maker)
        found.append(Mark(near, node, begins, said(change)))
    return found


def _leaving(edges: Sequence[int], drawing: Mapping[str, Any], change: Change) -> int:
    return next((i for i in edges if drawing["edges"][i]["tensor"] == change["tensor"]), -1)


def _reading(edges: Sequence[int], drawing: Mapping[str, Any], change: Change, maker: Mapping[str, int]) -> int:
    tensor = change["tensor"]
    exact = next((i for i in edges if tensor in (drawing["edges"][i]["read"], drawing["edges"][i]["tensor"])), -1)
    return exact if exact >= 0 else next((i for i in edges if drawing["edges"][i]["from"] == maker.get(tensor, -1)), -1)


def kind(dtype: str) -> str:
    """A type of activations in the words of precisions: `int8` is `a8`."""
    return f"a{dtype[3:]}" if dtype.startswith("int") and dtype[3:].isdigit() else dtype


def said(change: Change) -> str:
    """What a mark says."""
    a, b = kind(change["from"]), kind(change["to"])
    integers = (a.startswith("a"), b.startswith("a"))
    cost = {(True, True): "a requantization", (True, False): "a dequantization", (False, True): "a quantization"}.get(integers, "a cast")
    return f"{a} \u2192 {b} here: costs {cost}"
