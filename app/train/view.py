"""What one window shows on the page Train, typed; the settings are also kept in the home, so that a reload finds them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app import views
from app.train import settings
from app.train.settings import Options
from app.views import Draft


@dataclass
class View(Draft):
    """The settings and what is looked at.

    Attributes:
        options: the settings that differ from the defaults; `stop_after` where the best so far was kept.
        follows: those of the recipe when the window last looked (None where it has no training); settings that equal them follow it.
        looked: whether the window has looked at all.
        over, count: what a search tries, and how many trainings it makes.
        trial: the chosen trial's number; -1 for the best.
    """

    options: Options = field(default_factory=dict)
    follows: Options | None = None
    looked: bool = False
    over: tuple[str, ...] = ("learning_rate", "range_rate")
    count: int = 8
    trial: int = -1


def of(project: str) -> View:
    """The view of a project in this window."""
    return views.of("train", project, View)


def settle(client: Any, project: str, view: View, doc: Mapping[str, Any]) -> None:
    """The settings follow a recipe that was changed elsewhere, unless they say something of their own."""
    now = settings.of_recipe(doc)
    if not view.looked:
        kept = settings.read(client.setting(_name(project)))
        view.options, view.looked = (dict(now or {}) if kept is None else kept), True
    elif now is not None and now != view.follows and view.options == (view.follows or {}):
        view.options, view.rev = dict(now), view.rev + 1
    left = view.follows is not None and now is None
    view.follows = now
    if left:  # undone: what was accepted is a draft again
        change(client, project, view, view.options)


def change(client: Any, project: str, view: View, options: Mapping[str, Any]) -> None:
    """Other settings; where they are the recipe's, nothing needs to be kept."""
    view.options = dict(options)
    views.keep(client, _name(project), None if view.options == view.follows else view.options)


def put(client: Any, project: str, view: View, options: Mapping[str, Any]) -> None:
    """Other settings that did not come from the form, which takes them over."""
    view.rev += 1
    change(client, project, view, options)


def take(client: Any, project: str, view: View, doc: Any) -> bool:
    """The form's whole document; an older one than the last one taken changes nothing. Other settings are another training: it
    begins at its start, and where an earlier one was ended is forgotten."""
    if not views.newer(view, doc):
        return False
    options = settings.read(doc.get("options"))
    if options is None:
        return False
    view.ack = doc["seq"]
    if settings.stopped_at(options, 0) != settings.stopped_at(view.options, 0):
        change(client, project, view, settings.stopped_at(options, 0))
    return True


def inside(view: View) -> bool:
    """Whether the recipe has this training."""
    return view.follows is not None and view.follows == view.options


def _name(project: str) -> str:
    return f"train:{project}"
