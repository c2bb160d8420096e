"""All that the component shows, from what is known: the static part once, the rest with every change."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers
from app.bench import Bench, measurable
from app.rack_codec import pack
from app.search import ask, marks, space, words
from app.search.ask import Known
from app.search.view import Targets, View
from app.sensitivity import ask as scoring

Data = dict[str, Any]
Result = Mapping[str, Any]
CURVE = ("knots", "enough", "beyond")


def mixer_data(found: Bench, view: View, targets: Targets, known: Known, unit: str, theme: str) -> Data:
    """The component's data."""
    offered = scoring.precisions(found.doc)
    bypassed = sum(r.bypassed for r in found.asked)
    out: Data = {"theme": theme, "doc": targets.to_doc(), "ack": view.ack, "rev": view.rev, "unit": "pp" if unit == "%" else unit,
                 "scale": numbers.scale(unit), "offered": offered, "scores": words.told_scores(found), "part": "",
                 "curve": None if found.curve is None else {k: found.curve[k] for k in CURVE}, "job": words.job(known),
                 "state": words.state(found, targets, known, unit), "certify": words.certify(found, known, unit), "marks": [], "now": None,
                 "kept": {"hand": sum(r.line for r in found.asked), "bypassed": bypassed}, "exact": None, "why": [], "decisions": [],
                 "costs": {m: words.cost(known.runs.get(m), m != "search") for m in ask.METHODS}, "takes": takes(found, view, known),
                 "off": found.stopped or ("" if measurable(found) else words.NO_DATA), "begun": bool(known.runs.get("search")),
                 "done": list(known.done)}
    if known.frontiers:
        _fill(out, found, view, targets, known)
    return out


def _fill(out: Data, found: Bench, view: View, targets: Targets, known: Known) -> None:
    order, names = shape(found, targets, known)
    part = space.packed(known.frontiers, found.layers, names)
    run = known.runs.get("search") or {}
    out |= {"part": part["hash"], "marks": marks.marks(found, known, order, names), "now": marks.now(found, known, order, names),
            "exact": exact(known, order, names), "decisions": decisions(run), "why": corrected(run, names)}
    if part["hash"] not in view.parts:
        view.parts.add(part["hash"])
        out["space"] = part


def exact(known: Known, order: list[str], names: list[str]) -> Data | None:
    """The proven answer to the budgets, or that it is being made, or why there is none."""
    if known.exact_job is not None or known.exact is None:
        return {"state": "solving" if known.exact_job is not None else "none", "error": known.exact_error}
    found, place = known.exact, {p: i for i, p in enumerate(names)}
    held = [place.get(str(found["layers"].get(n)), -1) for n in order]
    return {"state": "known", "p": pack(held), "base": found["base"], "size": found["size_bytes"], "bops": found["bops"],
            "bits": found["average_bits"], "score": found["score"], "proven": found["proven"], "gap": found["gap"],
            "latency": found.get("latency_us") or 0.0, "boundaries": found.get("boundaries"), "error": ""}


def decisions(run: Result) -> list[list[Any]]:
    """What was measured, in its order: why, what became of it, the drop with its ends, KL, bytes, and its mark in the plot."""
    front = {_same(p): i for i, p in enumerate(run.get("pareto") or [])}
    chosen = None if run.get("chosen") is None else _same(run["chosen"])
    out = []
    for number, p in enumerate(run.get("tried") or []):
        ends = numbers.bounds(p["drop"]) or (None, None)
        is_ = "chosen" if _same(p) == chosen else "front" if _same(p) in front else "beaten"
        at = front.get(_same(p))
        mark = f"search:tried:{number}" if at is None else f"search:front:{at}"
        out.append([p.get("why", ""), is_, p["drop"]["value"], *ends, p["kl"], p["size_bytes"], mark])
    return out


def _same(point: Result) -> tuple[Any, ...]:
    return point["size_bytes"], point["bops"], point["kl"]


def corrected(run: Result, names: list[str]) -> list[list[float | None]]:
    """Scores corrected by what the search measured: layer by layer, in the order of `names`."""
    out = []
    for row in run.get("layers") or []:
        told = {o["precision"]: o.get("corrected") for o in row["options"]}
        out.append([None if told.get(p) is None else float(f"{told[p]:.4g}") for p in names])
    return out


def takes(found: Bench, view: View, known: Known) -> Data:
    """'What does it take?': moves with what each wins and costs, and whether the list is of the recipe on the desk."""
    listed, job = known.takes, known.takes_job
    running = job is not None and job.active
    out: Data = {"running": running, "moves": [], "tried": view.tried.get("number", -1), "undo": bool(view.tried), "note": "", "of": True,
                 "job": 0 if job is None else job.id}
    if listed is None:
        return out
    here = job is None or str(job.args.get("recipe")) == found.recipe
    now = listed["now"]
    for move in listed["moves"]:
        gain = move["gain"]
        share = None if gain is None or not now["kl"] else gain / now["kl"]
        out["moves"].append({"kind": move["kind"], "train": move["kind"] == "step" and trains(move["recipe"]),
                             "title": move["title"], "known": move["known"], "gain": share, "nats": gain,
                             "size": move["size_bytes"], "bops": move["bops"], "seconds": move["seconds"], "reaches": move["reaches"],
                             "count": len(move["changes"]),
                             "layers": [c["key"].removeprefix("layers.") for c in move["changes"]][:12]})
    unit = numbers.scale("%") if str((found.model or {}).get("metric", {}).get("unit")) == "share" else 1.0
    drop = now["drop"] * unit
    met = "misses" if listed["missed"] else "keeps to"
    out["note"] = (f"On {now['samples']:,} samples of the validating half this recipe drops {numbers.minus(f'{drop:.2f}')} and {met} "
                   f"{listed['max_drop'] * unit:.3g}" + ("." if here or view.tried else ". The list is of an earlier recipe."))
    out["of"] = here
    return out


def trains(recipe: Result) -> bool:
    """Whether a recipe ends with training, which has a page of its own."""
    steps = list(recipe.get("steps") or [])
    return bool(steps) and (steps[-1] == "qat" or (isinstance(steps[-1], Mapping) and "qat" in steps[-1]))


def shape(found: Bench, targets: Targets, known: Known) -> tuple[list[str], list[str]]:
    """The layers and precisions that digits stand for, in their orders."""
    held = [str(row["precision"]) for row in (found.outcome or {}).get("layers") or []]
    names = space.precisions(list(known.frontiers.values()), [*targets.on, *held])
    return [str(r["name"]) for r in next(iter(known.frontiers.values()))["layers"]], names
