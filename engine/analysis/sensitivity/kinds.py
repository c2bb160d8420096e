"""The words of sensitivity: modes, what is quantized, which items, and what each score means."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from engine.data.builtin_metrics import kl_divergence
from engine.errors import BadInput, nearest
from engine.quant.precision import Precision

Mode = Literal["one-on", "one-off", "cumulative", "estimate", "data-free"]
What = Literal["weights", "activations", "both"]
ItemKind = Literal["layers", "ops", "groups", "blocks"]
FLOOR = 1e-12  # of a probability
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Item:
    """What is switched on (or off) together: initializers and activation tensors; `layers` are those it belongs to."""

    name: str
    layers: tuple[str, ...]
    constants: tuple[str, ...]
    activations: tuple[str, ...]
    output: str | None = None


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep. Two equal questions on equal inputs have equal answers."""

    precisions: tuple[Precision, ...]
    mode: Mode = "one-on"
    what: What = "both"
    items: ItemKind = "layers"
    samples: int = 128
    seed: int = 0
    probes: int = 1

    def __post_init__(self) -> None:
        for value, known in ((self.mode, Mode), (self.what, What), (self.items, ItemKind)):
            if value not in get_args(known):
                raise BadInput(f"sensitivity: {value!r} is not known. {nearest(str(value), get_args(known))}")
        if not self.precisions:
            raise BadInput("sensitivity: no precision was given; expected some, such as w8a8,w4a8")
        if self.samples < 1:
            raise BadInput(f"sensitivity: {self.samples} samples; expected at least 1")


@dataclass(frozen=True)
class ScoreKind:
    """A score of one item at one precision, computed per sample from float and quantized outputs.

    `pool` says how per-sample parts become the value: `mean`, or `sqnr` (ratio of sums of the two parts).
    """

    name: str
    unit: str
    higher_is_better: bool
    doc: str
    parts: Callable[[Array, Array], Array] = field(repr=False)
    pool: Literal["mean", "sqnr"] = "mean"


def _rows(a: Array) -> Array:
    return a.reshape(len(a), -1).astype(np.float64)


def _kl(reference: Array, outputs: Array) -> Array:
    """KL where the output is class scores, else half the squared error (F = I): what adds over layers."""
    if class_axis(reference) is not None:
        return kl_divergence(*logits(reference, outputs))
    return 0.5 * ((_rows(reference) - _rows(outputs)) ** 2).sum(1)


def class_axis(reference: Array) -> int | None:
    """The axis of the class scores; None where the output is none."""
    axis = 1 if reference.ndim == 4 else -1
    return axis if reference.ndim in (2, 3, 4) and reference.shape[axis] > 1 else None


def logits(reference: Array, outputs: Array) -> tuple[Array, Array]:
    """Both as logits. The float output says whether they are probabilities: quantized ones need not sum to one any more."""
    axis = 1 if reference.ndim == 4 else -1
    if reference.min(initial=0.0) < 0 or not np.allclose(reference.sum(axis), 1.0, atol=1e-3):
        return reference, outputs
    return np.log(np.maximum(reference, FLOOR)), np.log(np.maximum(outputs, FLOOR))


def _noise(reference: Array, outputs: Array) -> Array:
    a, b = _rows(reference), _rows(outputs)
    return np.stack([(a**2).sum(1), ((a - b) ** 2).sum(1)], 1)


def _cosine(reference: Array, outputs: Array) -> Array:
    a, b = _rows(reference), _rows(outputs)
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(scale > 0, (a * b).sum(1) / np.where(scale > 0, scale, 1), (a == b).all(1))


def _agreement(reference: Array, outputs: Array) -> Array:
    axis = 1 if reference.ndim == 4 else -1
    same = np.argmax(reference, axis) == np.argmax(outputs, axis)
    return same.reshape(len(same), -1).mean(1).astype(np.float64)


SCORES: dict[str, ScoreKind] = {s.name: s for s in (
    ScoreKind("kl", "nats per sample", False, "KL divergence of the output from the float model's: the score that adds over layers", _kl),
    ScoreKind("sqnr_db", "dB", True, "signal to quantization noise at the output, pooled over samples", _noise, "sqnr"),
    ScoreKind("mse", "output units squared", False, "mean squared error of the output", lambda a, b: ((_rows(a) - _rows(b)) ** 2).mean(1)),
    ScoreKind("cosine", "cosine", True, "cosine between the output and the float model's", _cosine),
    ScoreKind("agreement", "share of samples", True, "share of samples with the float model's class", _agreement),
)}
"""Task metrics join these as `metric`: their parts need labels, see `sweep.py`."""
