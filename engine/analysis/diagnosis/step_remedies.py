"""Ideas for remedies that are steps: they act on the whole network, so a layer alone cannot show what they are worth."""
from __future__ import annotations

from collections.abc import Iterator

from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.kinds import Remedy
from engine.analysis.diagnosis.operands import Operand
from engine.analysis.diagnosis.remedies import idea
from engine.recipe.parts import DEFAULT_STEPS

ROUNDERS = {"gptq", "adaround", "qat", "auto"}  # steps that round weights already


@idea("equalize")
def _equalize(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Rescale neighbouring layers so that their channels have like ranges."""
    if facts.layer.op_type in ("Conv", "ConvTranspose", "Gemm"):
        yield from _step(facts, "cle", "Equalize channels", "rescales neighbouring layers so that their channels have like ranges, with "
                         "the float function unchanged")


@idea("smooth")
def _smooth(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Move the outliers of an activation into the weights that read it."""
    if operand.kind == "activation" and facts.layer.op_type in ("Gemm", "MatMul"):
        yield from _step(facts, "smooth_quant", "Smooth activations", "moves the outliers of activations into the weights that read them, "
                         "with the float function unchanged")


@idea("absorb")
def _absorb(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Move the constant part of a wide activation into the next bias; equalizing makes such parts."""
    if operand.kind == "activation" and facts.layer.op_type in ("Conv", "ConvTranspose") and "cle" in _steps(facts):
        yield from _step(facts, "absorb_bias", "Absorb high biases", "moves the constant part of wide activations into the next layer's "
                         "bias")


@idea("search_grid")
def _search_grid(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Ranges of weights by what they do to the layers' outputs."""
    if operand.kind == "weight" and not _steps(facts) & ROUNDERS:
        yield from _step(facts, "seq_mse", "Search weight ranges", "tries narrower ranges for each weight and keeps what disturbs its "
                         "layer's output least")


@idea("round_well")
def _round_well(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Round weights so that the errors cancel at the output."""
    if operand.kind == "weight" and not _steps(facts) & ROUNDERS:
        yield from _step(facts, "gptq", "Round weights in one pass", "rounds each weight so that the errors make up for each other at its "
                         "layer's output")


def _step(facts: LayerFacts, name: str, title: str, does: str) -> Iterator[Remedy]:
    """A step line, where the recipe does not have it; what it is worth shows when the whole network has run with it."""
    if not _steps(facts) & {name, "auto"}:
        words = f"Adds the step `{name}`, which {does}. It acts on the whole network and costs no bits; Repair measures what it gives."
        yield Remedy(title, words, {"steps": [name]})


def _steps(facts: LayerFacts) -> set[str]:
    """The names of the recipe's steps."""
    steps = facts.sim.recipe.steps
    return {step.name for step in (DEFAULT_STEPS if steps is None else steps)}
