"""`--set KEY=VALUE`: one key of a recipe by its dotted path.

Keys of the format never hold a dot, names of layers and tensors often do. After `layers.` or `tensors.` the
name is, in this order: what stands in double quotes; the longest name the recipe already has that the rest
begins with and that leaves a known key or nothing; else the rest without the longest known key at its end
(`layers.features.3.conv.weights.granularity` is `weights.granularity` of layer `features.3.conv`).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import BadInput, nearest
from engine.recipe.parse import READERS
from engine.recipe.text import to_dict
from engine.safe_yaml import parse_yaml

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe

_GRANULARITY = ("weights.granularity.per_block", "weights.granularity")
_LAYER_KEYS = (*_GRANULARITY, "weights.symmetric", "weights.method", "weights", "precision")
_TENSOR_KEYS = ("type", "dtype", "symmetric", "min", "max", "method")
_NAMED = {"layers": _LAYER_KEYS, "tensors": _TENSOR_KEYS}


def changed(recipe: Recipe, key: str, value: object) -> dict[str, Any]:
    """The recipe as plain values with one key set; a text value is read as YAML, `null` removes the key."""
    source = f"--set {key[:200]}"
    if isinstance(value, str):
        value = parse_yaml(value, source)
    data = to_dict(recipe)
    top, _, rest = key.partition(".")
    if top not in READERS:
        raise BadInput(f"{source}: unknown key {top[:80]!r}. {nearest(top, READERS)}")
    path = [top, *_split(source, top, rest, list(data.get(top, {})))] if top in _NAMED and rest else key.split(".")
    if "" in path:
        raise BadInput(f"{source}: a name is missing between the dots: expected KEY.KEY=VALUE")
    place = data
    for i, name in enumerate(path[:-1]):
        place[name] = _opened(recipe, path[: i + 1], place.get(name))
        place = place[name]
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return data


def _split(source: str, top: str, rest: str, names: list[str]) -> list[str]:
    """The name and the keys after `layers.` or `tensors.`."""
    known = _NAMED[top]
    if rest.startswith('"'):
        name, quote, tail = rest[1:].partition('"')
        if not quote or (tail and not tail.startswith(".")):
            raise BadInput(f"{source}: a quote is missing: expected {top}.\"NAME\".KEY")
        return [name, *([] if not tail else tail[1:].split("."))]
    for name in sorted(names, key=len, reverse=True):
        if rest == name:
            return [name]
        if rest.startswith(name + ".") and rest[len(name) + 1:] in known:
            return [name, *rest[len(name) + 1:].split(".")]
    for tail in sorted(known, key=len, reverse=True):
        if rest.endswith("." + tail) and len(rest) > len(tail) + 1:
            return [rest[: -len(tail) - 1], *tail.split(".")]
    return [rest]


def _opened(recipe: Recipe, path: list[str], value: object) -> dict[str, Any]:
    """The mapping at a place on the way: short forms are written out, what is missing is made."""
    if isinstance(value, dict):
        return value
    if len(path) == 2 and path[0] == "layers":
        return {"precision": value or str(recipe.precision)}
    if len(path) == 2 and path[0] == "tensors":
        return {"type": value} if value else {}
    return {}


