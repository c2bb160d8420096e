"""Results that are known already: a key of all they depend on, and the parsed reports of the last ones used."""
from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import MixdownError
from engine.recipe import Recipe
from engine.store import Job, Run, Store, strict_json
from engine.store.files import file_identity

# Raised whenever the engine's numbers, or the shape of its results, change: older results are then made again.
RESULTS_VERSION = 4
# These depend on nothing but their key. (`resolve` and `layer` also tell what the session has calibrated;
# files of `quantize` and `verify` may be gone.)
KEPT = ("open", "graph", "float", "measure", "calibrate", "sensitivity", "diagnose", "compare", "curve", "additivity", "repair", "train",
        "frontier", "solve", "search", "takes")
RECIPES = ("recipe", "left", "right")  # arguments that are recipes: two texts of one meaning are one
_MEMORY = 24


class Results:
    """Finds and reads results."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._recipes: OrderedDict[str, str] = OrderedDict()

    def key(self, project: str, verb: str, args: Mapping[str, Any]) -> str:
        """A hash of the verb, its arguments, the recipe's meaning and the project's files."""
        row = self._store.projects.get(project)
        parts: dict[str, Any] = {"version": RESULTS_VERSION, "verb": verb, "metric": row.metric}
        parts["files"] = [file_identity(path) for path in (row.model, row.evaluation, row.calibration, row.training)]
        parts["args"] = {name: self._meaning(value) if name in RECIPES else value for name, value in args.items()}
        if verb in ("resolve", "layer"):
            run = self._store.runs.find(project, "calibrate")
            parts["calibrated"] = run.id if run else 0
        if verb == "layer":  # its SQNR appears once the recipe was measured
            measured = self._store.runs.find(project, "measure", self.key(project, "measure", {"recipe": args.get("recipe")}))
            parts["measured"] = measured.id if measured else 0
        return hashlib.sha256(strict_json(parts | {"args": sorted(parts["args"].items())}).encode()).hexdigest()[:32]

    def find(self, project: str, verb: str, key: str | None) -> Run | None:
        """The newest result with that key, or of the verb whatever its key."""
        run = self._store.runs.find(project, verb, key)
        return run if run is not None and self.read(run.id) is not None else None

    def read(self, run: int) -> dict[str, Any] | None:
        """A report; the last few are kept in memory, so a page that looks again and again costs nothing."""
        with self._lock:
            if run in self._read:
                self._read.move_to_end(run)
                return self._read[run]
        value = self._store.runs.report(run)
        if value is not None:
            with self._lock:
                self._read[run] = value
                while len(self._read) > _MEMORY:
                    self._read.popitem(last=False)
        return value

    def _meaning(self, recipe: Any) -> str:
        text = str(recipe)
        with self._lock:
            if text in self._recipes:
                return self._recipes[text]
        try:
            meaning = Recipe.from_yaml(text).fingerprint()
        except MixdownError:
            meaning = text  # the worker will say what is wrong with it
        with self._lock:
            self._recipes[text] = meaning
            while len(self._recipes) > 200:
                self._recipes.popitem(last=False)
        return meaning


def thumbnail_writer(store: Store) -> Callable[[Job, dict[str, Any]], None]:
    """Keeps a small picture of the recipe with its project, for the project's card, once it is measured; of the resolved one where
    nothing can be measured. Auditions, and recipes that are measured to be compared, leave it alone."""
    def write(job: Job, value: dict[str, Any]) -> None:
        seen = thumbnail(value)
        own = job.args.get("recipe") == store.history.current(job.project).recipe
        if (job.verb == "measure" and own) or (job.verb == "resolve" and seen["layers"] and _unmeasured(store, job.project)):
            store.projects.update(job.project, thumbnail=seen)
    return write


def thumbnail(report: Mapping[str, Any]) -> dict[str, Any]:
    """Each layer's precision and share of the size, and the headline figures of a report."""
    layers = [layer for layer in report.get("layers") or [] if isinstance(layer, Mapping)]
    total = sum(_number(layer.get("size_bytes")) for layer in layers) or 1.0
    strips = [{"precision": str(layer.get("precision", "")),
               "share": round(_number(layer.get("size_bytes")) / total, 5)} for layer in layers[:400]]
    return {"layers": strips} | {key: report.get(key) for key in ("fp32", "quantized", "drop", "cost")}


def _unmeasured(store: Store, project: str) -> bool:
    return not (store.projects.get(project).thumbnail or {}).get("quantized")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


