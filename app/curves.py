"""The curve that predictions are read off, and the scores that they sum: found in the store, or asked for where they are missing.

The worker's job `curve` takes the scores and fits the curve to measured recipes; after more measurements it is fitted again.
"""
from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from app import recipes
from app.bench import Bench
from app.prediction import Curve, Rows
from app.sensitivity import ask
from app.sensitivity.view import SAMPLES, View

VERB = "curve"
EVALUATED = 512  # samples on which the recipes of a fit are run
REFITS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)  # numbers of measurements after which the curve is fitted again


def learned(client: Any, found: Bench) -> Bench:
    """The bench with its curve and scores, looked up once for all that a run draws."""
    curve = curve_for(client, found)
    return dataclasses.replace(found, curve=curve, scores=scores_for(client, found, curve))


def arguments(found: Bench, kind: str = "estimate", samples: int = 0, measurements: int = 0, all_asked: bool = True) -> dict[str, Any]:
    """What the verb is given; `measurements` makes it anew after so many of them.

    `all_asked`: precisions that the recipe asks for and the candidates do not have are scored too.
    """
    wanted = ask.precisions(found.doc)
    if all_asked:
        rules = dict(found.doc.get("layers") or {}).values()
        asked = [recipes.base(found.doc), *(recipes.precision_of(r, recipes.base(found.doc)) for r in rules)]
        wanted = [p for p in dict.fromkeys([*wanted, *asked]) if p != "fp32"]
    return {"recipe": ask.scoring_recipe(found.doc), "precisions": wanted, "kind": kind, "score_samples": samples or _samples(kind),
            "samples": EVALUATED, "measurements": measurements}


def _samples(kind: str) -> int:
    return View().samples_of("estimate" if kind == "estimate" else "one-on")


def curve_for(client: Any, found: Bench) -> Curve | None:
    """The best curve that there is for this recipe: from exact scores before estimates, the newest fit first."""
    count = len(client.runs(found.project.id, "measure"))
    for kind, samples in (*(("exact", n) for n in exact_samples(client, found)), ("estimate", 0)):
        for asked in _variants(found, kind, samples, count):
            result: Curve | None = _latest(client, found, asked)
            if result is not None:
                return result
    return None


def _variants(found: Bench, kind: str, samples: int, count: int) -> Iterator[dict[str, Any]]:
    """The questions that serve this recipe, the best one first."""
    both = [arguments(found, kind, samples, 0, everything) for everything in (True, False)]
    for asked in both if both[0] != both[1] else both[:1]:
        for number in reversed(REFITS[: bisect_right(REFITS, count)]):
            yield asked | {"measurements": number}


def exact_samples(client: Any, found: Bench) -> list[int]:
    """On how many samples there are exact scores of all layers at all candidates, the most first."""
    view = View(mode="one-on")
    asked = (ask.arguments(found, view, samples=n, racing=False) for n in sorted(SAMPLES, reverse=True))
    return [a["samples"] for a in asked if ask.latest(client, found, a) is not None]


def automatic(client: Any, found: Bench) -> dict[str, Any] | None:
    """The curve to start without being asked for: none without data, none that was tried already."""
    if found.stopped or found.model is None or found.project.evaluation is None or not ask.precisions(found.doc):
        return None
    count = len(client.runs(found.project.id, "measure"))
    number = REFITS[bisect_right(REFITS, count) - 1]
    exact = exact_samples(client, found)
    asked = arguments(found, "exact", exact[0], number, False) if exact else arguments(found, "estimate", 0, number)
    busy = any(j.verb == VERB and j.state in ("queued", "running") for j in found.jobs)
    tried = any(j.verb == VERB and dict(j.args) == asked for j in found.jobs)
    return None if busy or tried or _latest(client, found, asked) is not None else asked


def partial_for(found: Bench) -> Curve | None:
    """The curve as far as the running job has it."""
    recipe = ask.scoring_recipe(found.doc)
    running = (j for j in found.jobs if j.verb == VERB and j.state == "running" and j.args.get("recipe") == recipe)
    return next((j.partial for j in running if j.partial), None)


def scores_for(client: Any, found: Bench, curve: Curve | None) -> tuple[str, Rows] | None:
    """(kind, layer → precision → score) for the meters: the curve's, which are those that are summed; else of the page Sensitivity."""
    curve = curve or partial_for(found)
    if curve is not None:
        return str(curve["kind"]), curve["scores"]
    view = View(mode="one-on")
    for kind, asked in (*(("exact", ask.arguments(found, view, samples=n, racing=False)) for n in exact_samples(client, found)),
                        ("estimate", ask.arguments(found, view, "estimate"))):
        result = ask.latest(client, found, asked)
        if result is not None:
            rows: dict[str, dict[str, float]] = {}
            for row in result["scores"]:
                if row["metric"] == "kl":
                    rows.setdefault(str(row["layer"]), {})[str(row["precision"])] = float(row["value"])
            return kind, rows
    return None


def additivity(found: Bench, curve: Curve) -> dict[str, Any]:
    """What the verb `additivity` is given: how the scores of the recipe on the desk add, beside the recipes of its curve."""
    precisions = [p for p in dict.fromkeys(p for row in curve["scores"].values() for p in row) if p in ask.precisions(found.doc)]
    return {"recipe": found.recipe, "precisions": precisions, "kind": curve["kind"], "score_samples": curve["score"]["samples"],
            "samples": EVALUATED}


def _latest(client: Any, found: Bench, asked: Mapping[str, Any]) -> Curve | None:
    rest = {k: v for k, v in asked.items() if k != "recipe"}
    result: Curve | None = client.latest(found.project.id, VERB, asked["recipe"], **rest)
    return result
