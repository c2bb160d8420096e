"""What differs between two recipes, line by line, in words: pure functions on the mappings that the YAML stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import recipes
from app.compare.sources import Run
from engine.errors import MixdownError

LABELS = {
    "precision": "base precision",
    "target": "target",
    "candidates": "precisions on offer",
    "bias": "bias",
    "steps": "steps",
    "weights.granularity": "weights: granularity",
    "weights.symmetric": "weights: symmetric",
    "activations.symmetric": "activations: symmetric",
    "calibration.method": "calibration: method",
    "calibration.samples": "calibration: samples",
    "calibration.seed": "calibration: seed",
    "encodings.file": "encodings: file",
    "encodings.frozen": "encodings: frozen",
}
SAID = ("base precision", "target")
LEFT_OUT = ("mixdown", "model")
ABSENT, BYPASSED = "\u2013", " (bypass)"
DEFAULTS = {
    "precision": "w8a8",
    "target": "htp_v73",
    "bias": "float",
    "steps": "fold_batch_norm",
    "calibration.method": "min_max",
    "calibration.samples": "256",
    "calibration.seed": "0",
    "candidates": ", ".join(recipes.CANDIDATES),
}


@dataclass(frozen=True)
class Change:
    """One line that differs."""

    what: str
    left: str
    right: str


def diff(left: Run, right: Run) -> list[Change]:
    """All lines that differ; against the float model the lines of the other side that say more than the defaults."""
    if left.is_float and right.is_float:
        return []
    a, b = _lines(left), _lines(right)
    if left.is_float or right.is_float:
        mine = {what: words for what, words in (a or b).items() if what in SAID or DEFAULTS.get(_key(what)) != words}
        return [Change(what, "float", words) if left.is_float else Change(what, words, "float") for what, words in mine.items()]
    names = [what for what in dict.fromkeys([*a, *b]) if a.get(what) != b.get(what)]
    return [Change(what, _side(a, what), _side(b, what)) for what in names] or _order(left, right)


def _side(lines: Mapping[str, str], what: str) -> str:
    if what in lines:
        return lines[what]
    if what.endswith(BYPASSED):
        return "quantized"
    if what.startswith("layer "):
        return f"base, {lines.get('base precision', ABSENT)}"
    return DEFAULTS.get(_key(what), ABSENT)


def _key(what: str) -> str:
    return next((key for key, label in LABELS.items() if label == what), what)


def _lines(run: Run) -> dict[str, str]:
    """Label → value of everything that a recipe says; what it says by default is filled in."""
    if run.is_float:
        return {}
    try:
        doc = recipes.read(run.recipe)
    except MixdownError:
        return {}
    out = {LABELS[key]: words for key, words in DEFAULTS.items()}
    for key, value in doc.items():
        if key not in LEFT_OUT:
            out.update(_entry(str(key), value))
    return out


def _entry(key: str, value: Any) -> dict[str, str]:
    if key == "layers" and isinstance(value, Mapping):
        return {f"layer {name}": _words(wanted) for name, wanted in value.items()}
    if key == "tensors" and isinstance(value, Mapping):
        return {f"tensor {name}": _words(wanted) for name, wanted in value.items()}
    if key == "bypass" and isinstance(value, list):
        return {f"layer {name}{BYPASSED}": "kept in float" for name in value}
    if isinstance(value, Mapping) and f"{key}.{next(iter(value), '')}" in LABELS:
        return {LABELS.get(f"{key}.{name}", f"{key}: {name}"): _words(inner) for name, inner in value.items()}
    return {LABELS.get(key, key): _words(value) or "none"}


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ABSENT if value is None else str(value)


def _order(left: Run, right: Run) -> list[Change]:
    """Patterns of layers in another order: the later one wins where two meet a layer."""
    names = [list(recipes.read(run.recipe).get("layers") or {}) for run in (left, right)]
    return [Change("order of the layers' patterns", ", ".join(names[0]), ", ".join(names[1]))] if names[0] != names[1] else []
