"""The question to the worker, and what is known of its answer: results in the store, and the job that runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app import recipes
from app.bench import Bench
from app.sensitivity.view import EXACT, SAMPLES, View

VERB = "sensitivity"
Result = Mapping[str, Any]
FOLDING = ("fold_batch_norm",)
LAYERWISE = ("layers", "bypass", "precision", "candidates")


@dataclass(frozen=True)
class Known:
    """The estimate and the exact (or cumulative, data-free) answer, as far as they are there.

    `asked` tells that the exact one answers just this question, not the same one on other samples.
    """

    estimate: Result | None = None
    exact: Result | None = None
    job: Any | None = None
    ended: Any | None = None
    asked: bool = False

    @property
    def running(self) -> bool:
        """Whether an answer is being made."""
        return self.job is not None


def scoring_recipe(doc: recipes.Doc) -> str:
    """The recipe without what scores do not depend on, so that an edit of a layer keeps them.

    Steps that look at precisions (AdaRound and the like) keep the recipe as it is.
    """
    steps = doc.get("steps") or []
    if any(not isinstance(s, str) or s not in FOLDING for s in steps):
        return recipes.write(doc)
    return recipes.write({k: v for k, v in doc.items() if k not in LAYERWISE})


def precisions(doc: recipes.Doc) -> list[str]:
    """The columns of the question: the project's candidates; float is the reference, not one of them."""
    return [p for p in dict.fromkeys(recipes.candidates(doc)) if p != "fp32"]


def arguments(found: Bench, view: View, mode: str = "", samples: int = 0, racing: bool | None = None) -> dict[str, Any]:
    """What the verb is given."""
    mode = mode or view.mode
    fast = view.racing if racing is None else racing
    what = "weights" if mode == "data-free" else view.what
    return {
        "recipe": scoring_recipe(found.doc),
        "precisions": precisions(found.doc),
        "mode": mode,
        "what": what,
        "items": view.items,
        "samples": samples or view.samples_of(mode),
        "on": "calibration",
        "racing": bool(fast and mode in EXACT),
    }


def measurable(found: Bench) -> bool:
    """Whether there are data to score on."""
    return found.project.calibration is not None or found.project.evaluation is not None


def gather(client: Any, found: Bench, view: View) -> Known:
    """All that is known for this view."""
    if not precisions(found.doc):
        return Known()
    estimate = (
        latest(client, found, arguments(found, view, "estimate")) if measurable(found) and view.mode in ("estimate", "one-on") else None
    )
    asked = arguments(found, view)
    job, ended = _job(found.jobs, asked), _job(found.jobs, asked, active=False)
    if view.mode == "estimate":
        return Known(estimate, None, job, ended)
    whole = latest(client, found, asked)
    exact = whole or _partial(found.jobs, asked)
    if exact is None and (best := _best(client, found, view)) is not None:
        exact = best[0]
    return Known(estimate if view.mode == "one-on" else None, exact, job, ended, whole is not None)


def begin(client: Any, found: Bench, view: View) -> None:
    """A window that opens the page begins with exact figures where there are any, else with the estimate."""
    if not view.fresh:
        return
    view.fresh = False
    known = _best(client, found, replace(view, mode="one-on")) if measurable(found) and view.mode == "estimate" else None
    if known is not None:
        view.mode, view.samples["one-on"], view.racing = "one-on", known[1], known[2]


def latest(client: Any, found: Bench, asked: Mapping[str, Any]) -> Result | None:
    """The result of exactly this question."""
    rest = {k: v for k, v in asked.items() if k != "recipe"}
    result: Result | None = client.latest(found.project.id, VERB, asked["recipe"], **rest)
    return result


def _best(client: Any, found: Bench, view: View) -> tuple[Result, int, bool] | None:
    """The answer to the same question on the most samples, with their number and whether it raced."""
    for samples in sorted(SAMPLES, reverse=True):
        for racing in (False, True) if view.mode in EXACT else (False,):
            result = latest(client, found, arguments(found, view, samples=samples, racing=racing))
            if result is not None:
                return result, samples, racing
    return None


def _job(jobs: Sequence[Any], asked: Mapping[str, Any], active: bool = True) -> Any | None:
    return next((j for j in jobs if j.verb == VERB and dict(j.args) == dict(asked) and (j.state in ("queued", "running")) == active), None)


def _partial(jobs: Sequence[Any], asked: Mapping[str, Any]) -> Result | None:
    """What the newest job that has told anything knows: one that was stopped keeps its figures until the next one tells more."""
    own = (j for j in jobs if j.verb == VERB and dict(j.args) == dict(asked))
    return next((p for j in own if (p := getattr(j, "partial", None))), None)


def automatic(found: Bench, view: View, known: Known) -> dict[str, Any] | None:
    """What is started without being asked for: the estimate, or the error of the weights; both are quick."""
    if found.stopped or not precisions(found.doc) or found.model is None:
        return None
    mode = "estimate" if measurable(found) and view.mode in ("estimate", "one-on") else "data-free"
    if mode == "data-free" and view.mode != "data-free":
        return None
    missing = known.estimate is None if mode == "estimate" else known.exact is None
    asked = arguments(found, view, mode)
    tried = any(j.verb == VERB and dict(j.args) == asked for j in found.jobs)
    return asked if missing and not tried else None


def command(found: Bench, view: View) -> str:
    """The command line that answers the same question."""
    asked, project = arguments(found, view), found.project
    words = ["python", "-m", "engine", "sensitivity", project.model.name]
    for key in ("calibration", "evaluation"):
        path = getattr(project, key)
        words += [f"--{key}", path.name] if path is not None and view.mode != "data-free" else []
    words += ["--mode", asked["mode"], "--what", asked["what"], "--items", asked["items"], "--precisions", ",".join(asked["precisions"])]
    words += ["--samples", str(asked["samples"])] if view.mode != "data-free" else []
    words += ["--racing"] if asked["racing"] else []
    text = asked["recipe"]
    if recipes.read(text).keys() <= {"mixdown", "target"}:
        return shlex.join([*words, "--target", str(recipes.read(text).get("target", found.project.target))])
    return f"cat > recipe.yaml <<'RECIPE'\n{text.rstrip()}\nRECIPE\n" + shlex.join([*words, "--recipe", "recipe.yaml"])
