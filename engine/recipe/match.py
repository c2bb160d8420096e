"""Which layers and tensors the names and patterns of a recipe mean.

Precedence for a layer, highest first: its exact node name; its exact module path; globs over either, where
the later in the recipe wins; `op:TYPE`. Without any, the base precision (the layer is not in the result).
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from engine.errors import BadInput, nearest
from engine.recipe.parts import LayerRequest, TensorRequest
from engine.recipe.recipe import Recipe

_OP = "op:"
_EXACT, _MODULE, _GLOB, _TYPE = 3, 2, 1, 0


class LayerInfo(Protocol):
    """A layer as `engine.graph` describes it."""

    @property
    def name(self) -> str: ...
    @property
    def op_type(self) -> str: ...
    @property
    def module(self) -> str | None: ...


def match_layers(recipe: Recipe, layers: Sequence[LayerInfo]) -> dict[str, LayerRequest]:
    """The request of each layer that has one; raises `BadInput` for a pattern that no layer matches."""
    found: dict[str, LayerRequest] = {}
    rank: dict[str, int] = {}
    for pattern, request in recipe.layers:
        for layer, strength in _matches("layers", pattern, layers):
            if strength >= rank.get(layer.name, -1):
                found[layer.name], rank[layer.name] = request, strength
    return {layer.name: found[layer.name] for layer in layers if layer.name in found}


def match_bypass(recipe: Recipe, layers: Sequence[LayerInfo]) -> frozenset[str]:
    """The layers that stay in float; `bypass` takes the same names and patterns as `layers`."""
    return frozenset(layer.name for p in recipe.bypass for layer, _ in _matches("bypass", p, layers))


def match_tensors(recipe: Recipe, tensors: Iterable[str]) -> dict[str, TensorRequest]:
    """The request of each tensor that has one: exact name over globs, the later glob wins."""
    names = list(dict.fromkeys(tensors))
    known = set(names)
    found: dict[str, TensorRequest] = {}
    globs = [(p, r) for p, r in recipe.tensors if p not in known]
    for pattern, request in globs:
        matching = [n for n in names if fnmatchcase(n, pattern)]
        if not matching:
            raise BadInput(f"tensors: the model has no tensor {pattern[:120]!r}. {nearest(pattern, names)}")
        found.update(dict.fromkeys(matching, request))
    found.update({p: r for p, r in recipe.tensors if p in known})
    return found


def check_names(recipe: Recipe, layers: Sequence[LayerInfo], tensors: Iterable[str]) -> None:
    """Raises `BadInput` for the first layer, bypass or tensor name that the model does not have."""
    match_layers(recipe, layers)
    match_bypass(recipe, layers)
    match_tensors(recipe, tensors)


def _matches(key: str, pattern: str, layers: Sequence[LayerInfo]) -> list[tuple[LayerInfo, int]]:
    exact = [layer for layer in layers if layer.name == pattern]
    if exact:
        return [(layer, _EXACT) for layer in exact]
    module = [layer for layer in layers if layer.module and layer.module == pattern]
    if module:
        return [(layer, _MODULE) for layer in module]
    if pattern.startswith(_OP):
        found = [(layer, _TYPE) for layer in layers if layer.op_type == pattern[len(_OP):]]
        if not found:
            types = sorted({_OP + layer.op_type for layer in layers})
            raise BadInput(f"{key}: no layer of the model is {pattern[:120]!r}. {nearest(pattern, types)}")
        return found
    globbed = [x for x in layers if fnmatchcase(x.name, pattern) or (x.module and fnmatchcase(x.module, pattern))]
    if not globbed:
        known = [x.name for x in layers] + [x.module for x in layers if x.module]
        raise BadInput(f"{key}: the model has no layer {pattern[:120]!r}. {nearest(pattern, dict.fromkeys(known))}")
    return [(layer, _GLOB) for layer in globbed]
