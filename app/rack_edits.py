"""What the rack's state document changes in a recipe.

The rack sends its whole state. What the hand changed is the difference to the state the rack had taken over last, so an
undo or an edit made elsewhere meanwhile is not overwritten. Pure functions: the page stores what comes out.
"""
from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import master, recipes
from app.foresight import Foreseen
from app.rack_codec import unpack, unpack_set

KEPT = 40  # states that a document may still refer to


@dataclass(frozen=True)
class Shown:
    """What the rack showed, or shows: the precision that each layer asks for, the layers kept in float, and the base."""

    precisions: tuple[str, ...]
    muted: frozenset[int]
    base: str


@dataclass
class Memory:
    """What was exchanged with the rack of one window; `name` tells it from that of an earlier server."""

    name: str = field(default_factory=lambda: secrets.token_hex(3))
    ack: int = 0
    serial: int = 0
    sent: OrderedDict[str, tuple[Shown, tuple[str, ...]]] = field(default_factory=OrderedDict)
    last: tuple[str, Shown] | None = None
    parts: set[str] = field(default_factory=set)
    made: dict[str, tuple[tuple[Any, ...], Any]] = field(default_factory=dict)
    foreseen: Foreseen = field(default_factory=Foreseen)

    def once(self, name: str, sources: Sequence[Any], make: Callable[[], Any]) -> Any:
        """What `make` gives, made anew only when one of the objects that it is made from is another one (or another text)."""
        kept = self.made.get(name)
        same = kept is not None and len(kept[0]) == len(sources) and all(
            a is b or (isinstance(a, str) and a == b) for a, b in zip(kept[0], sources, strict=True))
        if kept is None or not same:
            kept = self.made[name] = (tuple(sources), make())
        return kept[1]

    def remember(self, shown: Shown, detents: Sequence[str]) -> str:
        """Notes what the rack is about to show; returns the token by which its next document says what it came from."""
        state = (shown, tuple(detents))
        if self.sent.get(str(self.serial)) != state:
            self.serial += 1
            self.sent[str(self.serial)] = state
            if len(self.sent) > KEPT:
                self.sent.popitem(last=False)
        return str(self.serial)


@dataclass(frozen=True)
class Asked:
    """A document, read: selection, solos, and what to do with which layers (empty where the recipe stays)."""

    selected: list[int]
    current: int
    solo: list[int]
    precisions: Mapping[int, str]
    muted: Mapping[int, bool]
    base: str = ""  # where the master was moved to; empty where it stays


def shown(doc: recipes.Doc, layers: Sequence[Mapping[str, Any]]) -> Shown:
    """What a recipe shows on the rack."""
    return shown_by(recipes.requests(doc, layers), recipes.base(doc))


def shown_by(asked: Sequence[recipes.Request], base: str) -> Shown:
    """The same from what each layer asks for."""
    return Shown(tuple(r.precision for r in asked), frozenset(i for i, r in enumerate(asked) if r.bypassed), base)


def take(memory: Memory, said: Mapping[str, Any] | None, count: int) -> Asked | None:
    """Reads a document; None for one that is older than the last, or about another graph."""
    if not said or int(said.get("seq") or 0) <= memory.ack:
        return None
    memory.ack = int(said["seq"])
    token = str(said.get("from") or "")
    known, names = memory.sent.get(token, (None, ()))
    try:
        places = unpack(str(said.get("prec") or ""))
    except ValueError:
        return None
    if known is None or len(places) != count or any(not 0 <= p < len(names) for p in places):
        return None
    base = names[place] if 0 <= (place := int(said.get("base", -1))) < len(names) else known.base
    now = Shown(tuple(names[p] for p in places), frozenset(unpack_set(str(said.get("mute") or ""), count)), base)
    before = memory.last[1] if memory.last and memory.last[0] == token else known
    memory.last = (token, now)
    selected, current = unpack_set(str(said.get("sel") or ""), count), min(max(int(said.get("cur") or 0), 0), count - 1)
    muted = {i: i in now.muted for i in sorted(now.muted ^ before.muted)}
    return Asked(selected, current, unpack_set(str(said.get("solo") or ""), count), _moved(now, before), muted,
                 base if base != before.base else "")


def _moved(now: Shown, before: Shown) -> dict[int, str]:
    """The layers that the hand moved; those that went along with the base are not among them."""
    pairs = enumerate(zip(now.precisions, before.precisions, strict=True))
    return {i: p for i, (p, q) in pairs if p != q and (now.base == before.base or (p, q) != (now.base, before.base))}


def edited(doc: recipes.Doc, asked: Asked, layers: Sequence[Mapping[str, Any]]) -> tuple[recipes.Doc, str]:
    """The recipe with these changes, and the line of history for them (empty where nothing changes)."""
    doc = master.to_new_base(doc, asked.base, layers) if asked.base else doc
    here = shown(doc, layers)
    silent, moved = here.muted, {i: p for i, p in asked.precisions.items() if here.precisions[i] != p}
    target = {i for i in silent if asked.muted.get(i, True)} | {i for i, on in asked.muted.items() if on}
    groups: dict[str, list[str]] = {}
    for i, precision in moved.items():
        groups.setdefault(precision, []).append(str(layers[i]["name"]))
    new = doc
    for precision, names in groups.items():
        follows = precision == recipes.base(doc)
        new = recipes.to_base(new, names, layers) if follows else recipes.set_precision(new, names, precision, layers)
    new = _mutes(new, target, layers)
    said = _label(groups, [str(layers[i]["name"]) for i, on in asked.muted.items() if on],
                  [str(layers[i]["name"]) for i, on in asked.muted.items() if not on], recipes.base(doc))
    return new, "; ".join(p for p in (master.label(asked.base) if asked.base else "", said) if p)


def _mutes(doc: recipes.Doc, target: set[int], layers: Sequence[Mapping[str, Any]]) -> recipes.Doc:
    """Exactly these layers kept in float; what they ask for otherwise stays."""
    now = shown(doc, layers)
    for i in sorted(now.muted - target):
        name, asks = str(layers[i]["name"]), recipes.requests(doc, [layers[i]])[0].precision
        doc = recipes.to_base(doc, [name], layers) if asks == recipes.base(doc) else recipes.set_precision(doc, [name], asks, layers)
    silent = [str(layers[i]["name"]) for i in sorted(target - now.muted)]
    return recipes.bypass(doc, silent) if silent else doc


def _label(groups: Mapping[str, Sequence[str]], muted: Sequence[str], heard: Sequence[str], base: str) -> str:
    """The line of history: who, and what; several kinds of change are counted."""
    parts = [recipes.said(names, "base" if p == base else p) for p, names in groups.items()]
    if len(parts) > 1:
        counts = Counter({p: len(names) for p, names in groups.items()})
        parts = [f"{sum(counts.values())} layers: " + ", ".join(f"{n} to {p}" for p, n in counts.most_common())]
    if muted:
        parts.append(recipes.said(muted, "bypass"))
    if heard:
        parts.append(f"{heard[0] if len(heard) == 1 else f'{len(heard)} layers'}: quantized again")
    return "; ".join(parts)
