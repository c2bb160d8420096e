"""What a recipe will do before it is run: the formula, the same as in static/predict.js, and the curve that it reads.

A prediction is g(sum of the scores of the effective precisions). The worker's job `curve` takes the scores and fits g;
here its result is found in the store, asked for when it is missing, and read. Sums are of one kind, estimate or
exact, and say which. Everything that no layer reads has a row of its own, `REST`, at the base precision.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import recipes
from app.bench import Bench
from app.sensitivity import ask
from app.sensitivity.view import SAMPLES, View

VERB = "curve"
REST = "*"
MAX_DB = 200.0
EVALUATED = 512  # samples on which the recipes of a fit are run
REFITS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)  # numbers of measurements after which the curve is fitted again
Curve = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Predicted:
    """A predicted drop of the metric, float minus quantized, with its interval; None where there is no telling.

    Attributes:
        sum: of the scores.
        beyond: whether the sum lies above everything that was measured; the interval is wider there.
        kind: of the scores, `estimate` or `exact`.
        missing: layers without a score at their precision: then nothing is predicted.
        sqnr_db: at the output; all that is predicted until the curve has enough points.
        fp32: the float model's score.
    """

    value: float | None
    low: float | None
    high: float | None
    sum: float
    beyond: bool
    kind: str
    missing: tuple[str, ...] = ()
    sqnr_db: float | None = None
    fp32: float | None = None

    @property
    def score(self) -> float | None:
        """The predicted metric itself: the float model's less the drop."""
        return None if self.value is None or self.fp32 is None else self.fp32 - self.value


def counts(precision: str) -> bool:
    """Whether a layer at this precision adds to the sum: not where it reads floats."""
    return precision != "fp32" and not precision.endswith("afp32")


def missing(scores: Rows, precisions: Mapping[str, str]) -> tuple[str, ...]:
    """The layers without a score at their precision; layers without any row have nothing to quantize."""
    return tuple(n for n, p in precisions.items() if counts(p) and n in scores and p not in scores[n])


def total(scores: Rows, precisions: Mapping[str, str]) -> float:
    """The sum of the scores that there are."""
    found = 0.0
    for name, precision in precisions.items():
        if counts(precision):
            found += scores.get(name, {}).get(precision, 0.0)
    return found


def at(curve: Curve, summed: float) -> tuple[float, float, float, bool] | None:
    """(drop, low, high, beyond) at a sum; None while the curve has too few points."""
    knots = curve["knots"]
    if not curve["enough"] or not knots:
        return None
    if summed <= 0:
        return 0.0, 0.0, 0.0, False
    last = knots[-1]
    if summed > last[0]:
        slope, cap = curve["beyond"]["slope"], curve["beyond"]["cap"]
        high = last[3] + slope * (summed - last[0])
        return last[1], last[2], high if cap is None else max(min(high, cap), last[1]), True
    i = bisect_right([k[0] for k in knots], summed)
    if i == 0 or i == len(knots):
        return *knots[0 if i == 0 else -1][1:4], False
    a, b = knots[i - 1], knots[i]
    share = (summed - a[0]) / (b[0] - a[0])
    drop, low, high = (a[k] + (b[k] - a[k]) * share for k in (1, 2, 3))
    return drop, low, high, False


def sqnr(curve: Curve, precisions: Mapping[str, str], summed: float) -> float | None:
    """Predicted SQNR in dB: by summed noise power where scores are exact, else by the noise that a unit of score has brought."""
    noise = curve["noise"]
    if noise["rows"]:
        power = total(noise["rows"], precisions)
    elif noise["per_score"] is not None:
        power = noise["per_score"] * summed
    else:
        return None
    return MAX_DB if power <= 0 else min(-10 * math.log10(power), MAX_DB)


def predict(curve: Curve, precisions: Mapping[str, str]) -> Predicted:
    """The prediction for effective precisions, as `precisions_of` gives them."""
    lacking = missing(curve["scores"], precisions)
    summed = total(curve["scores"], precisions)
    fp32 = curve["fp32"].get("value")
    found = None if lacking else at(curve, summed)
    decibels = None if lacking else sqnr(curve, precisions, summed)
    if found is None:
        return Predicted(None, None, None, summed, False, str(curve["kind"]), lacking, decibels, fp32)
    value, low, high, beyond = found
    return Predicted(value, low, high, summed, beyond, str(curve["kind"]), (), decibels, fp32)


def precisions_of(layers: Sequence[Mapping[str, Any]], base: str) -> dict[str, str]:
    """Layer → effective precision, from the rows of a resolved recipe or a report, and the base for the rest."""
    return {str(row["name"]): str(row["precision"]) for row in layers} | {REST: base}


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


def scores_for(client: Any, found: Bench) -> tuple[str, Rows] | None:
    """(kind, layer → precision → score) for the meters: the curve's, which are those that are summed; else of the page Sensitivity."""
    curve = curve_for(client, found) or partial_for(found)
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
