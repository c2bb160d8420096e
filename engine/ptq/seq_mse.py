"""SeqMSE: the range of each weight by what it does to the layer's output, layer by layer in execution order.

The search of Gluska and Grobman (arXiv 2006.10518, the sequential grid search of AIMET's SeqMSE) in Gram form: with H the second
moments of the layer's input in the prefix whose ranges are already set, a candidate costs `(w - wq)' H (w - wq)` per output, and no
further pass over the data. Candidates are even shares of the full range. Weights stay as they are; their grids are pinned.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.progress import Progress
from engine.ptq.clip_search import search_clip
from engine.ptq.gptq import drawn, sqnr_db
from engine.ptq.moments import gather
from engine.ptq.technique import LayerChange, StepReport, check_settings, setting, technique
from engine.ptq.walk import LayerStep, LayerWalk
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim


@dataclass(frozen=True)
class SeqMse:
    """Settings of `seq_mse`."""

    candidates: int = setting(20, "Ranges tried for each scale, as even shares of the full one; more cost time.", 2, 200)
    samples: int = setting(256, "Calibration samples that are used; more cost time in proportion.", 1, 100_000)
    rows: int = setting(32_768, "Input positions (pixels, tokens) of one layer that are used; more cost time.", 64, 10_000_000)
    memory_mb: int = setting(512, "MiB for carried tensors, and as much for a layer's moments; beyond: files, slices.", 16, 1 << 20)
    seed: int = setting(0, "Draws the samples and positions.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)


@technique("seq_mse", SeqMse)
def seq_mse(sim: QuantSim, data: Samples | None, config: SeqMse, progress: Progress) -> StepReport:
    """Pins the grid of every integer weight of a Conv, ConvTranspose, Gemm and MatMul; weights and all else stay."""
    used = drawn("seq_mse", data, config.samples, config.seed)
    walk = LayerWalk(sim, used, repr(config), progress, config.memory_mb << 20, biases=False, title="SeqMSE: ")
    changes = []
    for step in walk:
        if step.fixed:
            changes.append(LayerChange(step.layer.name, note="its encoding is fixed from outside"))
            continue
        facts = step.kept if step.kept is not None else _search(step, len(used), config)
        changes.append(LayerChange(step.layer.name, _known(facts["before"]), _known(facts["after"]), note=f"range x {facts['share']:.2f}"))
    return StepReport("seq_mse", (f"ranges of {len(changes)} weights searched on {len(used)} samples",), tuple(walk.skipped),
                      layers=tuple(changes))


def _search(step: LayerStep, samples: int, config: SeqMse) -> Mapping[str, float]:
    moments = gather(step, samples, config.rows, config.seed, config.memory_mb << 20)
    problem = moments.problem(centred=False)
    found = search_clip(step.form, step.weight, step.plan, problem.h, config.candidates)
    changes = [step.form.matrix(one.fake_quantize(step.weight)) - moments.weight for one in (step.encoding, found)]
    before, after = (sqnr_db(moments, change) for change in changes)
    assert found.scale is not None and step.encoding.scale is not None
    facts = {"before": before, "after": after, "share": float((found.scale / step.encoding.scale).mean())}
    step.put(encoding=found, facts=facts)
    step.tell(1.0, f"{step.layer.name}: {before:.1f} → {after:.1f} dB")
    return facts


def _known(value: float) -> float | None:
    return None if value != value else value
