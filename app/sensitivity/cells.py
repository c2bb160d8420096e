"""Scores of items and precisions, merged from an estimate and an exact answer; plain values, no drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Result = Mapping[str, Any]
Place = tuple[str, str]


@dataclass(frozen=True)
class Budget:
    """What the whole model can bear of the additive score, in nats; `fitted` on this model, or a usual figure."""

    nats: float
    fitted: bool = False


USUAL = Budget(0.05)  # about two points of accuracy on the bundled samples


@dataclass(frozen=True)
class Cell:
    """One score with its 95 % interval; `below` marks a metric drop that the samples cannot tell from zero, `rough` an
    estimate that is too large for the model behind it."""

    value: float
    low: float | None
    high: float | None
    samples: int
    estimate: bool
    below: bool = False
    rough: bool = False


@dataclass(frozen=True)
class Scores:
    """Items in network order, precisions, and the cells that are there. `prior` holds estimates that were replaced."""

    items: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    mode: str = "estimate"
    score: str = "kl"
    unit: str = ""
    higher_is_better: bool = False
    doc: str = ""
    samples: int = 0
    asked: int = 0
    cells: Mapping[Place, Cell] = field(default_factory=dict)
    prior: Mapping[Place, Cell] = field(default_factory=dict)
    decibels: Mapping[Place, float] = field(default_factory=dict)
    rankings: Mapping[str, Result] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    available: tuple[str, ...] = ()
    budget: Budget = USUAL
    tied: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by precision: what a race left open at the border of its top

    @cached_property
    def exact(self) -> int:
        """How many cells are no estimates."""
        return sum(not c.estimate for c in self.cells.values())

    @property
    def whole(self) -> int:
        """How many cells there will be."""
        return len(self.items) * len(self.precisions)

    def filled(self, cell: Cell | None) -> float:
        """How much of an exact cell is done: the share of the samples that were asked for; 0 for an estimate."""
        if cell is None or cell.estimate:
            return 0.0
        return min(1.0, cell.samples / self.asked) if self.asked else 1.0

    def cell(self, item: str, precision: str) -> Cell | None:
        """One cell, where it is known."""
        return self.cells.get((item, precision))

    def item_of(self, layer: str) -> str:
        """The item that a layer belongs to; an empty text where none does."""
        if layer in self.members and layer in self.items:
            return layer
        return next((name for name in self.items if layer in self.members.get(name, ())), "")


def merge(estimate: Result | None, exact: Result | None, score: str = "kl") -> Scores:
    """Exact cells where they are there, estimates elsewhere; a score that neither has falls back to the main one."""
    answers = [a for a in (estimate, exact) if a]
    if not answers:
        return Scores()
    last = answers[-1]
    available = tuple(dict.fromkeys(name for a in answers for name in a.get("kinds", {})))
    score = score if score in available else str(last.get("score") or "kl")
    kind: Result = next((a["kinds"][score] for a in reversed(answers) if score in a.get("kinds", {})), {})
    found = [(_cells(a, score), a) for a in answers]
    cells = {place: cell for values, _ in found for place, cell in values.items()}
    prior = found[0][0] if len(found) == 2 else {}
    return Scores(
        _items(answers),
        tuple(last.get("precisions", ())),
        str(last.get("mode")),
        score,
        str(kind.get("unit", "")),
        bool(kind.get("higher_is_better")),
        str(kind.get("doc", "")),
        int(last.get("samples") or 0),
        int(last.get("asked_samples") or 0),
        cells,
        prior,
        {p: c.value for p, c in _cells(last, "sqnr_db").items()},
        _rankings(answers, cells),
        {m["name"]: tuple(m["layers"]) for a in answers for m in a.get("members", [])},
        available,
        tied=dict((last.get("racing") or {}).get("tied") or {}),
    )


def empty(layers: Sequence[str], precisions: Sequence[str], mode: str) -> Scores:
    """Layers and precisions without any score, as they are shown before the first ones come."""
    return Scores(tuple(layers), tuple(precisions), mode, members={n: (n,) for n in layers})


def of_rows(rows: Mapping[str, Mapping[str, float]], estimate: bool) -> Scores:
    """Scores of layers without intervals: layer → precision → nats, as they are summed for predictions."""
    items = tuple(n for n in rows if n != "*")
    precisions = tuple(dict.fromkeys(p for by in rows.values() for p in by))
    known = {(n, p): Cell(v, None, None, 0, estimate) for n in items for p, v in rows[n].items()}
    return Scores(items, precisions, "estimate" if estimate else "one-on", cells=known, members={n: (n,) for n in items})


def _items(answers: Sequence[Result]) -> tuple[str, ...]:
    """All items, in the order of the answer that has most."""
    longest = max(answers, key=lambda a: len(a.get("members", [])))
    return tuple(str(m["name"]) for m in longest.get("members", []))


def _cells(answer: Result, score: str) -> dict[Place, Cell]:
    out = {}
    for row in answer.get("scores", []):
        if row["metric"] == score:
            low, high = row.get("ci95") or (None, None)
            marks = [bool(row.get(key)) for key in ("estimate", "below_resolution", "rough")]
            out[row["layer"], row["precision"]] = Cell(float(row["value"]), low, high, int(row.get("samples") or 0), *marks)
    return out


def _rankings(answers: Sequence[Result], cells: Mapping[Place, Cell]) -> dict[str, Result]:
    """The last ranking of each precision that covers all its cells; while an exact one grows, the estimate's order stays."""
    out: dict[str, Result] = {}
    for answer in answers:
        for ranking in answer.get("rankings", []):
            wanted = sum(p == ranking["precision"] for _, p in cells)
            if len(ranking["ranks"]) >= wanted or ranking["precision"] not in out:
                out[ranking["precision"]] = {**ranking, "estimate": bool(answer.get("estimate"))}
    return out


def ordered(scores: Scores, precision: str, order: str) -> list[str]:
    """Items in network order or, unless the ranking is noise, the worst first; unknown ones stay last."""
    ranking = scores.rankings.get(precision)
    if order != "score" or ranking is None or is_noise(scores, precision):
        return list(scores.items)
    if scores.score == ranking.get("score"):
        ranks = {r["layer"]: r["rank"] for r in ranking["ranks"]}
        return sorted(scores.items, key=lambda i: ranks.get(i, len(scores.items) + 1))
    return sorted(scores.items, key=lambda i: -harm(scores, i, precision))


def harm(scores: Scores, item: str, precision: str) -> float:
    """A number that grows with the damage, for sorting by a score other than the ranked one."""
    cell = scores.cell(item, precision)
    if cell is None:
        return float("-inf")
    sign = -1.0 if scores.higher_is_better else 1.0
    return cell.value * (-sign if scores.mode == "one-off" else sign)


def is_noise(scores: Scores, precision: str) -> bool:
    """Whether the order at this precision is no better than chance."""
    ranking = scores.rankings.get(precision, {})
    return bool(ranking.get("noise")) and ranking.get("score") == scores.score


def rank_text(scores: Scores, precision: str, item: str) -> str:
    """The rank interval of an item: `1`, `2–11`; nothing where the order is noise, or another score was ranked."""
    ranking = scores.rankings.get(precision)
    if ranking is None or ranking.get("noise") or ranking.get("score") != scores.score:
        return ""
    row = next((r for r in ranking["ranks"] if r["layer"] == item), None)
    return "" if row is None else str(row["low"]) if row["low"] == row["high"] else f"{row['low']}\u2013{row['high']}"
