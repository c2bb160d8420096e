"""How a figure on the screen was made, as text to paste: a command line or Python."""
from __future__ import annotations

import shlex
from pathlib import Path

from engine.errors import BadInput
from engine.recipe import Recipe
from engine.store import Project

_PYTHON = """from engine import Recipe, Session, load_data, load_model

recipe = Recipe.from_yaml('''{recipe}''')
session = Session(load_model({model!r}){data})
report = session.simulate(recipe)
print(report)
"""


def reproduce(project: Project, recipe: str, language: str = "shell") -> str:
    """Text that measures `recipe` on the project's model and data without the workbench."""
    if language == "python":
        data = "".join(f", {key}=load_data({_short(path)!r})" for key, path in _data(project))
        text = recipe.strip().replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
        return _PYTHON.format(recipe=text + "\n", model=_short(project.model), data=data)
    if language != "shell":
        raise BadInput(f"language {language!r}: expected 'shell' or 'python'")
    words = ["python", "-m", "engine", "simulate", _short(project.model)]
    for key, path in _data(project):
        words += [f"--{key}", _short(path)]
    if project.metric:
        words += ["--metric", project.metric]
    before, asked = _asked(recipe)
    return before + shlex.join(words + asked)


def _asked(recipe: str) -> tuple[str, list[str]]:
    """The recipe as options where two say all of it, else as a file written first."""
    parsed = Recipe.from_yaml(recipe)
    if parsed == Recipe(precision=parsed.precision, target=parsed.target):
        return "", ["--precision", str(parsed.precision), "--target", parsed.target]
    end = "RECIPE"
    while end in recipe.splitlines():
        end += "_"
    return f"cat > recipe.yaml <<'{end}'\n{recipe.rstrip()}\n{end}\n", ["--recipe", "recipe.yaml"]


def _data(project: Project) -> list[tuple[str, Path]]:
    both = (("evaluation", project.evaluation), ("calibration", project.calibration))
    return [(key, path) for key, path in both if path is not None]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
