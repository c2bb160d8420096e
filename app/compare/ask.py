"""Comparisons that are known, and the jobs that make the missing ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.bench import Bench, measurable
from app.compare.sources import Run

VERB = "compare"
Found = Mapping[str, Any]
_PYTHON = """from engine import Recipe, Session, load_data, load_model

session = Session(load_model({model!r}){data})
left = {left}
right = {right}
found = session.compare(left, right)
print(found["drop"], found["test"], found["flips"]["counts"], sep="\\n")
"""


def arguments(left: Run, right: Run) -> dict[str, Any]:
    """What the verb is given."""
    return {"left": left.recipe, "right": right.recipe}


def known(client: Any, found: Bench, left: Run, right: Run) -> Found | None:
    """The comparison, where it was made."""
    result: Found | None = client.latest(found.project.id, VERB, None, **arguments(left, right))
    return result


def job(found: Bench, left: Run, right: Run) -> Any | None:
    """The newest job for it."""
    return next((j for j in found.jobs if j.verb == VERB and dict(j.args) == arguments(left, right)), None)


def ensure(client: Any, found: Bench, left: Run, right: Run) -> bool:
    """Starts the comparison unless it is known, waits, or failed before; true when something was started."""
    if found.stopped or not measurable(found) or known(client, found, left, right) is not None:
        return False
    old = job(found, left, right)
    if old is not None and old.state != "done":
        return False
    client.submit(found.project.id, VERB, arguments(left, right))
    return True


def command(found: Bench, left: Run, right: Run) -> str:
    """Python that makes the same comparison without the workbench."""
    project = found.project
    sets = [(key, path) for key in ("evaluation", "calibration") if (path := getattr(project, key)) is not None]
    data = "".join(f", {key}=load_data({_short(path)!r})" for key, path in sets)
    data += f", metric={project.metric!r}" if project.metric else ""
    return _PYTHON.format(model=_short(project.model), data=data, left=_side(left), right=_side(right))


def _side(run: Run) -> str:
    if run.is_float:
        return "None  # the float model"
    text = run.recipe.strip().replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    return f"Recipe.from_yaml('''{text}\n''')"


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
