"""What one window looks at on the page Compare, typed; kept for each project while the window is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app import views
from app.compare.sources import Run

KINDS = {"worst": "Furthest", "lost": "Lost", "won": "Won", "changed": "Changed"}
ORDERS = {"close": "Closest first", "far": "Farthest first"}
MEANING = {
    "worst": "furthest from the float model's output on the right, by SQNR",
    "lost": "answered right on the left and wrong on the right",
    "won": "wrong on the left, right on the right",
    "changed": "wrong on both sides, with different answers",
}


@dataclass
class View:
    """The two sides by key, further runs, and how the samples are shown."""

    left: str = "float"
    right: str = "desk"
    more: list[str] = field(default_factory=list)
    kind: str = ""
    order: str = "close"
    every: bool = False
    layer: str = ""
    rev: int = 0


def of(project: str) -> View:
    """The view of a project in this window."""
    return views.of("compare", project, View)


def settle(seen: View, runs: Sequence[Run]) -> None:
    """Keys that are gone fall back: the left to the float model, the right to the desk."""
    keys = [run.key for run in runs]
    seen.left = seen.left if seen.left in keys else keys[0]
    seen.right = seen.right if seen.right in keys else "desk" if "desk" in keys else keys[-1]
    seen.more = [key for key in seen.more if key in keys and key not in (seen.left, seen.right)]


def swap(seen: View) -> None:
    """Left becomes right; the selects begin anew."""
    seen.rev += 1
    seen.left, seen.right = seen.right, seen.left
