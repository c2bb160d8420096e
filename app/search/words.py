"""Words of the page Search: what is shown, what runs, what came out, and what can be certified."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers
from app.bench import Bench, measurable
from app.readouts import samples_of
from app.search.ask import Known, method_of, scores
from app.search.view import Targets

Result = Mapping[str, Any]
NO_DATA = "A search measures what it finds; there are no evaluation data yet. Bring them on the page Model."
FEW = "A search chooses between at least two precisions. Add candidates to the recipe."
USUAL = {"estimate": 32, "exact": 128}


def told_scores(found: Bench) -> dict[str, str]:
    """Which scores the predictions sum, and how to get better ones."""
    kind, samples = scores(found)
    count = samples or USUAL.get(kind, 0)
    if kind == "exact":
        return {"text": f"Exact scores, {count:,} samples", "more": "", "title": "Each layer was run alone at each candidate"}
    return {"text": f"Estimated scores, {count:,} samples", "more": "Take exact ones",
            "title": "Scores come from gradients. Exact ones, of each layer run alone, are taken on the page Sensitivity"}


def state(found: Bench, targets: Targets, known: Known, unit: str) -> str:
    """One sentence over the picture."""
    if not measurable(found):
        return NO_DATA
    if len(targets.on) < 2:
        return FEW
    if known.failed:
        return f"Scores could not be taken: {known.failed}"
    if not known.frontiers:
        return "The layers are scored once; after that every budget has its answer at once."
    run = known.runs.get("search")
    if known.job is not None and known.job.verb == "search":
        return "The points fill in as they are measured; the best so far can be loaded at any time."
    if run is None:
        return "Drag a target: the mix follows. Search then measures the points that matter and repairs what the sum of scores misses."
    if run.get("words"):
        return in_points(str(run["words"]), unit, run)
    how = "Stopped" if known.ended is not None and known.ended.state == "cancelled" else "Ended early"
    best = " The best so far is measured on the validating half alone: nothing is promised." if run.get("chosen") else ""
    return f"{how} after {len(run.get('tried') or [])} measured recipes.{best} Search goes on where it was."


def in_points(words: str, unit: str, run: Result) -> str:
    """The outcome on the screen's scale."""
    promise, asked = run.get("promise"), run.get("asked") or {}
    if promise is None or unit != "%":
        return words
    drop, limit = promise["drop"], asked.get("max_drop")
    ends = numbers.bounds(drop)
    sure = "" if ends is None else f" (95 %: {numbers.figure(ends[0], unit)} to {numbers.figure(ends[1], unit)})"
    lost = numbers.figure(drop["value"], unit)
    text = f"Promise: on {promise['samples']:,} samples that nothing was chosen by, the drop is {lost} pp{sure}."
    if limit is None:
        return text
    how = "its estimate" if asked.get("judge") == "estimate" else "its upper end"
    return f"{text} By {how} it {'keeps' if run.get('kept') else 'does not keep'} to {numbers.figure(limit, unit)} pp."


def certify(found: Bench, known: Known, unit: str) -> str:
    """How small an observed drop the samples can certify."""
    points = "pp" if unit == "%" else unit
    run = known.runs.get("search") or {}
    said = run.get("certifies")
    if said is not None:
        text = f"{said['samples']:,} unused samples can certify a drop of {numbers.figure(said['smallest'], unit)} {points} or more"
        most, needed = said.get("observed_at_most"), said.get("needed")
        if most is not None:
            return f"{text}; for this limit {numbers.figure(most, unit)} {points} may be observed at most."
        return f"{text}; this limit would take about {needed:,} samples." if needed else f"{text}."
    half = numbers.half_width((found.report or {}).get("drop"))
    count = samples_of(found) // 2
    if half is None or count < 2:
        return ""
    return (f"About {numbers.figure(half * 2 ** 0.5, unit)} {points} is the smallest drop that {count:,} unused samples can certify "
            "(from the interval of the recipe on the desk).")


def cost(run: Result | None, brief: bool = False) -> str:
    """What a search or a baseline took."""
    spent = (run or {}).get("spent") or {}
    if not spent:
        return ""
    if brief:
        runs = round(spent["network_runs"])
        return f"{runs} run{'' if runs == 1 else 's'}, {spent['seconds']:.0f} s"
    return f"{spent['measurements']} recipes, {spent['network_runs']:.0f} whole runs, {spent['seconds']:.0f} s"


def job(known: Known) -> dict[str, Any] | None:
    """The work that a person waits for."""
    found = known.job or known.waiting
    if found is None:
        return None
    name = "takes" if found.verb == "takes" else method_of(found) if found.verb == "search" else "frontier"
    return {"name": name, "share": float(found.fraction), "text": str(found.message or "starting"),
            "left": numbers.seconds(found.eta), "queued": found.state == "queued"}
