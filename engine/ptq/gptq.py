"""GPTQ on the float target: every layer's weight rounded in one pass over the data, without iterations. The default repair.

Layer by layer in execution order, with what the layer reads in the quantized prefix: 1. its moments (`moments.py`); 2. the float
target with cross-validated damping (`float_target.py`, after GPTAQ, arXiv 2504.02692); 3. the range by output error
(`clip_search.py`); 4. rounding with compensation (`gptq_solver.py`, GPTQ, arXiv 2210.17323; `descent.py`); 5. the bias takes up
the mean error as far as held out samples confirm it.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import BadInput
from engine.progress import Progress
from engine.ptq.clip_search import search_clip
from engine.ptq.float_target import best_target, without_dead
from engine.ptq.gptq_layer import round_layer
from engine.ptq.moments import Moments, gather
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import LayerStep, LayerWalk
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

VERSION = 2  # raised when the numbers change


@dataclass(frozen=True)
class Gptq:
    """Settings of `gptq`."""

    samples: int = setting(512, "Calibration samples that are used; more cost time in proportion and overfit less.", 1, 100_000)
    rows: int = setting(32_768, "Input positions (pixels, tokens) of one layer that are used; more cost time.", 64, 10_000_000)
    float_target: bool = setting(True, "Aim at the float output from what the layers before have left, not at the float weight.")
    clip_candidates: int = setting(20, "Ranges tried for each scale, as even shares of the full one; 1 keeps the full range.", 1, 200)
    damping: float = setting(0.01, "Added to the moments' diagonal, in units of its mean; higher means more caution.", 1e-6, 100.0)
    correct_bias: bool = setting(True, "Let the bias take up the mean output error.")
    memory_mb: int = setting(512, "MiB for carried tensors, and as much for a layer's moments; beyond: files, slices.", 16, 1 << 20)
    seed: int = setting(0, "Draws the samples and positions.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("gptq", Gptq, version=VERSION)
def gptq(sim: QuantSim, data: Samples | None, config: Gptq, progress: Progress) -> StepReport:
    """Rounds the weight of every Conv, ConvTranspose, Gemm and MatMul whose recipe asks for an integer type."""
    used = drawn("gptq", data, config.samples, config.seed)
    walk = LayerWalk(sim, used, f"{VERSION} {config!r}", progress, config.memory_mb << 20, biases=config.correct_bias, title="GPTQ: ")
    changes = []
    for step in walk:
        facts = step.kept if step.kept is not None else _round(step, len(used), config)
        changes.append(described(step, facts))
    return StepReport("gptq", (f"{len(changes)} weights rounded on {len(used)} samples",), tuple(walk.skipped), layers=tuple(changes))


def _round(step: LayerStep, samples: int, config: Gptq) -> Mapping[str, float]:
    """One layer; returns what its report tells."""
    moments = gather(step, samples, config.rows, config.seed, config.memory_mb << 20)
    nearest = step.form.matrix(step.encoding.fake_quantize(step.weight)) - moments.weight
    before = sqnr_db(moments, nearest)
    step.tell(0.85, f"{step.layer.name}: rounding")
    aim = best_target(moments, step.can_bias, config.float_target)
    problem = moments.problem(centred=step.can_bias)
    target = moments.join(without_dead(moments.split(moments.weight) + aim.change, problem))
    search = not step.fixed and config.clip_candidates > 1
    begin = search_clip(step.form, step.form.weight(target), step.plan, problem.h, config.clip_candidates) if search else step.encoding
    rounded, encoding = round_layer(step, moments, problem, target, begin, config.damping, search)
    shift = None
    if step.can_bias:  # what rounding adds to the mean is known well from few samples; what the prefix does is in the target's shift
        missed = moments.split(rounded - moments.weight) - aim.change
        shift = aim.shift - moments.times_mean(missed)
    after = sqnr_db(moments, rounded - moments.weight, shift)
    facts = {"before": before, "after": after, "damping": -1.0 if aim.damping is None else aim.damping, "shifted": float(aim.shifted)}
    bias = None if shift is None else torch.from_numpy(step.bias) + shift.reshape(-1).double()
    step.put(encoding.fake_quantize(step.form.weight(rounded)), encoding, bias, facts)
    step.tell(1.0, f"{step.layer.name}: {before:.1f} → {after:.1f} dB" if after == after else f"{step.layer.name}: rounded in slices")
    return facts


def sqnr_db(moments: Moments, change: Tensor, shift: Tensor | None = None) -> float:
    """Of the layer's output under W + `change` and a bias moved by `shift`, on the calibration rows; NaN where inputs are sliced."""
    return moments.problem(centred=False).sqnr_db(change, shift) if moments.slices == 1 else float("nan")


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
    note += ", mean error left to the bias" if facts.get("shifted") else ""
    return LayerChange(step.layer.name, before, after, "dB", note)
