"""What each class won or lost between two measured recipes, read off their reports: no samples are asked for.

Each report counts, class by class, what it lost and won against the float model. An answer that is right in one recipe and
wrong in the other was lost by that one or won by the other, so these counts bound how many answers differ. McNemar's test on
the bounds is the most cautious one: what it calls a change is one, whichever samples they were. Positions of sequences are
no independent answers: there the two intervals together are the bound.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

LEVEL = 0.05
CHIPS = 6
Report = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """One class: how much more of it is answered right here than there (a share; below 0 is a loss), and whether that is more
    than chance."""

    name: str
    change: float
    told: bool


def moved(here: Report | None, there: Report | None) -> list[Moved]:
    """The classes of two reports on the same data, the clearest change first; nothing where one of them has none."""
    other = {row["name"]: row for row in (there or {}).get("per_class") or []}
    rows = [(row, other.get(row["name"])) for row in (here or {}).get("per_class") or []]
    found = [_moved(row, before) for row, before in rows if before is not None and before["samples"] == row["samples"]]
    return sorted(found, key=lambda m: (not m.told, -abs(m.change)))


def _moved(here: Report, there: Report) -> Moved:
    ours, theirs = here["drop"], there["drop"]
    lost, won = (_count(ours, "lost") + _count(theirs, "won"), _count(theirs, "lost") + _count(ours, "won"))
    change = float(here["quantized"]) - float(there["quantized"])
    return Moved(str(here["name"]), change, _apart(ours, theirs, change) if "positions" in here else mid_p(lost, won) < LEVEL)


def _apart(ours: Report, theirs: Report, change: float) -> bool:
    """For positions, many of which lie in one sample: whether the change is more than both intervals leave in doubt together."""
    ends = [drop.get("ci95") for drop in (ours, theirs)]
    return all(ends) and abs(change) > sum((high - low) / 2 for low, high in ends)


def _count(drop: Report, which: str) -> int:
    return int(drop.get(f"flips_{which}") or 0)


def mid_p(lost: int, won: int) -> float:
    """McNemar's mid-p-value of so many answers lost and won; as the engine's, in whole numbers."""
    n, least = lost + won, min(lost, won)
    if lost == won:
        return 1.0 if not n else 1.0 - comb(n, least) / 2 ** (n + 1)
    below = sum(comb(n, k) for k in range(least))
    return min(1.0, (2 * below + comb(n, least)) / 2**n)


def strip(found: Sequence[Moved], here: str, there: str) -> dict[str, Any] | None:
    """The bar's strip: a chip a class with a sign, words and a tone, and the whole list for a hover."""
    if not found:
        return None
    shown = [m for m in found if m.change][:CHIPS]
    told = sum(m.told for m in found)
    chance = "beyond chance" if told else "none beyond chance"
    title = [f"Right answers by class, {here} against {there}, on the same samples. Click for Compare.",
             *(f"{m.name}: {_points(m)}{' (may be chance)' if m.change and not m.told else ''}" for m in found)]
    return {"label": f"{here} against {there}", "chips": [[m.name, _points(m), _tone(m)] for m in shown],
            "note": "no class moved" if not shown else f"{told} of {len(found)} {chance}" if told else chance, "title": "\n".join(title)}


def _points(m: Moved) -> str:
    sign = "\u25b2" if m.change > 0 else "\u25bc" if m.change < 0 else ""
    return f"{sign} {abs(100 * m.change):.1f}" if sign else "as before"


def _tone(m: Moved) -> str:
    return "" if not m.told else "ok" if m.change > 0 else "hot"
