"""The rack's data, made from a bench. What an edit does not change travels once, as parts that are known by their hash.

`graph` holds layers and blocks, `rules` what the target allows, `scores` the additive scores with the fitted curve,
`sqnr` what the last measurement found at each layer, `ahead` by which rules precisions spread. An edit itself is a few
hundred bytes.
"""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import master, recipes
from app.bench import Bench
from app.block_names import block_chains, module_of
from app.foresight import foreseen
from app.rack_codec import LETTERS, pack, pack_set
from app.rack_edits import Memory, shown_by
from app.readable import brief, kind, op_name
from app.readouts import BUDGET
from app.sensitivity.budget import budget_of
from app.table import illegal
from engine.errors import BadInput

Data = dict[str, Any]
FLOATS = {"fp32": (32, 32), "fp16": (16, 16), "bf16": (16, 16)}
MOST_DETENTS = 9
WHY_BYTES = 400  # reasons that travel with an edit; the table has them all


def bits(precision: str) -> tuple[int, int]:
    """Bits of weights and activations: `w4a8` is (4, 8)."""
    if precision in FLOATS:
        return FLOATS[precision]
    weights, _, activations = precision.removeprefix("w").partition("a")
    return (int(weights), int(activations)) if weights.isdigit() and activations.isdigit() else (32, 32)


def detents(bench: Bench) -> list[str]:
    """The fader's detents, most bits first: the project's candidates, the base, and whatever a layer asks for beside them."""
    asked = Counter(r.precision for r in bench.asked)
    extra = [p for p, _ in asked.most_common()]
    names = list(dict.fromkeys([recipes.base(bench.doc), *recipes.candidates(bench.doc), *extra]))[:MOST_DETENTS]
    return sorted(names, key=lambda p: (bits(p), p not in FLOATS), reverse=True)


def caption(precision: str) -> str:
    """A detent on a narrow cap: `8/16`, `16` for fp16."""
    weights, activations = bits(precision)
    return str(weights) if precision in FLOATS else f"{weights}/{activations}"


