"""Bias correction: what quantization does to the mean of a layer's output is taken off its bias (Nagel et al., arXiv 1906.04721).

Empirical form, layer by layer in execution order: `b += E[W x] - E[W~ x~]` per output channel, with x from the float graph, x~ from
the prefix that is quantized and already corrected, W~ the rounded weight. Expectations are over samples and positions.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.progress import Progress
from engine.ptq.gptq import drawn
from engine.ptq.moments import positions_of
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import LayerStep, LayerWalk
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim


@dataclass(frozen=True)
class BiasCorrection:
    """Settings of `bias_correction`."""

    samples: int = setting(512, "Calibration samples that are used; more cost time in proportion.", 1, 100_000)
    rows: int = setting(65_536, "Output positions (pixels, tokens) of one layer that are used; more cost time.", 64, 10_000_000)
    memory_mb: int = setting(512, "MiB for carried tensors; beyond, files are used.", 16, 1 << 20)
    seed: int = setting(0, "Draws the samples and positions.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("bias_correction", BiasCorrection)
def bias_correction(sim: QuantSim, data: Samples | None, config: BiasCorrection, progress: Progress) -> StepReport:
    """Corrects the bias of every layer with an integer weight; one without gets it, but for a MatMul that no Add follows."""
    used = drawn("bias_correction", data, config.samples, config.seed)
    rounded = sorted(set(sim.pinned) & set(sim.plan.weights))
    walk = LayerWalk(sim, used, repr(config), progress, config.memory_mb << 20, title="Bias correction: ")
    changes, without = [], []
    for step in walk:
        if not step.can_bias:
            without.append(step.layer.name)
            continue
        facts = step.kept if step.kept is not None else _correct(step, len(used), config)
        changes.append(LayerChange(step.layer.name, facts["before"], facts["after"], note=f"bias moved by {facts['moved']:.3g} (r.m.s.)"))
    warnings = list(walk.skipped)
    if without:
        warnings.append(f"{len(without)} layers have no bias to correct (first: {without[0]})")
    if rounded:
        warnings.append("weights were rounded by an earlier step: means are corrected to those of the graph that it left, "
                        "so put bias_correction before a step that rounds (gptq corrects biases itself)")
    done = f"{len(changes)} biases corrected on {len(used)} samples"
    return StepReport("bias_correction", (done,), tuple(warnings), layers=tuple(changes))


def _correct(step: LayerStep, samples: int, config: BiasCorrection) -> Mapping[str, float]:
    """One layer: the mean of `y - W~ x~` per output is what its bias has to move by."""
    form = step.form
    weight = form.matrix(step.encoding.fake_quantize(step.weight)).transpose(1, 2)
    inside = form.bias(torch.from_numpy(step.bias).float()) if step.inside else torch.zeros(1, 1)
    total, squares, power = (torch.zeros(form.groups, form.outputs, dtype=torch.float64) for _ in range(3))
    rows = 0
    for batch in step.batches():
        x, y = form.rows(batch.x, batch.y_float, positions_of(step, batch, samples, config.rows, config.seed), batch.real)
        missing = y - inside[:, None] - torch.bmm(x, weight)
        rows += x.shape[1]
        for sums, values in ((total, missing), (squares, missing.square()), (power, y.square())):
            sums += values.sum(1, dtype=torch.float64)
    shift = total / max(rows, 1)
    shift = shift.sum(0, keepdim=True) / form.groups if len(step.bias) < shift.numel() else shift
    after = squares - (2 * total * shift - rows * shift**2)
    facts = {"before": _decibels(power, squares), "after": _decibels(power, after), "moved": float(shift.square().mean().sqrt())}
    step.put(bias=torch.from_numpy(step.bias) + shift.reshape(-1), facts=facts)
    return facts


def _decibels(signal: Tensor, noise: Tensor) -> float:
    return 10 * math.log10(max(float(signal.sum()), 1e-30) / max(float(noise.sum()), 1e-10 * float(signal.sum()), 1e-30))
