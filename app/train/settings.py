"""The settings of a training as they lie on the page, and their place in a recipe: its last step. Pure functions."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.repair import draft
from app.repair.draft import Line, Lines

NAME = "qat"
STOP = "stop_after"  # no field of the form: the buttons set it
MAX_TEXT = 200
Field = Mapping[str, Any]
Options = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Fields that belong together; `folded` ones are shown on demand."""

    title: str
    names: tuple[str, ...]
    folded: bool = True


GROUPS = (
    Group("", ("epochs", "learning_rate", "distillation", "augment"), folded=False),
    Group("Ranges", ("ranges", "range_rate")),
    Group("Step size and schedule", ("optimizer", "schedule", "warmup", "batch", "accumulate", "weight_decay", "clip_norm")),
    Group("Teacher", ("temperature", "match", "match_weight")),
    Group("Data", ("validation", "shift", "workers", "seed")),
    Group("What is kept", ("ema", "patience")),
    Group("Machine", ("autocast",)),
)


def grouped(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The form: groups with their fields, those that no group names in one of their own."""
    by_name = {str(f["name"]): f for f in fields if f["name"] != STOP}
    out = [{"title": g.title, "folded": g.folded, "fields": [by_name[n] for n in g.names if n in by_name]} for g in GROUPS]
    named = {n for g in GROUPS for n in g.names}
    rest = [f for n, f in by_name.items() if n not in named]
    return [g for g in [*out, {"title": "More", "folded": True, "fields": rest}] if g["fields"]]


def before(doc: Mapping[str, Any]) -> Lines:
    """The steps of the recipe that training comes after."""
    lines = draft.of_recipe(doc)
    return lines[:-1] if lines and lines[-1].name == NAME else lines


def of_recipe(doc: Mapping[str, Any]) -> Options | None:
    """The settings of the recipe's training; None where it ends with another step."""
    lines = draft.of_recipe(doc)
    return dict(lines[-1].options) if lines and lines[-1].name == NAME else None


def lines(doc: Mapping[str, Any], options: Mapping[str, Any]) -> Lines:
    """The recipe's steps with this training as the last."""
    return (*before(doc), Line(NAME, dict(options)))


def stopped_at(options: Mapping[str, Any], epochs: int) -> Options:
    """The same training, ended after so many epochs; 0 lets it run on."""
    rest = {k: v for k, v in options.items() if k != STOP}
    return {**rest, STOP: epochs} if epochs else rest


def value(options: Mapping[str, Any], fields: Sequence[Field], name: str, otherwise: Any = None) -> Any:
    """What a setting is: its own value, else the default."""
    default = next((f.get("default") for f in fields if f.get("name") == name), otherwise)
    return options.get(name, default)


def told(options: Mapping[str, Any], fields: Sequence[Field]) -> str:
    """The line of history."""
    epochs = value(options, fields, "epochs", 0)
    stop = int(options.get(STOP) or 0)
    return f"training: {stop} of {epochs} epochs" if stop else f"training: {epochs} epochs" if epochs else "training"


def merged(options: Mapping[str, Any], found: Mapping[str, Any], fields: Sequence[Field]) -> Options:
    """The settings with those that a search found, exactly as they were tried; what equals the default needs no entry."""
    known = {str(f["name"]): f.get("default") for f in fields}
    both = {**options, **{k: v for k, v in found.items() if k in known}}
    return {k: v for k, v in both.items() if k not in known or v != known[k]}


def read(value: Any) -> Options | None:
    """The settings in the component's document or in the home; None where it is no such document."""
    if not isinstance(value, Mapping) or len(value) > 100:
        return None
    found = {str(k): v for k, v in value.items()}
    return found if all(_plain(v) for v in found.values()) else None


def _plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= MAX_TEXT)
