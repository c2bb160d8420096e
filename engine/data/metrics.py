"""Metrics: `f(outputs, target)` gives one score per sample or one number; higher is better.

`target` is the labels, or for metrics that compare with the float model its outputs on the same samples.
Dense outputs (sequences, segmentation) score the mean over positions; negative labels and positions that
the mask marks as padding do not count.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.data.dataset import Array, Dataset, InputInfo
from engine.data.load import call_user, import_function
from engine.errors import BadInput, nearest

Outputs = Array | Mapping[str, Array]
Function = Callable[..., Any]
MAX_DB = 200.0


@dataclass(frozen=True)
class Metric:
    """A registered or a user's metric. `per_sample` metrics may be computed batch by batch."""

    name: str
    function: Function
    against: Literal["labels", "float"] = "labels"
    per_sample: bool = True
    doc: str = ""
    builtin: bool = True

    def score(self, outputs: Outputs, target: Outputs | None, mask: Array | None = None) -> Array | float:
        """Scores of N samples as [N], or one number; `mask` [N, positions] is 0 where there is padding."""
        if target is None:
            wanted = "labels in the data" if self.against == "labels" else "the float model's outputs"
            raise BadInput(f"metric {self.name!r} needs {wanted}: add them or choose another metric")
        if not self.builtin:
            single = next(iter(outputs.values())) if isinstance(outputs, Mapping) and len(outputs) == 1 else outputs
            return self._checked(call_user(self.name, self.function, single, target), len(first(outputs)))
        return self._checked(self.function(first(outputs), first(target), mask), len(first(outputs)))

    def _checked(self, result: Any, n: int) -> Array | float:
        array = np.asarray(result)
        if array.dtype.kind not in "biuf" or array.ndim > 1 or (array.ndim == 1 and len(array) != n):
            raise BadInput(f"metric {self.name!r} returned {array.dtype} of shape {list(array.shape)}: "
                           f"expected one score for each of {n} samples, or a number")
        if not np.isfinite(array).all():
            raise BadInput(f"metric {self.name!r} returned NaN or an infinity: expected finite scores")
        return float(array) if array.ndim == 0 else array.astype(np.float64)


METRICS: dict[str, Metric] = {}


def metric(name: str, against: Literal["labels", "float"] = "labels",
           per_sample: bool = True) -> Callable[[Function], Function]:
    """Registers `f(outputs, target, mask)` under a name."""
    def register(function: Function) -> Function:
        METRICS[name] = Metric(name, function, against, per_sample, (function.__doc__ or "").strip())
        return function
    return register


def first(outputs: Outputs) -> Array:
    """The first output, where there are several by name."""
    return np.asarray(next(iter(outputs.values())) if isinstance(outputs, Mapping) else outputs)


def resolve_metric(spec: str | None, dataset: Dataset, outputs: Sequence[InputInfo] = (), *,
                   allow_code: bool = False) -> Metric:
    """The metric that `spec` names, or by default: `top1` with labels, else `agreement` for class scores, else
    `cosine`. Labels that are no class numbers get `neg_mse`."""
    if spec is None:
        if dataset.labels is not None:
            return METRICS["neg_mse" if dataset.labels.dtype.kind == "f" else "top1"]
        return METRICS["agreement" if outputs and looks_like_classes(outputs[0]) else "cosine"]
    if spec in METRICS:
        chosen = METRICS[spec]
    elif ":" in spec:
        if not allow_code:
            raise BadInput(f"metric {spec!r} names Python code, which runs only from the command line")
        chosen = Metric(spec, import_function(spec), "labels", False, builtin=False)
    else:
        raise BadInput(f"unknown metric {spec[:80]!r}: expected module:function or a name. {nearest(spec, METRICS)}")
    if chosen.builtin and chosen.against == "labels" and dataset.labels is None:
        raise BadInput(f"metric {spec!r} needs labels, {dataset.source or dataset.name} has none: add an array "
                       "'labels', or use agreement, cosine or sqnr")
    return chosen


def looks_like_classes(info: InputInfo) -> bool:
    """Whether an output is class scores, by its name, else by its shape [batch, 2 or more]."""
    name = info.name.lower()
    if any(word in name for word in ("embed", "hidden", "feature", "pool")):
        return False
    shape = tuple(info.shape or ())
    if len(shape) < 2 or shape[-1] == 1:
        return False
    return len(shape) == 2 or any(word in name for word in ("logit", "prob", "score", "class", "softmax"))


def class_axis(outputs: Array, positions: tuple[int, ...], name: str) -> int:
    """The axis of the classes: the last, or the second as in [N, C, H, W], so that the rest is `positions`."""
    if outputs.ndim == len(positions) + 1:
        for axis in (outputs.ndim - 1, 1):
            if outputs.shape[:axis] + outputs.shape[axis + 1:] == positions:
                if outputs.shape[axis] < 2:
                    raise BadInput(f"metric {name!r}: the output has one value per sample, which is no class score: "
                                   "give a metric of your own as module:function")
                return axis
    raise BadInput(f"metric {name!r}: outputs of shape {list(outputs.shape)} and labels of shape {list(positions)}: "
                   "expected labels without the class axis")


def counted(name: str, labels: Array, classes: int, mask: Array | None) -> Array:
    """Which positions count; raises `BadInput` for labels that are no classes."""
    if labels.dtype.kind not in "biu":
        raise BadInput(f"metric {name!r}: labels are {labels.dtype}: expected class numbers")
    if labels.size and int(labels.max()) >= classes:
        raise BadInput(f"metric {name!r}: a label is {int(labels.max())}, the model has {classes} classes (0 to "
                       f"{classes - 1})")
    use = labels >= 0
    if labels.ndim == 1 and not use.all():
        raise BadInput(f"metric {name!r}: a label is {int(labels.min())}: expected 0 to {classes - 1}")
    return use & mask.astype(bool) if mask is not None and mask.shape == use.shape else use


def mean_per_sample(hits: Array, use: Array) -> Array:
    """The share of hits among the positions that count, for each sample; 0 where none counts."""
    axes = tuple(range(1, hits.ndim))
    counts = use.sum(axis=axes)
    result: Array = (hits & use).sum(axis=axes) / np.maximum(counts, 1)
    return result
