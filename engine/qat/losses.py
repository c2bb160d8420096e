"""The loss of a training step: the float model as the teacher, labels, and layers pulled to their float outputs."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.data import Dataset
from engine.data.metrics import class_axis, looks_like_classes
from engine.errors import BadInput, nearest
from engine.graph.model import Model
from engine.qat.batches import Batch
from engine.qat.config import Qat
from engine.sim.chain import Chain, batches
from engine.sim.interpreter import Interpreter
from engine.sim.quantization import FLOAT

MAX_KEPT = 256 << 20  # bytes of the float model's outputs on all training samples that are kept; more is computed for each batch
Outputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """`distillation` times the teacher's part, the rest for the labels, plus the pulled layers. Lower is better; a number per batch.

    Class scores: KL divergence from the teacher's probabilities at a temperature (Hinton et al., arXiv 1503.02531, times T squared)
    and cross-entropy. Other outputs: squared error over the teacher's power.
    """

    model: Model
    config: Qat
    matched: tuple[str, ...]

    @staticmethod
    def of(model: Model, data: Dataset, config: Qat) -> Loss:
        """Raises `BadInput` where labels are asked for and there are none, or `match` finds no layer."""
        if config.distillation < 1 and data.labels is None:
            raise BadInput(f"distillation is {config.distillation}, so that labels count, and {data.name} has none: "
                           "set distillation to 1, or add an array 'labels'")
        names = [layer.name for layer in model.layers if config.match and fnmatchcase(layer.name, config.match)]
        if config.match and not names:
            raise BadInput(f"match: no layer is called {config.match!r}. {nearest(config.match, [la.name for la in model.layers])}")
        return Loss(model, config, tuple(model.layer(name).output for name in names))

    def __call__(self, outputs: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        share = self.config.distillation
        total = torch.zeros(())
        for info in self.model.outputs:
            if share and info.is_float:
                total = total + share * self._follow(outputs[info.name], teacher[info.name], looks_like_classes(info))
        if share < 1 and batch.labels is not None:
            total = total + (1 - share) * _labels(outputs[self.model.outputs[0].name], batch.labels)
        for name in self.matched:
            total = total + self.config.match_weight / len(self.matched) * _error(outputs[name], teacher[name])
        return total

    def _follow(self, student: Tensor, teacher: Tensor, classes: bool) -> Tensor:
        if not classes:
            return _error(student, teacher)
        axis = 1 if student.dim() == 4 else -1
        heat = self.config.temperature
        target, got = (functional.log_softmax(x.float() / heat, axis) for x in (teacher, student))
        return functional.kl_div(got, target, reduction="none", log_target=True).sum(axis).mean() * heat**2


def _error(student: Tensor, teacher: Tensor) -> Tensor:
    return functional.mse_loss(student, teacher) / teacher.square().mean().clamp(min=1e-12)


def _labels(scores: Tensor, labels: Tensor) -> Tensor:
    if labels.is_floating_point():
        return functional.mse_loss(scores.reshape(labels.shape), labels.to(scores.dtype))
    axis = class_axis(np.empty(tuple(scores.shape), np.bool_), tuple(labels.shape), "labels")
    return functional.cross_entropy(scores.movedim(axis, 1), labels.long().clamp(min=-1), ignore_index=-1)


class Teacher:
    """The float model's outputs for a batch: kept for all samples where nothing changes them, else computed."""

    def __init__(self, model: Model, data: Dataset, config: Qat, watch: Sequence[str], device: torch.device) -> None:
        self._names = tuple(dict.fromkeys((*(o.name for o in model.outputs), *watch)))
        self._kept: dict[str, np.ndarray] = {}
        self._interpreter: Interpreter | None = None
        self._device = device
        bytes_kept = 4 * len(data) * sum(int(np.prod(model.shapes.get(name, (1,)))) for name in self._names)
        if config.augment == "none" and bytes_kept <= MAX_KEPT and all(np.prod(model.shapes.get(n, (1,))) for n in self._names):
            self._keep(model, data)
        else:
            self._interpreter = Interpreter(model.ir, device=device)

    def _keep(self, model: Model, data: Dataset) -> None:
        chain, parts = Chain(model), dict[str, list[np.ndarray]]()
        for start, stop in batches(len(data), 16):
            for name, array in chain.run(FLOAT, data.batch(start, stop), self._names).items():
                parts.setdefault(name, []).append(array)
        self._kept = {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """Without gradients, on the training device."""
        if self._interpreter is None:
            index = batch.index.numpy()
            return {name: torch.from_numpy(self._kept[name][index]).to(self._device) for name in self._names}
        with torch.no_grad():
            return self._interpreter.run(batch.inputs, self._names)
