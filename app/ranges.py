"""What the calibration drawer shows and changes: ranges, clipped shares, methods and overrides."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from app import numbers, recipes
from app.bench import Bench

Facts = Mapping[str, Any]
COLUMNS = ("tensor", "type", "method", "low", "high", "clip cal. %", "clip eval. %", "own")


def tensors(bench: Bench) -> list[Facts]:
    """The ranges to show: of this recipe, else of the last calibration."""
    return list((bench.calibrated or {}).get("tensors", []))


def frame(rows: list[Facts]) -> pd.DataFrame:
    """The table of ranges."""
    return pd.DataFrame([[t["name"], _type(t), _method(t.get("method")), t.get("low"), t.get("high"),
                          _percent(t.get("clipped_calibration")), _percent(t.get("clipped_evaluation")), _own(t)]
                         for t in rows], columns=list(COLUMNS))


def weights_frame(rows: list[Facts]) -> pd.DataFrame:
    """The table of weight ranges: ends over all channels."""
    return pd.DataFrame([[t.get("layer") or t["name"], t.get("dtype", ""), t.get("granularity", ""), _widest(t.get("low"), min),
                          _widest(t.get("high"), max)] for t in rows], columns=["layer", "type", "granularity", "low", "high"])


def _widest(value: Any, choose: Any) -> float | None:
    if isinstance(value, (list, tuple)):
        return float(choose(value)) if value else None
    return None if value is None else float(value)


def _type(tensor: Facts) -> str:
    symmetry = str(tensor.get("symmetry") or "").replace("symmetric", "sym").replace("asym", "asym")
    return f"{tensor.get('dtype') or ''} {symmetry}".strip()


def _method(value: Any) -> str:
    if isinstance(value, Mapping):
        return next(iter(value), "")
    return str(value or "").replace("_", " ")


def _own(tensor: Facts) -> str:
    return "frozen" if tensor.get("frozen") else "set here" if tensor.get("overridden") else ""


def _percent(value: Any) -> float | None:
    return None if value is None else 100 * float(value)


def describe(tensor: Facts) -> str:
    """One line over the histogram of a tensor."""
    said = [f"range {numbers.short(tensor.get('low'))} to {numbers.short(tensor.get('high'))}"]
    if tensor.get("clipped_evaluation") is not None:
        said.append(f"{numbers.share(tensor['clipped_evaluation'])} clipped on evaluation data")
    return ", ".join(said)


def method_of(doc: recipes.Doc, kind: str) -> str:
    """The name of the method for a class of tensors (`weights`, `activations`), or of the general one."""
    options = doc.get("calibration") or {}
    own = (doc.get("weights") or {}).get("method") if kind == "weights" else None
    value = own or options.get(kind) or options.get("method") or "min_max"
    return str(next(iter(value))) if isinstance(value, Mapping) else str(value)


def samples_of(doc: recipes.Doc) -> int:
    """How many samples calibration takes."""
    return int((doc.get("calibration") or {}).get("samples") or 256)


def with_choices(doc: recipes.Doc, weights: str, activations: str, samples: int) -> recipes.Doc:
    """The recipe with the drawer's choices; only what differs is written."""
    new = doc
    for kind, method in (("weights", weights), ("activations", activations)):
        if method != method_of(doc, kind):
            path = ["weights", "method"] if kind == "weights" and (doc.get("weights") or {}).get("method") else ["calibration", kind]
            new = recipes.put(new, path, method)
    return recipes.put(new, ["calibration", "samples"], int(samples)) if samples != samples_of(doc) else new


def with_override(doc: recipes.Doc, name: str, low: float | None, high: float | None, method: str) -> recipes.Doc:
    """The recipe with a range or a method of one tensor's own; its type, if it has one, stays."""
    old = (doc.get("tensors") or {}).get(name)
    request = dict(old) if isinstance(old, Mapping) else {"type": old} if old else {}
    for key, value in (("min", low), ("max", high), ("method", method or None)):
        request.pop(key, None)
        if value is not None:
            request[key] = value
    return recipes.put(doc, ["tensors", name], request or None)


def without_override(doc: recipes.Doc, name: str) -> recipes.Doc:
    """The recipe without anything of this tensor's own."""
    return recipes.put(doc, ["tensors", name], None)


def override_of(doc: recipes.Doc, name: str) -> Facts:
    """What the recipe says about one tensor."""
    value = (doc.get("tensors") or {}).get(name)
    return value if isinstance(value, Mapping) else {"type": value} if value else {}