def blocks(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The block of each layer, by the names that the graph uses too; where there is none its module.

    The inner block where inner blocks make up all of the outer one, as attention and MLP do; else the outer one, so that a
    gate in the middle of a block does not tear it apart.
    """
    chains = block_chains(layers)
    whole = {chain[0] for chain in chains if chain} - {chain[0] for chain in chains if len(chain) == 1}
    return [(chain[-1] if chain[0] in whole else chain[0]) if chain else module_of(layer)
            for chain, layer in zip(chains, layers, strict=True)]


def graph(bench: Bench) -> Data:
    """What never changes: for each layer its name, block, kind, op, description, weights, other bytes, MACs."""
    rows = []
    for layer, block in zip(bench.layers, blocks(bench.layers), strict=True):
        params, full = int(layer.get("params") or 0), int(layer.get("fp32_size_bytes") or 0)
        values = min(params, _count(layer))
        rows.append({"n": layer["name"], "b": block, "k": kind(layer), "o": op_name(layer), "t": brief(layer), "v": values,
                     "f": max(0, full - values * 4), "c": int(layer.get("macs") or 0)})
    return {"layers": rows}


def _count(layer: Mapping[str, Any]) -> int:
    """How many values the weight has, without its bias."""
    count = 1
    for size in layer.get("weight_shape") or [int(layer.get("params") or 0)]:
        count *= int(size)
    return count


def rules(bench: Bench) -> Data:
    """The detents, what the target refuses at which layer, and which strips hang together."""
    names, refused = detents(bench), illegal(bench)
    reasons = sorted({why for by in refused.values() for p, why in by.items() if p in names})[: len(LETTERS) - 1]
    codes = {why: LETTERS[i] for i, why in enumerate(reasons)}
    rows = ["".join(codes.get(refused.get(x["name"], {}).get(p, ""), "_") for p in names) for x in bench.layers]
    precisions = [{"id": p, "cap": caption(p), "w": bits(p)[0], "a": bits(p)[1]} for p in names]
    return {"precisions": precisions, "reasons": ["", *reasons], "no": rows, "links": links(bench)}


def links(bench: Bench) -> list[Data]:
    """Strips that hang together: one weight for several layers, or tensors of one group, whose type all readers share."""
    group_of = {t: f"g{n}" for n, group in enumerate((bench.resolved or bench.resolved_before or {}).get("groups") or []) for t in group}
    weights: dict[str, list[int]] = {}
    tensors: dict[str, list[int]] = {}
    for i, layer in enumerate(bench.layers):
        weights.setdefault(str(layer.get("weight") or i), []).append(i)
        for tensor in dict.fromkeys(group_of.get(t, t) for t in layer.get("reads") or []):
            tensors.setdefault(tensor, []).append(i)
    shared = [("share one weight: one precision for all", ids) for ids in weights.values() if len(ids) > 1]
    read = {tuple(ids): None for ids in tensors.values() if len(ids) > 1}
    weighted = [ids for _, ids in shared]
    shared += [("read the same tensor, so their activations share one type", list(ids)) for ids in read if list(ids) not in weighted]
    return [{"ids": pack_set(ids), "why": f"{_names(bench, ids)} {why}"} for why, ids in shared]


def _names(bench: Bench, ids: Sequence[int]) -> str:
    first = ", ".join(str(bench.layers[i]["name"]) for i in ids[:3])
    return first + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def sqnr(bench: Bench) -> Data | None:
    """The measured SQNR at each layer's output, dB, from the last report."""
    found = {x["name"]: x.get("sqnr_db") for x in (bench.report or bench.before or {}).get("layers", [])}
    return {"db": [None if (v := found.get(x["name"])) is None else round(float(v), 1) for x in bench.layers]} if found else None


def live(bench: Bench, memory: Memory, selected: Iterable[int], current: int, solo: Iterable[int] = (), note: str = "",
         other: str | None = None) -> Data:
    """What an edit changes: requests, effective precisions, mutes, selection, totals; `other`: the recipe of the other snapshot."""
    names, asked = detents(bench), bench.asked
    place = {p: i for i, p in enumerate(names)}
    effective, extra, why = _effective(bench, asked, place)
    cost = (bench.outcome or bench.resolved_before or bench.before or {}).get("cost") or {}
    full = cost.get("fp32_size_bytes") or sum(int(x.get("fp32_size_bytes") or 0) for x in bench.layers)
    token = memory.remember(shown_by(asked, recipes.base(bench.doc)), names)
    return {"ack": memory.ack, "memory": memory.name, "token": token, "base": place[recipes.base(bench.doc)],
            "prec": pack([place.get(r.precision, place[recipes.base(bench.doc)]) for r in asked]),
            "eff": pack(effective), "extra": extra, "why": why, "mute": pack_set(i for i, r in enumerate(asked) if r.bypassed),
            "stay": pack_set(master.staying(bench.doc, asked)),
            "solo": pack_set(solo), "sel": pack_set(selected), "cur": current,
            "size": cost.get("size_bytes") or _about(bench), "fp32": full,
            "exact": bench.outcome is not None, "other": None if other is None else _requested(bench, other, place),
            "bops": cost.get("bops") or 0, "fp32bops": cost.get("fp32_bops") or 0, "note": note}


def _requested(bench: Bench, text: str, place: Mapping[str, int]) -> str | None:
    """What another recipe asks for, where it can be read and its base is among the detents."""
    try:
        doc = recipes.read(text)
    except BadInput:
        return None
    base = place.get(recipes.base(doc))
    asked = recipes.requests(doc, bench.layers)
    return None if base is None else pack([-1 if r.bypassed else place.get(r.precision, -1) for r in asked])


def _about(bench: Bench) -> int:
    """The bytes of all layers at what they ask for, while nothing is resolved yet."""
    sizes = ((_count(x), int(x.get("fp32_size_bytes") or 0), 32 if r.bypassed else bits(r.precision)[0])
             for x, r in zip(bench.layers, bench.asked, strict=True))
    return sum(max(0, full - 4 * count) + count * width // 8 for count, full, width in sizes)


def _effective(bench: Bench, asked: Sequence[recipes.Request], place: Mapping[str, int]) -> tuple[list[int], list[str], dict[str, str]]:
    """Where a layer runs at another precision than it asks for: its index (detents first, then `extra`), and some reasons."""
    rows = {x["name"]: x for x in (bench.outcome or {}).get("layers", [])}
    out, extra, why, room = [], [], {}, WHY_BYTES
    for i, (layer, request) in enumerate(zip(bench.layers, asked, strict=True)):
        row = rows.get(layer["name"], {})
        found = str(row.get("precision") or request.precision)
        if request.bypassed or found == request.precision:
            out.append(-1)
            continue
        if found not in place and found not in extra:
            extra.append(found)
        index = place[found] if found in place else len(place) + extra.index(found)
        out.append(index if index < len(LETTERS) else -1)
        reason = str(row.get("reason") or "")[:160]
        room -= len(reason) + 8
        if reason and room > 0:
            why[str(i)] = reason
    return out, extra, why


def fingerprint(part: Mapping[str, Any]) -> str:
    """The hash that a part is known by."""
    return hashlib.sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def parcels(parts: Mapping[str, tuple[str, Data | None]], sent: set[str]) -> tuple[dict[str, str], dict[str, Data]]:
    """The hash of every part, and those parts that the browser does not have yet; they count as sent from now on."""
    fresh = {name: part for name, part in parts.values() if part is not None and name not in sent}
    sent.update(fresh)
    return {name: found for name, (found, _) in parts.items()}, fresh


def rack_data(bench: Bench, memory: Memory, theme: str, state: Data, known: Known | None = None) -> Data:
    """All that the rack is given; `state` is what `live` made."""
    known = known or Known(None, None, "")
    resolved, report = bench.resolved or bench.resolved_before, bench.report or bench.before
    parts = {"graph": memory.once("graph", [bench.model], lambda: _named(graph(bench))),
             "rules": memory.once("rules", [bench.model, resolved, *detents(bench)], lambda: _named(rules(bench))),
             "scores": memory.once("scores", [*(known.found or ()), known.curve], lambda: _named(scored(known))),
             "sqnr": memory.once("sqnr", [bench.model, report], lambda: _named(sqnr(bench))),
             "ahead": _ahead(bench, memory)}
    have, fresh = parcels(parts, memory.parts)
    return {"theme": theme, "have": have, "parts": fresh, "live": state}


def _ahead(bench: Bench, memory: Memory) -> tuple[str, Data | None]:
    """The rules of the graph, by which the rack knows what a move brings with it; the engine has named them by their content."""
    found = foreseen(memory.foreseen, bench)
    return ("", None) if found is None else (str(found["name"]), dict(found))


def _named(part: Data | None) -> tuple[str, Data | None]:
    return ("" if part is None else fingerprint(part)), part


@dataclass(frozen=True)
class Known:
    """Scores as `curves.scores_for` gives them, the curve, and the metric's unit."""

    found: tuple[str, Mapping[str, Mapping[str, float]]] | None
    curve: Mapping[str, Any] | None
    unit: str


def scored(known: Known) -> Data | None:
    """The additive scores by layer and precision, nats per sample, and the curve that turns their sum into a drop."""
    if known.found is None:
        return None
    kind, rows = known.found
    curve, bears = known.curve, budget_of(known.curve)
    fitted = None if curve is None else {"knots": curve["knots"], "enough": curve["enough"], "beyond": curve["beyond"]}
    return {"kind": kind, "scores": rows, "curve": fitted, "fp32": None if curve is None else curve["fp32"].get("value"),
            "unit": known.unit, "budget": bears.nats, "fitted": bears.fitted, "drop": BUDGET}
