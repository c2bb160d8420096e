"""What can be compared: a registered list of sources, each a function from the project to runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app import recipes
from app.bench import Bench
from engine.errors import MixdownError
from engine.recipe import Recipe

FLOAT = "float"
MAX_LINES, MAX_MEASURED, MAX_LABEL = 120, 40, 64


@dataclass(frozen=True)
class Run:
    """One side of a comparison: a recipe, or the float model.

    Attributes:
        key: names it while the page is open; a line of history keeps its key, the desk's is always `desk`.
        recipe: YAML text, or `float`.
        seq: its line of history, 0 where it has none.
    """

    key: str
    label: str
    recipe: str
    seq: int = 0

    @property
    def name(self) -> str:
        """A short name for a sentence."""
        kind, _, rest = self.key.partition("-")
        names = {"float": "the float model", "desk": "the desk", "line": f"line {rest}", "run": "that measured mix"}
        return names.get(kind) or self.label.split(" \u00b7 ")[0]

    @property
    def is_float(self) -> bool:
        """Whether this is the float model."""
        return self.recipe == FLOAT


Source = Callable[[Any, Bench], list[Run]]


def float_model(client: Any, found: Bench) -> list[Run]:
    """The model as it came."""
    return [Run("float", "Float model", FLOAT)]


def on_the_desk(client: Any, found: Bench) -> list[Run]:
    """The recipe that the project stands on."""
    now = next((line for line in client.history(found.project.id) if line.current), None)
    side = client.slots(found.project.id)
    name = "On the desk" if side.other is None else f"{side.active} \u00b7 on the desk"
    return [Run("desk", f"{name} \u00b7 {_called(client, found, now)}" if now is not None else name, found.recipe, now.seq if now else 0)]


def other_side(client: Any, found: Bench) -> list[Run]:
    """The other one of A and B."""
    side = client.slots(found.project.id)
    if side.other is None:
        return []
    return [Run("side", f"{side.passive} \u00b7 {_called(client, found, side.other)}", side.other.recipe, side.other.seq)]


def named(client: Any, found: Bench) -> list[Run]:
    """Lines of the history that have a name."""
    lines = {line.seq: line for line in client.history(found.project.id)}
    marks = client.named_lines(found.project.id)
    return [Run(f"name-{name}", f"{_cut(name)} \u00b7 snapshot", lines[seq].recipe, seq) for name, seq in marks.items() if seq in lines]


def history(client: Any, found: Bench) -> list[Run]:
    """Every edit, the newest first."""
    lines = client.history(found.project.id)[::-1][:MAX_LINES]
    labels = {line.seq: f"{line.seq} \u00b7 {_cut(line.label)} \u00b7 {_clock(line.created)}" for line in lines}
    return [Run(f"line-{line.seq}", labels[line.seq], line.recipe, line.seq) for line in lines]


def measured(client: Any, found: Bench) -> list[Run]:
    """Measured recipes that no line of history holds, the newest first."""
    out = []
    for run in client.runs(found.project.id, "measure")[::-1][:MAX_MEASURED]:
        recipe = recipe_of(client, run.id)
        if recipe:
            out.append(Run(f"run-{run.id}", f"Measured {_clock(run.created)} \u00b7 {summary(recipe)}", recipe))
    return out


SOURCES: list[Source] = [float_model, on_the_desk, other_side, named, history, measured]


def gather(client: Any, found: Bench) -> list[Run]:
    """All runs that can be compared; of several that mean the same the first is kept, and what cannot be read is left out."""
    out: dict[str, Run] = {}
    for source in SOURCES:
        for run in source(client, found):
            same = FLOAT if run.is_float else meaning(run.recipe)
            if same:
                out.setdefault(same, run)
    return list(out.values())


@lru_cache(maxsize=400)
def meaning(recipe: str) -> str:
    """A hash of what a recipe says; empty where it cannot be read."""
    try:
        return Recipe.from_yaml(recipe).fingerprint()
    except MixdownError:
        return ""


def summary(recipe: str) -> str:
    """A recipe in a few words: its base, and how many layers have their own."""
    try:
        doc = recipes.read(recipe)
    except MixdownError:
        return "a recipe"
    own = len(doc.get("layers") or {}) + len(doc.get("bypass") or [])
    return recipes.base(doc).upper() + (f", {own} set by hand" if own else "")


_SEEN: dict[tuple[int, int], str] = {}


def recipe_of(client: Any, run: int) -> str:
    """The recipe of a measured run; a run never changes, so its report is read once."""
    key = (id(client), run)
    if key not in _SEEN:
        report = client.report(run) or {}
        doc = report.get("recipe")
        _SEEN[key] = recipes.write(doc) if isinstance(doc, Mapping) else ""
    return _SEEN[key]


def _called(client: Any, found: Bench, line: Any) -> str:
    """The name that somebody gave a line of history, else what the edit was."""
    names = [name for name, seq in client.named_lines(found.project.id).items() if seq == line.seq]
    return _cut(names[-1] if names else line.label)


def _cut(words: str) -> str:
    return words if len(words) <= MAX_LABEL else words[: MAX_LABEL - 1] + "\u2026"


def _clock(when: float) -> str:
    return time.strftime("%H:%M", time.localtime(when))
