"""The static part of the page's data: layers, precisions, frontiers and the options of every layer, as numbers that travel once."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.rack_codec import pack
from app.readable import kind
from app.search import ask
from app.sensitivity.words import short_names

Data = dict[str, Any]
Result = Mapping[str, Any]


def precisions(results: Sequence[Result], more: Sequence[str] = ()) -> list[str]:
    """Every precision that occurs, the fewest bits first."""
    seen = [p for r in results for row in r.get("layers") or [] for p in [o["precision"] for o in row["options"]]]
    return sorted(dict.fromkeys([*seen, *more]), key=lambda p: (ask.weights(p), ask.activations(p), p))


def packed(results: Mapping[str, Result], layers: Sequence[Result], names: Sequence[str]) -> Data:
    """All frontiers over the same layers; `names` are the precisions that digits stand for."""
    place = {p: i for i, p in enumerate(names)}
    rows = {str(r["name"]): r for r in next(iter(results.values()))["layers"]}
    order = {name: i for i, name in enumerate(rows)}
    kinds = {str(x["name"]): kind(x) for x in layers}
    frontiers = [_frontier(f, column, place, order) for column, r in results.items() for f in r["frontiers"]]
    out = {"layers": list(rows), "labels": short_names(list(rows)), "kinds": [kinds.get(n, "se") for n in rows], "names": list(names),
           "wide": [[ask.weights(p), ask.activations(p)] for p in names], "frontiers": frontiers,
           "fixed": [str(r["fixed"]) for r in rows.values()], "group": [str(r["group"]) for r in rows.values()],
           "options": [[_option(o, place) for o in r["options"]] for r in rows.values()],
           "fp32": next(iter(results.values()))["fp32"], "timed": "latency" in results}
    return out | {"hash": hashlib.sha256(json.dumps(out, sort_keys=True).encode()).hexdigest()[:10]}


def _frontier(found: Result, column: str, place: Mapping[str, int], order: Mapping[str, int]) -> Data:
    start = found["start"]
    moves = [[[order[n] for n in m["layers"]], [place[p] for p in m["layers"].values()], *_totals(m)] for m in found["moves"]]
    return {"base": found["base"], "column": column, "p": pack([place[start["layers"][n]] for n in order]), "start": _totals(start),
            "moves": moves}


def _option(option: Result, place: Mapping[str, int]) -> list[float]:
    time = _short(option.get("latency_us") or 0.0)
    return [place[option["precision"]], _short(option["score"]), option["size_bytes"], option["bops"], time]


def _totals(point: Result) -> list[float]:
    """Score, bytes, bit operations, average bits, microseconds (0 without a table)."""
    time = _short(point.get("latency_us") or 0.0)
    return [_short(point["score"]), point["size_bytes"], point["bops"], round(point["average_bits"], 5), time]


def _short(value: float) -> float:
    return float(f"{value:.7g}")
