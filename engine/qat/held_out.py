"""How good the network is on the samples held out of training."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from engine.data import Dataset
from engine.data.metrics import class_axis, looks_like_classes
from engine.graph.model import Model
from engine.qat.batches import Batch
from engine.qat.losses import Loss, Outputs


@dataclass(frozen=True)
class Held:
    """Loss (lower is better), and shares of right answers of the network and the float model (None where outputs are no classes)."""

    loss: float
    score: float | None
    float_score: float | None


def score_name(model: Model, data: Dataset) -> str | None:
    """`top1` with class labels, else `agreement` with the float model for class scores, else none."""
    if not looks_like_classes(model.outputs[0]):
        return None
    return "top1" if data.labels is not None and data.labels.dtype.kind in "biu" else "agreement"


class Judge:
    """Sums over the held-out batches."""

    def __init__(self, model: Model, data: Dataset, loss: Loss) -> None:
        self._loss, self._output = loss, model.outputs[0].name
        self._name = score_name(model, data)
        self._total, self._samples, self._right, self._float_right, self._counted = 0.0, 0, 0, 0, 0

    def add(self, outputs: Outputs, teacher: Outputs, batch: Batch) -> None:
        """One more batch."""
        n = len(batch.index)
        self._total, self._samples = self._total + float(self._loss(outputs, teacher, batch)) * n, self._samples + n
        if self._name is not None:
            self._count(outputs[self._output], teacher[self._output], batch.labels if self._name == "top1" else None)

    def _count(self, scores: Tensor, teacher: Tensor, labels: Tensor | None) -> None:
        axis = 1 if scores.dim() == 4 else scores.dim() - 1
        if labels is not None:
            axis = class_axis(np.empty(tuple(scores.shape), np.bool_), tuple(labels.shape), "labels")
        chosen, wanted = scores.argmax(axis), teacher.argmax(axis)
        target = wanted if labels is None else labels.to(chosen.device)
        use = target >= 0
        self._counted += int(use.sum())
        self._right += int(((chosen == target) & use).sum())
        self._float_right += int(((wanted == target) & use).sum())

    def found(self) -> Held:
        """The means."""
        if self._name is None or not self._counted:
            return Held(self._total / max(self._samples, 1), None, None)
        return Held(self._total / max(self._samples, 1), self._right / self._counted, self._float_right / self._counted)

