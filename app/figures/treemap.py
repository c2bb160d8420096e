"""Where the parameters and the work of a model lie, by module."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from app.figures.template import FONT, Figure, layout
from app.readable import kind
from app.theme import tokens

Node = tuple[str, str, str, float, str]


def tree(layers: Sequence[Mapping[str, Any]], measure: str) -> list[Node]:
    """(id, label, parent id, value, kind) of every module and layer; a module's value is the sum of its layers'."""
    nodes: dict[str, list[Any]] = {}
    leaves: list[Node] = []
    for layer in layers:
        value, module, parent = float(layer.get(measure) or 0), str(layer.get("module") or ""), ""
        for part in _parts(module):
            here = f"{parent}.{part}" if parent else part
            node = nodes.setdefault(here, [part, parent, 0.0])
            node[2] += value
            parent = here
        name = str(layer["name"])
        leaves.append((f"layer:{name}", _short(name, module), parent, value, kind(layer)))
    return _merged(nodes, leaves)


def _merged(nodes: dict[str, list[Any]], leaves: list[Node]) -> list[Node]:
    """A module that holds one thing alone is drawn as one with it: `13.conv`, or a layer under its longer name."""
    held = Counter([node[1] for node in nodes.values()] + [leaf[2] for leaf in leaves])
    placed = []
    for key, label, parent, value, what in leaves:
        while parent and held[parent] == 1:
            own = nodes.pop(parent)
            label = own[0] if label == own[0] or key.endswith(":" + label) else f"{own[0]}.{label}"
            parent = own[1]
        placed.append((key, label, parent, value, what))
    for key in sorted(nodes, key=len, reverse=True):
        children = [k for k, node in nodes.items() if node[1] == key]
        if held[key] == 1 and len(children) == 1:
            child, own = nodes[children[0]], nodes.pop(key)
            child[0], child[1] = f"{own[0]}.{child[0]}", own[1]
    return [(key, label, parent, total, "") for key, (label, parent, total) in nodes.items()] + placed


def _parts(module: str) -> list[str]:
    return [p for p in module.replace("/", ".").split(".") if p]


def _short(name: str, module: str) -> str:
    rest = name[len(module):].strip("./") if module and name.startswith(module) else name
    return rest or name.rsplit(".", 1)[-1]


def treemap_figure(theme: str, layers: Sequence[Mapping[str, Any]], measure: str, height: int = 430) -> Figure:
    """A treemap by module; a layer's colour is its kind of op."""
    c = tokens(theme)
    nodes = tree(layers, measure)
    unit = {"params": "parameters", "macs": "MACs"}.get(measure, measure)
    trace = {"type": "treemap", "ids": [n[0] for n in nodes], "labels": [n[1] for n in nodes],
             "parents": [n[2] for n in nodes], "values": [n[3] for n in nodes], "branchvalues": "total",
             "marker": {"colors": [c[n[4]] if n[4] else c["chassis"] for n in nodes], "cornerradius": 3,
                        "line": {"width": 1, "color": c["surface"]}, "pad": {"t": 17, "l": 3, "r": 3, "b": 3}},
             "textfont": {"family": FONT, "size": 11}, "tiling": {"pad": 2}, "pathbar": {"visible": False},
             "textinfo": "label+percent root", "outsidetextfont": {"color": c["text2"], "size": 10.5},
             "insidetextfont": {"color": [c["bg"] if theme == "dark" and n[4] else "#FFFFFF" if n[4] else c["text2"] for n in nodes]},
             "hovertemplate": "%{id}<br>%{value:,} " + unit + "<br>%{percentRoot:.1%}<extra></extra>"}
    return {"data": [trace], "layout": layout(theme, height=height, margin={"l": 0, "r": 0, "t": 0, "b": 0})}
