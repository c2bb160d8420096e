"""AdaRound: whether each weight is rounded up or down is learned, layer by layer (Nagel et al., arXiv 2004.10568).

For each layer in execution order: its inputs come from the already quantized prefix, its outputs from the float model, and the
roundings are learned so that the two meet (`rounding`, `adaround_fit`). Two forms of the loss (`adaround_loss`): `faithful` is the
paper's, batches of samples behind the following activation; `gram` needs no samples in its steps and is the fast one. Ranges
stay as they are: what `seq_mse` or a range method found before is kept.
"""
from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from engine.errors import BadInput, nearest
from engine.progress import Progress, silent, tell
from engine.ptq.activations import following_activation
from engine.ptq.adaround_fit import Objective, Schedule, chosen, fit
from engine.ptq.adaround_loss import GramError, OutputError
from engine.ptq.float_target import float_target
from engine.ptq.gptq import drawn
from engine.ptq.moments import gather, positions_of
from engine.ptq.rounding import SoftRounding
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import LayerStep, LayerWalk
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

Facts = Mapping[str, float]
Shape = Callable[[Tensor], Tensor]
Posed = tuple[SoftRounding, Objective, float, Shape]
PAUSE = 0.25  # seconds between two looks at the loss


@dataclass(frozen=True)
class AdaRound:
    """Options of the step `adaround`."""

    mode: str = setting("gram", "gram learns from second moments and is fast; faithful is the paper's, on samples behind the activation.",
                        choices=("gram", "faithful"))
    iterations: int = setting(1000, "Optimizer steps per layer; the paper takes 10,000. More are slower and rarely worse.", 1, 100_000)
    samples: int = setting(512, "Calibration samples that are used; more overfit less.", 1, 100_000)
    rows: int = setting(16_384, "Input positions (pixels, tokens) of one layer that gram mode uses; more cost time.", 64, 10_000_000)
    batch: int = setting(32, "Samples per optimizer step in faithful mode.", 1, 4096)
    learning_rate: float = setting(0.02, "Adam's step; the paper takes 0.001, but fewer iterations need larger ones.", 1e-6, 1.0)
    warm_start: float = setting(0.2, "Share of the iterations at the beginning without the rounding term.", 0.0, 0.9)
    regularization: float = setting(0.01, "Weight of the term that pushes every weight to one of its two grid points.", 0.0, 100.0)
    beta_start: float = setting(20.0, "Exponent of that term at first; high values leave undecided weights alone.", 2.0, 100.0)
    beta_end: float = setting(2.0, "The same at the end.", 1.0, 100.0)
    match: str = setting("", "Layers that are rounded, as globs with commas between; empty for all.")
    memory_mb: int = setting(512, "MiB for carried tensors, and as much for one layer; beyond: files, fewer positions.", 16, 1 << 20)
    seed: int = setting(0, "Draws the samples, positions and batches.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def schedule(self) -> Schedule:
        return Schedule(self.iterations, self.learning_rate, self.warm_start, self.regularization, self.beta_start, self.beta_end)


@technique("adaround", AdaRound, "precision")
def adaround(sim: QuantSim, data: Samples | None, config: AdaRound, progress: Progress = silent) -> StepReport:
    """Learns the roundings of the integer weights of Conv, ConvTranspose, Gemm and MatMul; the grids stay.

    Raises:
        BadInput: `match` meets no layer.
    """
    used = drawn("adaround", data, config.samples, config.seed)
    walk = LayerWalk(sim, used, repr(config), progress, config.memory_mb << 20, biases=False, title="AdaRound: ")
    rows, globs = [], [g.strip() for g in config.match.split(",") if g.strip()]
    if globs and not any(fnmatchcase(x.name, g) for x in walk.layers for g in globs):
        raise BadInput(f"adaround: no layer that can be rounded is met by match {config.match[:80]!r}. "
                       f"{nearest(globs[0], [x.name for x in walk.layers])}")
    for step in walk:
        if globs and not any(fnmatchcase(step.layer.name, g) for g in globs):
            continue  # it stays at the nearest rounding
        facts = step.kept if step.kept is not None else _layer(step, len(used), config, progress)
        rows.append(LayerChange(step.layer.name, facts["before"], facts["after"]))
    done = f"{len(rows)} weights rounded on {len(used)} samples, {config.iterations} iterations each ({config.mode})"
    return StepReport("adaround", (done,), tuple(walk.skipped), layers=tuple(rows))


def _layer(step: LayerStep, samples: int, config: AdaRound, progress: Progress) -> Facts:
    """Learns one layer and puts it; gives the SQNR of its output on calibration rows, nearest rounding against learned."""
    rounding, objective, signal, join = _OBJECTIVES[config.mode](step, samples, config)
    fit(rounding, objective, config.schedule, _watch(step, config, progress))
    codes, before, after = chosen(rounding, objective)
    facts = {"before": _decibels(signal, before), "after": _decibels(signal, after)}
    step.put(step.encoding.fake_quantize(step.form.weight(join(codes * rounding.scale))), step.encoding, facts=facts)
    return facts


def _rounding(step: LayerStep, split: Shape) -> SoftRounding:
    """The layer's roundings on the grid that the simulation has for it, as a matrix."""
    encoding, shape = step.encoding, step.weight.shape
    assert encoding.grid is not None
    scale, zero = (split(step.form.matrix(part.expand(shape))) for part in encoding.expand(shape))
    scale = torch.where(scale > 0, scale, 1.0)  # what fills up a last slice
    return SoftRounding(split(step.form.matrix(step.weight)), scale, encoding.grid.qmin - zero, encoding.grid.qmax - zero)


def _gram(step: LayerStep, samples: int, config: AdaRound) -> Posed:
    """The layer's problem in second moments: (roundings, loss, power of the output, way back to the layer's matrix)."""
    moments = gather(step, samples, config.rows, config.seed, config.memory_mb << 20)
    problem = moments.problem(centred=False)
    rounding, weight = _rounding(step, moments.split), moments.split(moments.weight)
    target = weight if moments.slices > 1 else weight + float_target(moments, problem)[0]
    loss = GramError(problem, weight, target, rounding.to_nearest() * rounding.scale)
    return rounding, loss, float(problem.power.sum()), moments.join


def _faithful(step: LayerStep, samples: int, config: AdaRound) -> Posed:
    """The same on samples, behind the activation."""
    inputs, outputs = _rows(step, samples, config)
    bias = step.form.bias(torch.from_numpy(step.bias).float())
    outputs = outputs if step.inside else outputs + bias[:, None]
    loss = OutputError(inputs, outputs, bias, following_activation(step.node), samples, config.batch, _seed(step, config))
    power = float(loss.targets.square().sum(dtype=torch.float64)) / loss.targets.shape[1]
    return _rounding(step, _same), loss, power, _same


_OBJECTIVES: dict[str, Callable[[LayerStep, int, AdaRound], Posed]] = {"gram": _gram, "faithful": _faithful}


def _rows(step: LayerStep, samples: int, config: AdaRound) -> tuple[Tensor, Tensor]:
    """Input and float output rows of all samples; where they exceed the memory, as many positions of each sample as have room."""
    form, inputs, outputs = step.form, list[Tensor](), list[Tensor]()
    room = (config.memory_mb << 20) // (4 * form.groups * (form.inputs + form.outputs))
    for batch in step.batches():
        x, y = form.rows(batch.x, batch.y_float, positions_of(step, batch, samples, room, config.seed), batch.real)
        inputs.append(x.clone())
        outputs.append(y.clone())
    return torch.cat(inputs, 1), torch.cat(outputs, 1)


def _watch(step: LayerStep, config: AdaRound, progress: Progress) -> Callable[[int, float], None]:
    """Tells the loss a few times a second, and whether to stop."""
    last = time.monotonic()

    def watch(iteration: int, loss: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PAUSE:
            return
        last = now
        step.tell(0.8 + 0.2 * iteration / config.iterations, f"{step.layer.name}, iteration {iteration}, loss {loss:.3g}")
        tell(progress, {"layer": step.layer.name, "index": step.index + 1, "count": step.count, "iteration": iteration,
                        "iterations": config.iterations, "loss": loss, "unit": "squared output error"})
    return watch


def _seed(step: LayerStep, config: AdaRound) -> int:
    """Of a layer by itself: a run that goes on behind it draws the same."""
    return config.seed ^ zlib.crc32(step.layer.name.encode())


def _same(matrix: Tensor) -> Tensor:
    return matrix


def _decibels(signal: float, noise: float) -> float:
    return 10 * math.log10(max(signal, 1e-30) / max(noise, 1e-30))
