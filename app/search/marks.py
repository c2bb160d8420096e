"""The points of the plot that were measured: searched, compared with, promised, and the recipe on the desk."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import forecast, numbers, recipes
from app.bench import Bench
from app.rack_codec import pack
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
        out += [_mark(p, method, "tried", i) for i, p in tried if (p["size_bytes"], p["bops"], p["kl"]) not in seen]
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
            "bits": point.get("average_bits"), "drop": drop["value"], "lo": ends[0], "hi": ends[1], "kl": point["kl"],
            "words": f"{TITLES.get(method, method)}, {point.get('why', '')}: measured on {point['samples']:,} samples {HALF}",
            "lost": drop.get("flips_lost"), "won": drop.get("flips_won")}


def _shown(mark: Data, point: Result, order: Sequence[str], names: Sequence[str]) -> Data:
    layers = point.get("layers") or {}
    place = {p: i for i, p in enumerate(names)}
    known = [place.get(str(layers.get(n)), -1) for n in order]
    return mark | {"p": pack(known), "base": point.get("base")} if -1 not in known else mark


def point_of(known: Known, mark: str) -> Result | None:
    """The measured recipe behind a mark that can be loaded."""
    method, _, rest = mark.partition(":")
    kind, _, number = rest.partition(":")
    run = known.runs.get(method) or {}
    front = list(run.get("pareto") or [])
    if kind == "chosen":
        return run.get("chosen")
    return front[int(number)] if kind == "front" and number.isdigit() and int(number) < len(front) else None


def now(found: Bench, order: Sequence[str], names: Sequence[str]) -> Data | None:
    """The recipe on the desk: what is predicted of it, and measured where it was run."""
    if found.outcome is None:
        return None
    held, cost = forecast.precisions(found), found.outcome["cost"]
    place = {p: i for i, p in enumerate(names)}
    report, told = found.report, forecast.forecast(found)
    out: Data = {"p": pack([place.get(held.get(n, ""), -1) for n in order]), "base": recipes.base(found.doc), "size": cost["size_bytes"],
                 "bops": cost["bops"], "predicted": None, "measured": None, "score": None if told is None else told.sum}
    if told is not None and told.value is not None:
        out["predicted"] = [told.value, told.low, told.high]
    if report is not None:
        ends = numbers.bounds(report["drop"]) or (None, None)
        out["measured"] = [report["drop"]["value"], *ends, report["samples"]]
    return out
