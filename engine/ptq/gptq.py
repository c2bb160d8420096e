"""GPTQ on the float target: every layer's weight rounded in one pass over the data, without iterations. The default repair.

Layer by layer in execution order, with what the layer reads in the quantized prefix: 1. its moments (`moments.py`); 2. the float
target with cross-validated damping (`float_target.py`, after GPTAQ, arXiv 2504.02692); 3. the range by output error
(`clip_search.py`); 4. rounding with compensation (`gptq_solver.py`, GPTQ, arXiv 2210.17323); 5. with enough images the bias takes
up the mean error.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import BadInput
from engine.progress import Progress
from engine.ptq.clip_search import search_clip
from engine.ptq.float_target import float_target, without_dead
from engine.ptq.gptq_solver import solve
from engine.ptq.moments import Moments, Problem, gather
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import LayerStep, LayerWalk
from engine.quant.encoding import Encoding
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

CENTRED_FROM = 128  # images: with fewer, the mean of an error is not known well enough to move a bias by it


@dataclass(frozen=True)
class Gptq:
    """Settings of `gptq`."""

    samples: int = setting(512, "Calibration samples that are used; more cost time in proportion and overfit less.", 1, 100_000)
    rows: int = setting(16_384, "Input positions (pixels, tokens) of one layer that are used; more cost time.", 64, 10_000_000)
    float_target: bool = setting(True, "Aim at the float output from what the layers before have left, not at the float weight.")
    clip_candidates: int = setting(20, "Ranges tried for each scale, as even shares of the full one; 1 keeps the full range.", 1, 200)
    damping: float = setting(0.01, "Added to the moments' diagonal, in units of its mean; higher means more caution.", 1e-6, 100.0)
    correct_bias: bool = setting(True, f"Let the bias take up the mean output error, from {CENTRED_FROM} samples on.")
    memory_mb: int = setting(512, "MiB for carried tensors, and as much for a layer's moments; beyond: files, slices.", 16, 1 << 20)
    seed: int = setting(0, "Draws the samples and positions.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("gptq", Gptq)
def gptq(sim: QuantSim, data: Samples | None, config: Gptq, progress: Progress) -> StepReport:
    """Rounds the weight of every Conv, ConvTranspose, Gemm and MatMul whose recipe asks for an integer type."""
    used = drawn("gptq", data, config.samples, config.seed)
    walk = LayerWalk(sim, used, repr(config), progress, config.memory_mb << 20, biases=config.correct_bias, title="GPTQ: ")
    changes = []
    for step in walk:
        facts = step.kept if step.kept is not None else _round(step, len(used), config)
        changes.append(described(step, facts))
    return StepReport("gptq", (f"{len(changes)} weights rounded on {len(used)} samples",), tuple(walk.skipped), layers=tuple(changes))


def _round(step: LayerStep, samples: int, config: Gptq) -> Mapping[str, float]:
    """One layer; returns what its report tells."""
    moments = gather(step, samples, config.rows, config.seed, config.memory_mb << 20)
    shifts = step.can_bias and samples >= CENTRED_FROM
    problem = moments.problem(centred=shifts)
    nearest = step.form.matrix(step.encoding.fake_quantize(step.weight)) - moments.weight
    before = sqnr_db(moments, problem, nearest, False)
    step.tell(0.85, f"{step.layer.name}: rounding")
    change, damping = float_target(moments, problem) if config.float_target else (torch.zeros_like(problem.g), None)
    target = moments.join(without_dead(moments.split(moments.weight) + change, problem))
    encoding = step.encoding if step.fixed else search_clip(
        step.form, step.form.weight(target), step.plan, problem.h, config.clip_candidates)
    rounded = rounded_matrix(step, moments, problem, target, encoding, config.damping)
    after = sqnr_db(moments, problem, rounded - moments.weight, shifts)
    bias = None
    if shifts:
        bias = torch.from_numpy(step.bias) + shift_of(moments, problem, rounded - moments.weight).double()
    facts = {"before": before, "after": after, "damping": -1.0 if damping is None else damping}
    weight = encoding.fake_quantize(step.form.weight(rounded))
    step.put(weight, encoding, bias, facts)
    step.tell(1.0, f"{step.layer.name}: {before:.1f} → {after:.1f} dB")
    return facts


def rounded_matrix(step: LayerStep, moments: Moments, problem: Problem, target: Tensor, encoding: Encoding, damping: float) -> Tensor:
    """The target on the encoding's grid by GPTQ, [groups, outputs, inputs]."""
    assert encoding.grid is not None
    scale, zero = (step.form.matrix(part.expand(step.weight.shape)) for part in encoding.expand(step.weight.shape))
    low, high = (moments.split((code - zero).float()) for code in (encoding.grid.qmin, encoding.grid.qmax))
    spread = moments.split(scale)
    spread = torch.where(spread > 0, spread, 1.0)  # what fills up a last slice
    return moments.join(solve(moments.split(target), problem.h, spread, low, high, damping))


def sqnr_db(moments: Moments, problem: Problem, change: Tensor, shifted: bool) -> float:
    """Of the layer's output, on the calibration rows."""
    return problem.sqnr_db(change, shifted) if moments.slices == 1 else float("nan")


def shift_of(moments: Moments, problem: Problem, change: Tensor) -> Tensor:
    """What the bias has to take up [channels]."""
    parts = torch.linalg.vecdot(moments.split(change), problem.mean_x[:, None])
    lost = parts.reshape(problem.mean_r.shape[0], moments.slices, -1).sum(1)
    return (problem.mean_r - lost).reshape(-1)


def drawn(name: str, data: Samples | None, samples: int, seed: int) -> Samples:
    """At most `samples` of the calibration data; raises `BadInput` where there are none."""
    if data is None or not len(data):
        raise BadInput(f"steps: {name} needs calibration data (--calibration, an .npz of the model's inputs); none were given")
    return data.subset(samples, seed) if hasattr(data, "subset") else data


def described(step: LayerStep, facts: Mapping[str, float]) -> LayerChange:
    """A layer's line in the report."""
    damping = facts.get("damping", -1.0)
    note = "aims at the float weight" if damping < 0 else f"aims at the float output, damping {damping:g}"
    before, after = (None if facts[key] != facts[key] else facts[key] for key in ("before", "after"))
    return LayerChange(step.layer.name, before, after, "dB", note)
