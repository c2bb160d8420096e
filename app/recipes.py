"""Edits of a recipe as plain values: what a click on the desk changes. Pure functions, no engine behind them.

The engine reads and resolves recipes (`engine.recipe`, with torch behind it); here are only the few edits
that the screen offers, on the mapping that the YAML text stands for. What they write, the engine checks.
"""
from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from engine.errors import BadInput
from engine.safe_yaml import dump_yaml, parse_yaml

Doc = dict[str, Any]
ORDER = ("mixdown", "model", "target", "precision", "candidates", "weights", "activations", "bias", "layers",
         "bypass", "tensors", "encodings", "calibration", "steps")
CANDIDATES = ("fp16", "w8a16", "w8a8", "w4a8")
START = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\n"


@dataclass(frozen=True)
class Request:
    """What the recipe says about one layer: `own` tells whether it says so for this layer at all, `line` whether under `layers`."""

    precision: str
    own: bool
    bypassed: bool
    line: bool


def read(text: str) -> Doc:
    """The recipe as plain values; raises `BadInput` where it is no mapping."""
    value = parse_yaml(text, "recipe")
    if not isinstance(value, dict):
        raise BadInput("recipe: expected `key: value` lines, such as `precision: w8a8`")
    return value


def write(doc: Mapping[str, Any]) -> str:
    """The YAML text, keys in the order of the format, empty parts left out; but no steps are not the same as the default ones."""
    ordered = [k for k in ORDER if k in doc] + [k for k in doc if k not in ORDER]
    return dump_yaml({k: doc[k] for k in ordered if doc[k] not in ({}, [], None) or (k == "steps" and doc[k] == [])})


def base(doc: Mapping[str, Any]) -> str:
    """The base precision."""
    return str(doc.get("precision", "w8a8"))


def candidates(doc: Mapping[str, Any]) -> list[str]:
    """The precisions that the project offers."""
    return [str(p) for p in doc.get("candidates") or CANDIDATES]


def precision_of(request: Any, otherwise: str) -> str:
    """The precision in an entry of `layers`: a text, or a mapping with that key."""
    if isinstance(request, Mapping):
        return str(request.get("precision", otherwise))
    return str(request)


def _strength(pattern: str, layer: Mapping[str, Any]) -> int:
    """How exactly a pattern names a layer: 3 its name, 2 its module, 1 a glob, 0 its op type, -1 not at all."""
    name, module = str(layer["name"]), str(layer.get("module") or "")
    if pattern == name:
        return 3
    if module and pattern == module:
        return 2
    if pattern.startswith("op:"):
        return 0 if pattern[3:] == layer.get("op_type") else -1
    return 1 if fnmatchcase(name, pattern) or (module and fnmatchcase(module, pattern)) else -1


