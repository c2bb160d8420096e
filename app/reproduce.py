"""How a figure on the screen was made, as text to paste: a command line or Python."""
from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.recipe import Recipe
from engine.store import Project

_SESSION = """from engine import Recipe, Session, load_data, load_model

recipe = Recipe.from_yaml('''{recipe}''')
session = Session(load_model({model!r}){data})
{call}
"""
NAMES = {"kind": "scores", "max_latency_us": "max-latency"}  # of the search's arguments on the command line, where they differ
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
    "train": ("simulate", "rows = session.repair(recipe)['rows']\nfor epoch in rows[-1]['training']['epochs']:\n    print(epoch)\n"
              "print(rows[-1]['words'])"),
    "search": ("search", "found = session.search_report({precisions!r}, recipe{given})\nprint(found['words'])"),
    "diagnose": ("", "for cause in session.diagnose(recipe, {layers!r})['diagnoses']:\n    print(cause)"),
}


def reproduce(project: Project, recipe: str, language: str = "shell", what: str = "simulate", layers: Sequence[str] | None = None,
              given: Mapping[str, Any] | None = None) -> str:
    """Text that makes a result again on the project's model and data without the workbench.

    `what`: `simulate` (the report), `float`, `inspect` (the model), `calibrate` (the ranges), `repair` (the gain
    of each step), `train` (the training that the recipe ends with), `search` (its targets are `given`)
    or `diagnose` (causes, of `layers`).
    """
    if language not in ("shell", "python") or what not in _CALLS:
        raise BadInput(f"language {language!r} of {what!r}: expected 'shell' or 'python' of {', '.join(_CALLS)}")
    verb, call = _CALLS[what]
    if language == "python" or not verb:
        code = _python(project, recipe, what, _call(call, layers, dict(given or {})))
        return code if language == "python" else f"python - <<'PYTHON'\n{code.rstrip()}\nPYTHON"
    words = ["python", "-m", "engine", verb, _short(project.model)]
    if verb == "inspect":
        return shlex.join([*words, "--target", Recipe.from_yaml(recipe).target])
    for key, path in _data(project, recipe):
        words += [f"--{key}", _short(path)]
    if project.metric:
        words += ["--metric", project.metric]
    before, asked = _asked(recipe)
    return before + shlex.join(words + asked + _more(what, verb, dict(given or {})))


def _call(call: str, layers: Sequence[str] | None, given: dict[str, Any]) -> str:
    if "{layers" in call:
        return call.format(layers=None if layers is None else list(layers))
    if "{given" in call:
        names = given.pop("precisions", [])
        return call.format(precisions=names, given="".join(f", {k}={v!r}" for k, v in given.items()))
    return call


def _more(what: str, verb: str, given: dict[str, Any]) -> list[str]:
    if what == "search":
        return _searched(given)
    return ["--out", "ranges"] if verb == "export" else ["--waterfall"] if what in ("repair", "train") else []


def _searched(given: dict[str, Any]) -> list[str]:
    """The options of the verb `search`."""
    words = ["--precisions", ",".join(given.pop("precisions", []))]
    for key, value in given.items():
        name = f"--{NAMES.get(key, key).replace('_', '-')}"
        words += ([name] if value else []) if isinstance(value, bool) else [name, f"{value:g}" if isinstance(value, float) else str(value)]
    return [*words, "--out", "found.yaml"]


def _python(project: Project, recipe: str, what: str, call: str) -> str:
    if what == "inspect":
        return _INSPECT.format(model=_short(project.model))
    data = "".join(f", {key}=load_data({_short(path)!r})" for key, path in _data(project, recipe))
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


def _data(project: Project, recipe: str) -> list[tuple[str, Path]]:
    """The sets that a result depends on: the training set only where a step trains."""
    trains = any(step.name == "qat" for step in Recipe.from_yaml(recipe).steps or ())
    sets = [("evaluation", project.evaluation), ("calibration", project.calibration), ("training", project.training if trains else None)]
    return [(key, path) for key, path in sets if path is not None]


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
