"""Lines of a recipe for many layers at once: by name, module, pattern, type of op, and for the model's inputs and outputs.

The last hand wins: what a new line meets gets what it says, so lines that would beat it (an exact name over a pattern) give way.
Pure functions; what they write, the engine checks.
"""
from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from app import recipes
from engine.errors import BadInput

Layer = Mapping[str, Any]
WHATS = ("layer", "module", "pattern", "type", "input", "output")
BASE, FLOAT = "base", "float"  # what a line may say beside a precision
WILD = "*?["


@dataclass(frozen=True)
class Line:
    """A line that is there: `section` of the recipe, its key, what it says, and how many layers have it from this line."""

    section: str
    key: str
    says: str
    words: str


def met(what: str, which: str, layers: Sequence[Layer]) -> list[str]:
    """The names of the layers that are meant; a module's are those of all modules inside it too."""
    if what == "layer":
        return [str(x["name"]) for x in layers if x["name"] == which]
    if what == "module":
        return [str(x["name"]) for x in layers if f"{x.get('module') or ''}.".startswith(f"{which}.")]
    if what == "type":
        return [str(x["name"]) for x in layers if x.get("op_type") == which]
    return [str(x["name"]) for x in layers if fnmatchcase(str(x["name"]), which) or fnmatchcase(str(x.get("module") or ""), which)]


def patterns(what: str, which: str, layers: Sequence[Layer]) -> list[str]:
    """The keys under which a recipe says it."""
    if what == "type":
        return [f"op:{which}"]
    if what != "module":
        return [which]
    own = [str(x.get("module") or "") for x in layers]
    return [which] * (which in own) + [f"{which}.*"] * any(m.startswith(f"{which}.") for m in own)


def put(doc: recipes.Doc, what: str, which: str, to: str, layers: Sequence[Layer]) -> tuple[recipes.Doc, str]:
    """The recipe with the line, and the line of history for it.

    `to`: a precision, `base` or `float`; for an input or output a type such as `a16`, or `base`.

    Raises:
        BadInput: it means nothing in this model.
    """
    if what not in WHATS or not which:
        raise BadInput(f"nothing was named to set ({what[:20]!r}): expected a layer, module, pattern, type of op, input or output")
    if what in ("input", "output"):
        return _tensor(doc, which, to), f"{what} {which} to {to}"
    names, keys = met(what, which, layers), patterns(what, which, layers)
    if not names and not (what == "type" and to not in (BASE, FLOAT)):
        raise BadInput(f"no layer of the model is met by {which[:80]!r}")
    count = "" if what == "layer" else f" ({len(names)} layers)"
    said = f"{ {'type': 'op:'}.get(what, '') }{which}{count} to {to}"[:160]
    if to == FLOAT:
        return recipes.bypass(doc, keys), said
    if to == BASE:
        return recipes.to_base(_without(doc, keys), names, layers), said
    return _lines(doc, names, keys, to, layers), said


def _lines(doc: recipes.Doc, names: Sequence[str], keys: Sequence[str], to: str, layers: Sequence[Layer]) -> recipes.Doc:
    single = list(keys) == list(names)
    new = recipes.set_precision(doc if single else _without(doc, keys), names, to, layers)  # ends bypasses, keeps weight options
    rules = new["layers"]
    if not single:
        for name in names:
            if not isinstance(rules[name], Mapping):
                del rules[name]
        rules.update(dict.fromkeys(keys, to))
    chosen = [x for x in layers if str(x["name"]) in set(names)]
    beaten = [str(x["name"]) for x, r in zip(chosen, recipes.requests(new, chosen), strict=True) if r.precision != to]
    return recipes.set_precision(new, beaten, to, layers) if beaten else new


def _without(doc: recipes.Doc, keys: Sequence[str]) -> recipes.Doc:
    new = copy.deepcopy(doc)
    for key in keys:
        (new.get("layers") or {}).pop(key, None)
    return new


def _tensor(doc: recipes.Doc, name: str, to: str) -> recipes.Doc:
    own = (doc.get("tensors") or {}).get(name)
    rest = {k: v for k, v in own.items() if k not in ("type", "dtype")} if isinstance(own, Mapping) else {}
    new: Any = rest if to == BASE else {**rest, "type": to}
    return recipes.put(doc, ["tensors", name], new or None)


def lines(doc: recipes.Doc, layers: Sequence[Layer]) -> list[Line]:
    """The lines that are about more than one layer, or about tensors, in the recipe's order."""
    asked = dict(zip([str(x["name"]) for x in layers], recipes.requests(doc, layers), strict=True))
    exact, found = set(asked), []
    for key, value in dict(doc.get("layers") or {}).items():
        if key in exact:
            continue
        says, names = recipes.precision_of(value, recipes.base(doc)), _of_key(str(key), layers)
        beaten = sum(asked[n].precision != says or asked[n].bypassed for n in names)
        more = f", {beaten} of them set otherwise by a stronger line" if beaten else ""
        found.append(Line("layers", str(key), says, f"{len(names)} layers{more}" if names else "ops without weights"))
    muted = [str(p) for p in doc.get("bypass") or [] if p not in exact]
    found += [Line("bypass", p, FLOAT, f"{len(_of_key(p, layers))} layers") for p in muted]
    for name, value in dict(doc.get("tensors") or {}).items():
        plain = value if isinstance(value, Mapping) else {"type": value}
        says = str(plain.get("type", plain.get("dtype", "")))
        rest = ", ".join(f"{k} {v}" for k, v in plain.items() if k not in ("type", "dtype"))
        found.append(Line("tensors", str(name), says or BASE, f"a tensor{f', {rest}' if rest else ''}"))
    return found


def _of_key(key: str, layers: Sequence[Layer]) -> list[str]:
    if key.startswith("op:"):
        return met("type", key[3:], layers)
    if any(c in key for c in WILD):
        return met("pattern", key, layers)
    return [str(x["name"]) for x in layers if x.get("module") == key]


def drop(doc: recipes.Doc, section: str, key: str) -> tuple[recipes.Doc, str]:
    """The recipe without a line."""
    new = copy.deepcopy(doc)
    if section == "bypass":
        new["bypass"] = [p for p in new.get("bypass") or [] if p != key]
    elif section in ("layers", "tensors"):
        (new.get(section) or {}).pop(key, None)
    else:
        raise BadInput(f"{section[:20]!r} came: expected layers, bypass or tensors")
    return new, f"the line of {key} removed"[:160]


def modules(layers: Sequence[Layer]) -> list[str]:
    """Every module that layers lie in, outer ones too, in order of execution."""
    found: dict[str, None] = {}
    for layer in layers:
        parts = str(layer.get("module") or "").split(".")
        for n in range(1, len(parts) + 1):
            if parts[0]:
                found[".".join(parts[:n])] = None
    return list(found)
