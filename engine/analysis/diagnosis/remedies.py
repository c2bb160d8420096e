"""Ideas for remedies: each a change of the recipe, to be tried on the layer before it is offered."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.kinds import Remedy
from engine.analysis.diagnosis.operands import Operand
from engine.quant.granularity import PerBlock, PerChannel
from engine.quant.precision import Int, Precision
from engine.quant.ranges import method_name

WIDTHS = (4, 6, 8, 16)
BLOCKS = (64, 32)  # 32-bit scales for each 16 values would cost two bits a weight
Idea = Callable[[LayerFacts, Operand], Iterable[Remedy]]
IDEAS: dict[str, Idea] = {}


def ideas(facts: LayerFacts, operand: Operand, *names: str) -> tuple[Remedy, ...]:
    """The remedies of these names that can apply to an operand."""
    return tuple(remedy for name in names for remedy in IDEAS[name](facts, operand))


def idea(name: str) -> Callable[[Idea], Idea]:
    """Registers an idea."""
    def add(made: Idea) -> Idea:
        IDEAS[name] = made
        return made
    return add


@idea("more_bits")
def _more_bits(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """The next legal width of the operand at fault."""
    if operand.kind == "activation":
        bits = next((w for w in WIDTHS if w >= 2 * operand.bits), None)
        if bits is not None:
            words = f"Gives the activation {operand.quantizer} {bits} bits instead of {operand.bits}; its other readers get them too."
            yield Remedy(f"{bits} bits for {operand.quantizer}", words, {"tensors": {operand.quantizer: {"type": f"a{bits}"}}}, None, True)
        return
    better = next_precision(facts, operand.bits)
    if better is not None:
        yield Remedy(f"{better} for this layer", f"Gives the layer {better} instead of {facts.sim.plan.layer(facts.layer.name).precision}.",
                     {"layers": {facts.layer.name: str(better)}}, None, True)


def next_precision(facts: LayerFacts, bits: int) -> Precision | None:
    """The precision with the fewest weight bits above `bits` that the target runs, activations as they are."""
    now = facts.sim.plan.layer(facts.layer.name).precision
    widths = {*WIDTHS, *(p.weights.bits for p in facts.sim.recipe.candidates if isinstance(p.weights, Int))}
    for width in sorted(w for w in widths if w > bits):
        found = Precision(Int(width), now.activations)
        if not facts.sim.target.why_illegal(found, facts.layer.op_type, facts.layer.kind):
            return found
    return None


@idea("search_range")
def _search_range(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """The range of least squared error instead of the present method's."""
    plans: Any = facts.sim.plan.activations if operand.kind == "activation" else facts.sim.plan.weights
    plan = plans.get(operand.quantizer)
    if plan is None or method_name(plan.method) == "mse":
        return
    yield Remedy("Range of least error", f"Sets the range of {operand.quantizer} by `mse`, which clips rare large values for finer steps, "
                 f"instead of `{method_name(plan.method)}`.", _method(operand, "mse"))


@idea("full_range")
def _full_range(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """A range that holds everything the calibration data have."""
    if operand.kind == "weight":
        yield Remedy("Full range", f"Sets the range of {operand.quantizer} by `min_max`: nothing is clipped.",
                     _method(operand, "min_max"))
        return
    seen = facts.limits[operand.name].seen
    if seen is not None and seen.count and seen.minimum < seen.maximum:
        yield Remedy("Full range", f"Sets the range of {operand.quantizer} to {seen.minimum:.4g} to {seen.maximum:.4g}, all that "
                     "calibration has seen.", {"tensors": {operand.quantizer: {"min": seen.minimum, "max": seen.maximum}}})


@idea("finer_scales")
def _finer_scales(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Scales per channel for a weight."""
    plan = facts.sim.plan.weights.get(operand.quantizer)
    slot = facts.sim.placement.weights.get(operand.quantizer)
    if plan is not None and slot is not None and slot.channel_axis is not None and not isinstance(plan.granularity, PerChannel | PerBlock):
        yield Remedy("Per-channel weights", "Gives each output channel of the weight a scale of its own.",
                     _weights(facts, {"granularity": "per_channel"}))


@idea("blocks")
def _blocks(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Scales per block for a weight."""
    plan = facts.sim.plan.weights.get(operand.quantizer)
    slot = facts.sim.placement.weights.get(operand.quantizer)
    size = None if slot is None or slot.input_axis is None else slot.shape[slot.input_axis]
    block = next((b for b in BLOCKS if size and size > b and size % b == 0), None)
    if block is not None and plan is not None and not isinstance(plan.granularity, PerBlock):
        words = f"Gives each {block} weights along the inputs a scale of their own ({32 / block:g} bits a weight)."
        yield Remedy(f"Blocks of {block}", words, _weights(facts, {"granularity": {"per_block": block}}), None, True)


@idea("bypass")
def _bypass(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """The layer in float."""
    yield Remedy("Keep the layer in float", "Leaves the layer out of quantization (the target's half precision in an export).",
                 {"bypass": [facts.layer.name]}, None, True)


@idea("fold")
def _fold(facts: LayerFacts, operand: Operand) -> Iterator[Remedy]:
    """Fold the batch normalization that follows the layer."""
    value = facts.sim.model.values.get(facts.layer.output)
    steps = facts.sim.recipe.steps
    follows = value is not None and any(use.node.op_type == "BatchNormalization" for use in value.uses())
    if follows and steps is not None and all(step.name != "fold_batch_norm" for step in steps):
        yield Remedy("Fold batch normalization", "The layer's output is rounded before its batch normalization; folded into the layer, as "
                     "devices run it, one rounding goes.", {"steps": ["fold_batch_norm"]})


def _method(operand: Operand, name: str) -> dict[str, Any]:
    return {"tensors": {operand.quantizer: {"method": name}}}


def _weights(facts: LayerFacts, options: dict[str, Any]) -> dict[str, Any]:
    asked = str(facts.sim.plan.layer(facts.layer.name).requested)
    return {"layers": {facts.layer.name: {"precision": asked, "weights": options}}}
