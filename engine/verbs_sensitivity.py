"""The verb `sensitivity`: a question from arguments, the answer as a table."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from engine.analysis.sensitivity.kinds import Question
from engine.analysis.sensitivity.scorer import DROP
from engine.errors import Cancelled
from engine.progress import Progress
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session
from engine.store import default_home
from engine.terminal import table

Arguments = argparse.Namespace
SHOWN = 15


def question_of(arguments: Arguments) -> Question:
    """The question that the arguments ask; raises `BadInput` for what is no precision."""
    precisions = tuple(dict.fromkeys(Precision.parse(p) for p in arguments.precisions.split(",") if p.strip()))
    return Question(precisions, arguments.mode, arguments.what, arguments.items, arguments.samples)


def cache_of(arguments: Arguments) -> Path | None:
    """Where `--resume` keeps scores; without it nothing is written."""
    return default_home() / "cache" if arguments.resume else None


def ask(session: Session, recipe: Recipe, arguments: Arguments, progress: Progress) -> dict[str, Any]:
    """The answer, or what there is of it when the time budget ends; the first pass over the items is always finished."""
    seen: dict[str, Any] = {}
    end = None if arguments.time_budget is None else time.monotonic() + arguments.time_budget

    def limited(fraction: float, message: str) -> None:
        progress(fraction, message)
        if end is not None and time.monotonic() > end and _whole(seen):
            raise Cancelled("the time budget is spent")

    try:
        return session.sensitivity(question_of(arguments), recipe, arguments.on, arguments.racing, arguments.top, limited, seen.update)
    except Cancelled:
        if end is None or not _whole(seen):
            raise
        return seen | {"stopped": f"after {arguments.time_budget:g} s, at {seen['samples']} of {seen['asked_samples']} samples"}


def _whole(seen: dict[str, Any]) -> bool:
    """Whether every item has a score at every precision: before that no ranking means anything."""
    scored = sum(row["metric"] == seen["score"] for row in seen.get("scores", ()))
    return bool(seen) and scored >= len(seen["members"]) * len(seen["precisions"])


def _drop(row: dict[str, Any] | None) -> str:
    """A task metric's drop; a number only where its interval leaves zero out."""
    if row is None:
        return "–"
    return "≈ 0" if row["below_resolution"] else f"{row['value']:.4g}"


def show(found: dict[str, Any]) -> None:
    """The worst items at each precision, with intervals and what is settled."""
    kind = found["kinds"].get(found["score"], {})
    word = "estimate" if found["estimate"] else "exact"
    better = "higher is better" if kind.get("higher_is_better") else "lower is better"
    if found["mode"] == "one-off":
        better += "; the item whose absence helps most comes first"
    print(f"{found['mode']} on {found['what']}, {found['samples']} samples, {word}: {found['score']} in {kind.get('unit', '?')}, {better}")
    cells = {(r["layer"], r["precision"]): r for r in found["scores"] if r["metric"] == found["score"]}
    drops = {(r["layer"], r["precision"]): r for r in found["scores"] if r["metric"] == DROP}
    if drops:
        print(f"drop: {found['kinds'][DROP]['unit']}; {found['kinds'][DROP]['doc']}; ≈ 0 is below the resolution of these samples")
    for note in found.get("notes", ()):
        print(note)
    for ranking in found["rankings"]:
        rows = [(f"at {ranking['precision']}", "score", "95 % interval", "rank", *(["drop"] if drops else []))]
        for rank in ranking["ranks"][:SHOWN]:
            cell = cells[rank["layer"], ranking["precision"]]
            rows.append(
                (
                    f"{rank['rank']:>3} {rank['layer']}",
                    f"{cell['value']:.4g}",
                    "–" if cell["ci95"] is None else f"{cell['ci95'][0]:.3g} to {cell['ci95'][1]:.3g}",
                    f"{rank['low']} to {rank['high']}",
                    *([_drop(drops.get((rank["layer"], ranking["precision"])))] if drops else []),
                )
            )
        print(table(rows, right=(1, 2, 3, 4)))
        print(ranking["words"])
    if racing := found.get("racing"):
        print(racing["words"])
    if found.get("stopped"):
        print(f"Stopped {found['stopped']}; --resume goes on from here.")
