"""How far the last predictions were off from what was then measured, from the results in the store.

Each measurement is compared with the curve that was there when it began, if that curve serves its recipe and had not
been fitted to the recipe itself.
"""
from __future__ import annotations

import statistics
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import prediction
from app.bench import Bench
from app.curves import VERB
from app.sensitivity import ask

LAST = 20
_MEMORY = 4000


@dataclass(frozen=True)
class Pair:
    """One prediction and what came of it: drops of the metric, float minus quantized."""

    predicted: float
    low: float
    high: float
    measured: float
    samples: int
    kind: str

    @property
    def error(self) -> float:
        """Predicted minus measured: above 0 means that the recipe did better than was said."""
        return self.predicted - self.measured

    @property
    def inside(self) -> bool:
        """Whether the measured drop lay in the predicted interval."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class Track:
    """The last predictions, newest first."""

    pairs: tuple[Pair, ...] = ()

    @property
    def median(self) -> float | None:
        """The median absolute error, in units of the metric."""
        return statistics.median(abs(p.error) for p in self.pairs) if self.pairs else None

    @property
    def worst(self) -> float | None:
        """The greatest absolute error, in units of the metric."""
        return max(abs(p.error) for p in self.pairs) if self.pairs else None

    @property
    def inside(self) -> int:
        """How many measurements lay in the predicted interval."""
        return sum(p.inside for p in self.pairs)

    def words(self, unit: str = "share") -> str:
        """One line for the screen."""
        if self.median is None or self.worst is None:
            return "No prediction has been measured yet."
        scale, name = (100.0, "points") if unit == "share" else (1.0, unit)
        many = "The last prediction was" if len(self.pairs) == 1 else f"The last {len(self.pairs)} predictions were"
        off = f"{scale * self.worst:.2f} {name} off" if len(self.pairs) == 1 else (
            f"{scale * self.median:.2f} {name} off at the median, {scale * self.worst:.2f} at worst")
        return f"{many} {off}; {self.inside} of {len(self.pairs)} inside the interval."


@dataclass(frozen=True)
class _Facts:
    """What is needed of a result: the recipe without its precisions, and when its making began."""

    scoring: str
    begun: float
    ended: float
    precisions: Mapping[str, str]
    drop: float
    samples: int


_facts: OrderedDict[tuple[str, int], _Facts | None] = OrderedDict()
_pairs: OrderedDict[tuple[str, int, int], Pair | None] = OrderedDict()


def track_record(client: Any, found: Bench, last: int = LAST) -> Track:
    """The record of a project's last predictions; what was read once is remembered."""
    curves = [(run, facts) for run in client.runs(found.project.id, VERB) if (facts := _of_run(client, run)) is not None]
    pairs: list[Pair] = []
    for run in reversed(client.runs(found.project.id, "measure")):
        facts = _of_run(client, run)
        if facts is None:
            continue
        before = [c for c, other in curves if other.ended <= facts.begun and other.scoring == facts.scoring]
        pair = _pair(client, run, facts, before[-1]) if before else None
        if pair is not None:
            pairs.append(pair)
        if len(pairs) == last:
            break
    return Track(tuple(pairs))


def _pair(client: Any, run: Any, facts: _Facts, curve: Any) -> Pair | None:
    key = (str(client.home), run.id, curve.id)
    if key not in _pairs:
        result = client.report(curve.id)
        _keep(_pairs, key, None if result is None else compare(result, facts.precisions, facts.drop, facts.samples))
    return _pairs[key]


def compare(curve: Mapping[str, Any], precisions: Mapping[str, str], drop: float, samples: int) -> Pair | None:
    """A prediction beside what was measured; None where nothing was predicted, or the recipe was known already."""
    said = prediction.predict(curve, precisions)
    known: Sequence[Mapping[str, Any]] = curve["points"]
    if said.value is None or said.low is None or said.high is None or any(p["sum"] == said.sum for p in known):
        return None
    return Pair(said.value, said.low, said.high, drop, samples, said.kind)


def _of_run(client: Any, run: Any) -> _Facts | None:
    key = (str(client.home), run.id)
    if key not in _facts:
        _keep(_facts, key, _read(client.report(run.id), run))
    return _facts[key]


def _read(report: Mapping[str, Any] | None, run: Any) -> _Facts | None:
    """None for a result that is gone, or of an older shape."""
    try:
        assert report is not None
        recipe = dict(report["recipe"])
        layers = report.get("layers") or []
        return _Facts(ask.scoring_recipe(recipe), run.created - float(report["seconds"]), run.created,
                      prediction.precisions_of(layers, str(recipe.get("precision", "w8a8"))),
                      float(report["drop"]["value"]) if layers else 0.0, int(report.get("samples") or 0))
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _keep(memory: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    memory[key] = value
    while len(memory) > _MEMORY:
        memory.popitem(last=False)
