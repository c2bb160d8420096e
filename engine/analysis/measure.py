"""Float against quantized on the same samples: the numbers of a report, measured."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.analysis.runner import Outputs, Runner
from engine.data import Dataset
from engine.data.builtin_metrics import agreement, decibels
from engine.data.metrics import Metric, looks_like_classes
from engine.data.statistics import Drop, Interval, interval, paired_drop
from engine.errors import BadInput
from engine.progress import Making, Progress, part, silent
from engine.sim.kept_run import KeptRun
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT, Quantization

STAGES = (256, 512, 1024)
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Measurement:
    """What was measured on the first `samples` of the evaluation data (in a fixed random order).

    `sqnr_db` is pooled over all values of the first output, `agreement` the share of samples (positions)
    whose arg-max is the float model's (None where outputs are no class scores). Higher is better for both;
    `drop` is float minus quantized.
    """

    samples: int
    fp32: Interval
    quantized: Interval
    drop: Drop
    sqnr_db: float
    sqnr_db_by_output: Mapping[str, float] = field(default_factory=dict)
    agreement: float | None = None


class Comparison:
    """The float model's outputs on an evaluation set, against which quantized outputs are measured.

    `runner` runs the float model as it came; the quantized graph may have had steps applied and has a runner
    of its own.
    """

    def __init__(self, runner: Runner, data: Dataset, metric: Metric) -> None:
        self.runner, self.data, self.metric = runner, data, metric
        self.reference: Outputs | None = None
        self._making = Making()
        mask = Padding.of(runner.chain.model).mask
        self._mask = None if mask is None else np.asarray(data.batch(0, len(data))[mask])

    def float_outputs(self, progress: Progress = silent) -> Outputs:
        """Outputs of the float model on all samples, run once."""
        if self.reference is None:
            with self._making.of("float", "Waits for the float model that runs"):
                reference = self.runner.run(FLOAT, self.data, 0, len(self.data), _named(progress, "Float model: "))
            first = reference[self.runner.chain.output_names[0]]
            if first.dtype.kind == "f" and not np.isfinite(first).all():
                bad = int(np.flatnonzero(~np.isfinite(first.reshape(len(first), -1)).all(1))[0])
                raise BadInput(f"the float model's output is NaN or infinite (first at evaluation sample {bad}); "
                               "check the data's scaling and the model")
            self.reference = reference
        return self.reference

    def float_score(self, progress: Progress = silent) -> Interval:
        """The float model's score with its interval."""
        outputs = self.float_outputs(progress)
        return interval(self._score(outputs, outputs, len(self.data)))

    def measure(self, runner: Runner, quantization: Quantization, progress: Progress = silent,
                partial: Callable[[Measurement], None] | None = None, kept: KeptRun | None = None) -> tuple[Measurement, Outputs]:
        """Runs the quantized graph on all samples; `partial` is given the numbers of the first 256, 512, … and all, as they come.

        With `kept` each batch starts at the latest cut that is kept for it.
        """
        begin = 0.4 if self.reference is None else 0.0
        reference = self.float_outputs(part(progress, 0.0, begin))
        stages = [n for n in STAGES if n < len(self.data)] + [len(self.data)]
        parts: list[Outputs] = []
        done = 0
        for stage in stages:
            share = part(progress, begin + (1 - begin) * done / len(self.data), begin + (1 - begin) * stage / len(self.data))
            parts.append(runner.run(quantization, self.data, done, stage, _named(share, "Quantized: "), kept=kept))
            done = stage
            outputs = _joined(parts)
            found = self.compare(reference, outputs, stage)
            if partial is not None:
                partial(found)
        return found, outputs

    def compare(self, reference: Outputs, outputs: Outputs, count: int) -> Measurement:
        """The numbers on the first `count` samples."""
        before = {name: array[:count] for name, array in reference.items()}
        float_scores, scores = self._score(before, before, count), self._score(outputs, before, count)
        names = self.runner.chain.output_names
        sqnr = {name: self._sqnr(before[name], outputs[name], count) for name in names if before[name].dtype.kind == "f"}
        return Measurement(count, interval(float_scores), interval(scores), paired_drop(float_scores, scores),
                           sqnr.get(names[0], 0.0), sqnr if len(names) > 1 else {}, self._agreement(before, outputs, count))

    @property
    def decides(self) -> bool:
        """Whether the first output is class scores, by its name, else by its shape."""
        return looks_like_classes(self.runner.chain.model.outputs[0])

    def scores(self, outputs: Outputs) -> Array | float:
        """The metric of outputs of all samples: one score each, [N], or one number."""
        return self._score(outputs, self.float_outputs(), len(self.data))

    def _score(self, outputs: Outputs, reference: Outputs, count: int) -> Array | float:
        labels = self.data.labels
        target = reference if self.metric.against == "float" else None if labels is None else labels[:count]
        ordered = {name: outputs[name] for name in self.runner.chain.output_names}
        mask = None if self._mask is None else self._mask[:count]
        return self.metric.score(ordered if len(ordered) > 1 else next(iter(ordered.values())), target, mask)

    def _sqnr(self, before: Array, after: Array, count: int) -> float:
        real = self._real(before, count)
        a, b = before[real].astype(np.float64), after[real].astype(np.float64)
        return decibels(float((a**2).sum()), float(((a - b) ** 2).sum()))

    def _real(self, array: Array, count: int) -> Any:
        """Which positions of an output count: all, or those that the mask does not call padding."""
        if self._mask is None or array.shape[:2] != self._mask[:count].shape:
            return slice(None)
        return self._mask[:count].astype(bool)

    def _agreement(self, before: Outputs, after: Outputs, count: int) -> float | None:
        name = self.runner.chain.output_names[0]
        axis = 1 if before[name].ndim == 4 else -1
        if before[name].ndim < 2 or before[name].shape[axis] < 2:
            return None
        mask = None if self._mask is None else self._mask[:count]
        return float(np.mean(agreement(after[name], before[name], mask)))


def _joined(parts: list[Outputs]) -> Outputs:
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _named(progress: Progress, prefix: str) -> Progress:
    return lambda fraction, message: progress(fraction, prefix + message)
