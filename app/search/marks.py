"""The points of the plot that were measured: searched, compared with, promised, and the recipe on the desk."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import forecast, numbers, recipes
from app.bench import Bench
from app.rack_codec import pack, unpack
from app.search import latency
from app.search.ask import Known

Data = dict[str, Any]
Result = Mapping[str, Any]
HALF = "on the half that validates"
TITLES = {"search": "Search", "amp": "AIMET's procedure", "lite": "Worst share widened"}


def marks(found: Bench, known: Known, order: Sequence[str], names: Sequence[str]) -> list[Data]:
    """One for each measured recipe; those with `p` (a precision for each layer) can be shown and loaded."""
    out: list[Data] = []
    for method, run in known.runs.items():
        front = list(run.get("pareto") or [])
        seen = {(p["size_bytes"], p["bops"], p["kl"]) for p in front}
        tried = enumerate(run.get("tried") or [])
        out += [_shown(_mark(p, method, "tried", i), {**p, "layers": held(run, p)}, order, names) for i, p in tried
                if (p["size_bytes"], p["bops"], p["kl"]) not in seen]
        out += [_shown(_mark(p, method, "front", i), p, order, names) for i, p in enumerate(front)]
        chosen, promise = run.get("chosen"), run.get("promise")
        if chosen is not None and method == "search":
            out.append(_shown(_mark(chosen, method, "chosen", 0), chosen, order, names))
            if promise is not None:
                told = f"The promise: the chosen recipe on {promise['samples']:,} samples that nothing was chosen by"
                out.append(_mark({**chosen, **promise}, method, "promise", 0) | {"words": told})
    return out


def _mark(point: Result, method: str, kind: str, number: int) -> Data:
    drop = point["drop"]
    ends = numbers.bounds(drop) or (None, None)
    return {"id": f"{method}:{kind}:{number}", "method": method, "kind": kind, "size": point["size_bytes"], "bops": point["bops"],
            "bits": point.get("average_bits"), "latency": point.get("latency_us"),
            "drop": drop["value"], "lo": ends[0], "hi": ends[1], "kl": point["kl"],
            "words": f"{TITLES.get(method, method)}, {point.get('why', '')}: measured on {point['samples']:,} samples {HALF}",
            "lost": drop.get("flips_lost"), "won": drop.get("flips_won")}


def _shown(mark: Data, point: Result, order: Sequence[str], names: Sequence[str]) -> Data:
    layers = point.get("layers") or {}
    place = {p: i for i, p in enumerate(names)}
    known = [place.get(str(layers.get(n)), -1) for n in order]
    return mark | {"p": pack(known), "base": point.get("base")} if -1 not in known else mark


def held(run: Result, point: Result) -> dict[str, str]:
    """Layer → precision of a tried recipe, out of its few letters; empty where an older answer has none."""
    told, text = run.get("mix"), point.get("mix")
    if told is None or text is None:
        return {}
    try:
        digits = unpack(str(text))
    except ValueError:
        return {}
    layers, precisions = list(told["layers"]), list(told["precisions"])
    if len(digits) != len(layers) or not all(0 <= d < len(precisions) for d in digits):
        return {}
    return {str(n): str(precisions[d]) for n, d in zip(layers, digits, strict=True)}


def point_of(known: Known, mark: str) -> Result | None:
    """The measured recipe behind a mark that can be loaded: whole in `recipe`, or a tried one's `base` and `layers`."""
    method, _, rest = mark.partition(":")
    kind, _, number = rest.partition(":")
    run = known.runs.get(method) or {}
    front = list(run.get("pareto") or [])
    if kind == "chosen":
        return run.get("chosen")
    if kind == "tried":
        tried = list(run.get("tried") or [])
        point = tried[int(number)] if number.isdigit() and int(number) < len(tried) else {}
        return {"base": point.get("base"), "layers": layers} if (layers := held(run, point)) else None
    return front[int(number)] if kind == "front" and number.isdigit() and int(number) < len(front) else None


def now(found: Bench, known: Known, order: Sequence[str], names: Sequence[str]) -> Data | None:
    """The recipe on the desk: what is predicted of it, and measured where it was run."""
    if found.outcome is None:
        return None
    have, cost = forecast.precisions(found), found.outcome["cost"]
    place = {p: i for i, p in enumerate(names)}
    report, told = found.report, forecast.forecast(found)
    charged = latency.charges(r for name, r in known.frontiers.items() if name == "latency")
    spent = [charged.get((n, have.get(n, ""))) for n in order]
    out: Data = {"p": pack([place.get(have.get(n, ""), -1) for n in order]), "base": recipes.base(found.doc), "size": cost["size_bytes"],
                 "bops": cost["bops"], "latency": None if not spent or None in spent else sum(t for t in spent if t is not None),
                 "predicted": None, "measured": None, "score": None if told is None else told.sum, "kl": (report or {}).get("kl")}
    if told is not None and told.value is not None:
        out["predicted"] = [told.value, told.low, told.high]
    if report is not None:
        ends = numbers.bounds(report["drop"]) or (None, None)
        out["measured"] = [report["drop"]["value"], *ends, report["samples"]]
    return out
