"""What a search is asked for, from plain values; and scores that were taken before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from engine.errors import BadInput, nearest
from engine.mixed.build import Rows
from engine.mixed.goal import Aim, Goal
from engine.mixed.latency import LatencyTable, load_latency
from engine.mixed.search import Judge, Target, check
from engine.quant.precision import Precision

ScoreKind = Literal["estimate", "exact", "mixed"]
Method = Literal["search", "amp", "amp_reverse", "lite"]


@dataclass(frozen=True)
class SearchAsk:
    """What a search is asked for.

    Attributes:
        precisions: the candidates.
        max_drop: of the metric, absolute (0.01 is a point of accuracy).
        judge: whether the drop's estimate or the upper end of its interval must keep to it.
        max_size: fraction of the FP32 size.
        max_bops: fraction of the FP32 bit operations.
        average_bits: of a weight.
        max_latency_us: microseconds by the latency table.
        aim: what is made least under a greatest drop.
        kind: of scores: estimates, exact ones, or estimates with the largest taken exactly.
        keep: whether layers set by hand stay as they are (bypassed ones always do).
        latency: a table of microseconds.
        samples: of the validation half that recipes are measured on; 0 takes all.
        points, rounds: measurements along the frontier, and for repair.
        with_steps: whether every measured recipe runs with the steps that look at bits (slower); else these run on the choice alone.
        method: the search, or a procedure to compare it with (`engine/mixed/baselines.py`).
        percent: of the groups that `lite` gives the widest candidate.
    """

    precisions: tuple[Precision, ...]
    max_drop: float | None = None
    judge: Judge = "estimate"
    max_size: float | None = None
    max_bops: float | None = None
    average_bits: float | None = None
    max_latency_us: float | None = None
    aim: Aim = "bops"
    kind: ScoreKind = "estimate"
    score_samples: int = 0
    keep: bool = False
    allow_illegal: bool = False
    latency: LatencyTable | None = None
    samples: int = 0
    points: int = 5
    rounds: int = 12
    with_steps: bool = False
    method: Method = "search"
    percent: float = 20.0

    def __post_init__(self) -> None:
        for value, known in ((self.judge, Judge), (self.kind, ScoreKind), (self.aim, Aim), (self.method, Method)):
            if value not in get_args(known):
                raise BadInput(f"search: {value!r} is not known. {nearest(str(value), get_args(known))}")
        if len(self.precisions) < 2:
            raise BadInput("a search needs at least two precisions to choose from, such as w8a8,w4a8")
        if (self.max_latency_us is not None or self.aim == "latency_us") and self.latency is None:
            raise BadInput("a latency was asked for and there is no table of latencies; give one (--latency FILE.csv)")
        if self.samples < 0 or self.score_samples < 0:
            raise BadInput(f"{self.samples} samples to measure on, {self.score_samples} to score on: expected 0 or more")

    def target(self, fp32_bytes: int, fp32_bops: int) -> Target:
        """The same in absolute units."""
        limits = {"size_bytes": (self.max_size, fp32_bytes), "bops": (self.max_bops, fp32_bops), "bits": (self.average_bits, 1),
                  "latency_us": (self.max_latency_us, 1)}
        given = {name: value * unit for name, (value, unit) in limits.items() if value is not None}
        found = Target(self.max_drop, self.judge, Goal(given, "score" if self.max_drop is None else self.aim), self.points, self.rounds)
        check(found)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they were asked for."""
        plain = {k: v for k, v in self.__dict__.items() if k not in ("precisions", "latency")}
        return plain | {"precisions": [str(p) for p in self.precisions], "latency": None if self.latency is None else self.latency.name}


def search_asked(precisions: Sequence[str | Precision], **given: Any) -> SearchAsk:
    """A `SearchAsk` from plain values; a table of latencies may come as the path of its file."""
    if isinstance(given.get("latency"), str | Path):
        given["latency"] = load_latency(Path(given["latency"]))
    parsed = (p if isinstance(p, Precision) else Precision.parse(p) for p in precisions)
    return SearchAsk(tuple(dict.fromkeys(parsed)), **given)


def rows_of(answer: Mapping[str, Any]) -> Rows:
    """Additive scores out of what `sensitivity` said.

    Raises:
        BadInput: they are not of layers one by one, or hold no score that adds.
    """
    if answer.get("mode") not in ("one-on", "estimate") or answer.get("items") != "layers" or answer.get("what") != "both":
        raise BadInput("a search adds scores of layers, each quantized alone (mode one-on or estimate, items layers, what both); these are "
                       f"{answer.get('mode')}, {answer.get('items')}, {answer.get('what')}")
    found: dict[str, dict[str, float]] = {}
    for row in answer["scores"]:
        if row["metric"] == "kl":
            found.setdefault(row["layer"], {})[row["precision"]] = float(row["value"])
    if not found:
        raise BadInput("these scores hold no `kl`, which is what adds over layers; score with mode one-on or estimate")
    return found
