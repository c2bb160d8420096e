"""The thin guide on every page: calibrate · see · repair · mix · export, what is done and what is next, and why.

Pure functions of a bench. A step whose page this version does not have is left out.
"""
from __future__ import annotations

from typing import Any

from app import recipes, state
from app.bench import Bench

Step = dict[str, Any]
PAGE = {"calibrate": "desk", "see": "sensitivity", "repair": "repair", "mix": "search", "export": "export"}
AIM = {"calibrate": "Ranges of activations, gathered from data", "see": "Which layers lose accuracy, and how much",
       "repair": "Techniques that win accuracy back at the same bits", "mix": "More bits where it hurts, fewer where it does not",
       "export": "Files for the device, with the proof that they do what the desk shows"}


def steps(bench: Bench | None) -> list[Step]:
    """Each step with its state (`done`, `next` or `later`) and a sentence; without a project all are `later`."""
    names = [name for name, page in PAGE.items() if page in state.PAGES]
    if bench is None:
        return [{"label": name, "title": f"{AIM[name]}. Open a project first.", "state": "later"} for name in names]
    todo = {"calibrate": _calibrate, "see": _see, "repair": _repair, "mix": _mix, "export": _export}
    said = {name: todo[name](bench) for name in names}
    following = next((name for name in names if said[name]), None)
    return [{"label": name, "title": f"{AIM[name]}. {said[name] or 'Done.'}",
             "state": "done" if not said[name] else "next" if name == following else "later"} for name in names]


def page(step: str) -> str:
    """The page on which a step is taken."""
    return PAGE.get(step, "desk")


def calibration_state(bench: Bench) -> str:
    """`fresh`, `stale` or `never`, over all tensors that need ranges from data."""
    tensors = (bench.resolved or bench.resolved_before or {}).get("tensors", [])
    states = {t.get("calibrated") for t in tensors if t.get("quantized")}
    if bench.calibrated is not None or bench.report is not None or (states and not states & {"never", "stale"}):
        return "fresh"
    return "stale" if "stale" in states or "fresh" in states else "never"


# Each of these says what is still to be done, or nothing where the step is done.

def _calibrate(bench: Bench) -> str:
    if bench.project.calibration is None and bench.project.evaluation is None:
        return "Bring data on the page Model first: without them weights can be judged, activations cannot."
    return {"fresh": "", "stale": "The recipe has changed what is calibrated: calibrate again in the drawer on the Desk.",
            "never": "Press Calibrate in the drawer on the Desk; measuring does it by itself."}[calibration_state(bench)]


def _see(bench: Bench) -> str:
    if not bench.scored:
        return "Open Sensitivity: the layers are scored there."
    return "" if bench.report is not None or bench.project.evaluation is None else "This recipe is not measured yet: press Measure."


def _repair(bench: Bench) -> str:
    steps = [s if isinstance(s, str) else next(iter(s), "") for s in bench.doc.get("steps") or [] if isinstance(s, str | dict)]
    return "" if set(steps) - {"fold_batch_norm"} else "Try what helps without any more bits."


def _mix(bench: Bench) -> str:
    mixed = any(r.own for r in recipes.requests(bench.doc, bench.layers))
    return "" if mixed else "All layers follow the base: give the worst ones more bits, or the best ones fewer."


def _export(bench: Bench) -> str:
    if bench.project.evaluation is None:
        return "Needs evaluation data, to prove what the files do."
    return "" if bench.exported else "This recipe is not exported yet."
