"""How a figure on the screen was made, as text to paste: a command line or Python."""
from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from engine.errors import BadInput
from engine.recipe import Recipe
from engine.store import Project

_SESSION = """from engine import Recipe, Session, load_data, load_model

recipe = Recipe.from_yaml('''{recipe}''')
session = Session(load_model({model!r}){data})
{call}
"""
_INSPECT = """from engine import load_model
from engine.analysis.facts import model_facts

facts = model_facts(load_model({model!r}))
print(facts["totals"], len(facts["layers"]), "layers")
"""
# What a result is made by: the verb of the command line (none: it has none, Python is piped in) and the call.
_CALLS = {
    "simulate": ("simulate", "print(session.simulate(recipe))"),
    "float": ("simulate", "print(session.float_value())"),
    "inspect": ("inspect", ""),
    "calibrate": ("export", "for row in session.calibrate(recipe)['tensors']:\n    print(row['name'], row['low'], row['high'])"),
    "repair": ("simulate", "for row in session.repair(recipe)['rows']:\n    print(row['step'], row['words'])"),
    "diagnose": ("", "for cause in session.diagnose(recipe, {layers!r})['diagnoses']:\n    print(cause)"),
}


def reproduce(project: Project, recipe: str, language: str = "shell", what: str = "simulate", layers: Sequence[str] | None = None) -> str:
    """Text that makes a result again on the project's model and data without the workbench.

    `what`: `simulate` (the report), `float`, `inspect` (the model), `calibrate` (the ranges), `repair` (the gain
    of each step) or `diagnose` (causes, of `layers`).
    """
    if language not in ("shell", "python") or what not in _CALLS:
        raise BadInput(f"language {language!r} of {what!r}: expected 'shell' or 'python' of {', '.join(_CALLS)}")
    verb, call = _CALLS[what]
    if language == "python" or not verb:
        code = _python(project, recipe, what, call.format(layers=None if layers is None else list(layers)) if "{layers" in call else call)
        return code if language == "python" else f"python - <<'PYTHON'\n{code.rstrip()}\nPYTHON"
    words = ["python", "-m", "engine", verb, _short(project.model)]
    if verb == "inspect":
        return shlex.join([*words, "--target", Recipe.from_yaml(recipe).target])
    for key, path in _data(project):
        words += [f"--{key}", _short(path)]
    if project.metric:
        words += ["--metric", project.metric]
    before, asked = _asked(recipe)
    return before + shlex.join(words + asked + _more(what, verb))


def _more(what: str, verb: str) -> list[str]:
    return ["--out", "ranges"] if verb == "export" else ["--waterfall"] if what == "repair" else []


def _python(project: Project, recipe: str, what: str, call: str) -> str:
    if what == "inspect":
        return _INSPECT.format(model=_short(project.model))
    data = "".join(f", {key}=load_data({_short(path)!r})" for key, path in _data(project))
    text = recipe.strip().replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    return _SESSION.format(recipe=text + "\n", model=_short(project.model), data=data, call=call)


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