def requests(doc: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> list[Request]:
    """What the recipe says about each layer, by the precedence of the format."""
    rules, muted = _Rules(dict(doc.get("layers") or {})), _Rules(dict.fromkeys(str(p) for p in doc.get("bypass") or []))
    otherwise = base(doc)
    out = []
    for layer in layers:
        met, wanted = rules.of(layer)
        bypassed = muted.of(layer)[0]
        out.append(Request(precision_of(wanted, otherwise) if met else otherwise, met or bypassed, bypassed, met))
    return out


class _Rules:
    """Lines of a recipe by pattern. Names and modules are looked up, only the few real patterns are tried one by one:
    hundreds of layers with lines of their own stay fast."""

    def __init__(self, lines: Mapping[str, Any]) -> None:
        self.lines = {str(k): v for k, v in lines.items()}
        self.patterns = [k for k in self.lines if k.startswith("op:") or any(c in k for c in "*?[")]

    def of(self, layer: Mapping[str, Any]) -> tuple[bool, Any]:
        """Whether a line meets the layer, and what the strongest says; of equals the last."""
        name, module = str(layer["name"]), str(layer.get("module") or "")
        for exact in (name, module):
            if exact and exact in self.lines:
                return True, self.lines[exact]
        met = [(_strength(p, layer), i) for i, p in enumerate(self.patterns)]
        best = max((m for m in met if m[0] >= 0), default=None)
        return (False, None) if best is None else (True, self.lines[self.patterns[best[1]]])


def set_precision(doc: Doc, names: Iterable[str], precision: str, layers: Sequence[Mapping[str, Any]]) -> Doc:
    """The named layers ask for `precision`; their weight options stay, a bypass ends."""
    names = list(names)
    new = _unbypassed(doc, names, layers)
    rules = new.setdefault("layers", {})
    for name in names:
        old = rules.get(name)
        rules[name] = {**old, "precision": precision} if isinstance(old, Mapping) else precision
    return new


def to_base(doc: Doc, names: Iterable[str], layers: Sequence[Mapping[str, Any]]) -> Doc:
    """The named layers follow the base: their own lines go, and where a pattern still meets them the base is said."""
    names = list(names)
    new = _unbypassed(doc, names, layers)
    rules = new.setdefault("layers", {})
    for name in names:
        rules.pop(name, None)
    by_name = {str(layer["name"]): layer for layer in layers}
    chosen = [by_name[n] for n in names if n in by_name]
    for layer, request in zip(chosen, requests(new, chosen), strict=True):
        if request.own:
            rules[str(layer["name"])] = base(new)
    return new


def bypass(doc: Doc, names: Iterable[str]) -> Doc:
    """The named layers stay in float."""
    new = copy.deepcopy(doc)
    muted = new.setdefault("bypass", [])
    muted.extend(n for n in names if n not in muted)
    return new


def audition(doc: Doc, layers: Sequence[Mapping[str, Any]], solo: Iterable[int]) -> Doc:
    """The same recipe with only the soloed layers quantized and everything else in float; layers are given by their places."""
    asked = requests(doc, layers)
    rules = dict(doc.get("layers") or {})
    heard: Doc = {}
    for i in solo:
        name, precision = str(layers[i]["name"]), asked[i].precision
        own = rules.get(name)
        if not asked[i].bypassed:
            heard[name] = {**own, "precision": precision} if isinstance(own, Mapping) else precision
    kept = {k: v for k, v in doc.items() if k not in ("precision", "layers", "bypass", "tensors")}
    return {**copy.deepcopy(kept), "precision": "fp32", "layers": heard}


def _unbypassed(doc: Doc, names: Sequence[str], layers: Sequence[Mapping[str, Any]]) -> Doc:
    """Without a bypass of these layers; a pattern that met others too is written out for the others."""
    new = copy.deepcopy(doc)
    kept: list[str] = []
    for pattern in list(new.get("bypass") or []):
        met = [str(x["name"]) for x in layers if _strength(str(pattern), x) >= 0]
        touched = set(met) & set(names)
        kept.extend([n for n in met if n not in touched] if touched else [str(pattern)])
    if "bypass" in new:
        new["bypass"] = list(dict.fromkeys(kept))
    return new


def put(doc: Doc, path: Sequence[str], value: Any) -> Doc:
    """One key by its path; None removes it, and mappings that become empty go too."""
    new = copy.deepcopy(doc)
    places: list[Doc] = [new]
    for key in path[:-1]:
        inner = places[-1].get(key)
        places.append(inner if isinstance(inner, dict) else {})
        places[-2][key] = places[-1]
    if value is None:
        places[-1].pop(path[-1], None)
        for place, key in zip(reversed(places[:-1]), reversed(path[:-1]), strict=True):
            if not place[key]:
                del place[key]
    else:
        places[-1][path[-1]] = value
    return new


def said(names: Sequence[str], what: str) -> str:
    """The line of history for an edit of layers."""
    who = names[0] if len(names) == 1 else f"{len(names)} layers"
    return {"bypass": f"{who}: kept in float", "base": f"{who}: back to base"}.get(what, f"{who} to {what}")


def edit_layers(doc: Doc, names: Sequence[str], what: str, layers: Sequence[Mapping[str, Any]]) -> Doc:
    """One edit as the table sends it: a precision, `bypass` or `base`."""
    if what == "bypass":
        return bypass(doc, names)
    return to_base(doc, names, layers) if what == "base" else set_precision(doc, names, what, layers)
