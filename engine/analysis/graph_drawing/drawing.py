"""The drawing of a model: nodes and edges as plain values, without places.

A drawn node is a group of `groups.py`. Ops that only move values (Reshape, Transpose, a product with one constant)
are not drawn: their names are in `via` of the edge that they became part of. What only computes shapes is left out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from engine.analysis.graph_drawing.groups import Group, groups_of
from engine.graph import Model
from engine.graph.layers import module_path
from engine.graph.matching import scalar
from engine.targets.floats import is_float

MOST = 3000  # drawn nodes; beyond, a picture says nothing and its layout would hold the page up
MOVES = frozenset({"Identity", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike", "Expand"})


@dataclass
class _Drawing:
    model: Model
    nodes: list[dict[str, Any]] = field(default_factory=list)
    edges: list[dict[str, Any]] = field(default_factory=list)
    makers: dict[int, int] = field(default_factory=dict)

    def add(self, node: dict[str, Any]) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


def drawing(model: Model) -> dict[str, Any]:
    """The network as it is drawn.

    Returns:
        `nodes`: `name`, `op` (type or formula), `kind` (`input`, `output`, `layer`, `op`), `layer` (its place among the model's
        layers, or -1), `module`, `parts` (op types), `members` (node names), `tensors` (what they make), `shape` of the output;
        `edges`: `from` and `to` (places in `nodes`), `tensor` (as it was made), `read` (as it is read), `via` (node names);
        `hash` of all this; `note`: why nothing is drawn, or an empty text.
    """
    groups = groups_of(model)
    if len(groups) > MOST:
        return _finished([], [], f"{len(groups):,} nodes: more than the {MOST:,} that can be drawn")
    here = _Drawing(model)
    for value in model.graph.inputs:
        here.makers[id(value)] = here.add(_end(model, value, "input"))
    layers = {layer.name: i for i, layer in enumerate(model.layers)}
    for group in groups:
        _draw(here, group, layers)
    for value in model.graph.outputs:
        found = _origin(here, value)
        if found is not None:
            here.edges.append(_edge(found, here.add(_end(model, value, "output")), value))
    return _finished(*_without_idle_inputs(here))


def _draw(here: _Drawing, group: Group, layers: dict[str, int]) -> None:
    """Adds a group as a node with the edges into it; nothing where no float data come through it."""
    last = group.nodes[-1]
    if not any(is_float(v) for v in last.outputs) or (len(group.nodes) == 1 and _moved(last) is not None):
        return
    sources = [(value, found) for value in group.reads() if (found := _origin(here, value)) is not None]
    layer = group.layer
    if not sources and layer is None:
        return
    main = layer or last
    place = layers.get(str(main.name), -1) if layer is not None else -1
    number = here.add({
        "name": str(main.name), "op": group.kind if layer is None else layer.op_type, "kind": "op" if place < 0 else "layer",
        "layer": place, "module": module_path(main),
        "parts": [node.op_type for node in group.nodes], "members": [str(node.name) for node in group.nodes],
        "tensors": [str(v.name) for node in group.nodes for v in node.outputs if v.name],
        "shape": list(here.model.shapes.get(str(last.outputs[0].name), ())),
    })
    here.makers.update({id(v): number for node in group.nodes for v in node.outputs})
    seen = set()
    for value, found in sources:
        if (found[0], value.name) not in seen:
            seen.add((found[0], value.name))
            here.edges.append(_edge(found, number, value))


def _origin(here: _Drawing, value: ir.Value) -> tuple[int, ir.Value, list[str]] | None:
    """The drawn node that a tensor comes from, the tensor it made, and the moves between; None for constants and shapes."""
    via: list[str] = []
    at: ir.Value | None = value
    while at is not None and id(at) not in here.makers:
        node = at.producer()
        if node is None or (at := _moved(node)) is None:
            return None
        via.append(str(node.name))
    return None if at is None else (here.makers[id(at)], at, via[::-1])


def _moved(node: ir.Node) -> ir.Value | None:
    """The tensor whose values a node hands on, in another shape, type or scale; None for all other nodes."""
    inputs = list(node.inputs)
    if node.op_type in MOVES and inputs:
        return inputs[0] if inputs[0] is not None and inputs[0].const_value is None else None
    if node.op_type in ("Mul", "Div") and len(inputs) == 2:
        pairs = [(inputs[0], inputs[1])] + ([(inputs[1], inputs[0])] if node.op_type == "Mul" else [])
        return next((v for v, c in pairs if v is not None and v.const_value is None and scalar(c) is not None), None)
    return None


def _end(model: Model, value: ir.Value, kind: str) -> dict[str, Any]:
    name = str(value.name)
    return {"name": name, "op": kind.capitalize(), "kind": kind, "layer": -1, "module": "", "parts": [], "members": [],
            "tensors": [name] if kind == "input" else [], "shape": list(model.shapes.get(name, ()))}


def _edge(found: tuple[int, ir.Value, list[str]], to: int, read: ir.Value) -> dict[str, Any]:
    return {"from": found[0], "to": to, "tensor": str(found[1].name), "read": str(read.name), "via": found[2]}


def _without_idle_inputs(here: _Drawing) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs that only give a shape, or feed nothing, are not drawn."""
    used = {e["from"] for e in here.edges}
    kept = [i for i, node in enumerate(here.nodes) if node["kind"] != "input" or i in used]
    place = {old: new for new, old in enumerate(kept)}
    return [here.nodes[i] for i in kept], [e | {"from": place[e["from"]], "to": place[e["to"]]} for e in here.edges]


def _finished(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], note: str = "") -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([nodes, edges], sort_keys=True).encode()).hexdigest()[:16]
    return {"nodes": nodes, "edges": edges, "hash": digest, "note": note}

