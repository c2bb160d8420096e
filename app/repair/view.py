"""What one window shows on the page Repair, typed; the draft is also kept in the home, so that a reload finds it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import views
from app.repair import draft
from app.repair.draft import Lines
from app.views import Draft

SPANS = {"step": "This step", "chain": "Whole chain"}


@dataclass
class View(Draft):
    """The draft and what is looked at.

    Attributes:
        lines: the draft.
        follows: the recipe's lines when the window last looked: a draft that equals them follows the recipe.
        place: the selected line of the draft; -1 for none.
        layer: the name of the layer whose weights are shown; empty: the one that changed most.
        span: whether before and after mean the selected step or the whole chain.
        goal: what was typed as the goal of 'Repair for me', in its own unit; None: the ladder's default.
    """

    lines: Lines = draft.DEFAULT
    follows: Lines | None = None
    place: int = -1
    layer: str = ""
    span: str = "step"
    goal: float | None = None


def of(project: str) -> View:
    """The view of a project in this window."""
    return views.of("repair", project, View)


def settle(client: Any, project: str, view: View, doc: Mapping[str, Any]) -> None:
    """The draft follows a recipe that was changed elsewhere, unless it says something of its own."""
    now = draft.of_recipe(doc)
    if view.follows is None:
        kept = draft.read(client.setting(_name(project)))
        view.lines = kept if kept is not None else now
    elif not draft.same(view.follows, now) and draft.same(view.lines, view.follows):
        view.lines = now
    view.follows = now


def change(client: Any, project: str, view: View, lines: Lines) -> None:
    """Another draft; where it says the same as the recipe, nothing needs to be kept."""
    view.lines = lines
    if view.place >= len(lines):
        view.place = len(lines) - 1
    clean = view.follows is not None and lines == view.follows
    views.keep(client, _name(project), None if clean else draft.sent(lines))


def take(client: Any, project: str, view: View, doc: Any) -> bool:
    """The component's whole document; an older one than the last one taken changes nothing."""
    if not views.newer(view, doc):
        return False
    lines = draft.read(doc.get("lines"))
    if lines is None:
        return False
    view.ack = doc["seq"]
    place = doc.get("sel")
    view.place = place if isinstance(place, int) and -1 <= place < len(lines) else -1
    if lines != view.lines:
        change(client, project, view, lines)
    return True


def _name(project: str) -> str:
    return f"repair:{project}"
