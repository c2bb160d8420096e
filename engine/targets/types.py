"""Rules 2 and 3 of `resolve.py`: from requests to one type for each set of tensors and of weights that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.graph import Model
from engine.quant.precision import FP32, DataType, Float, Int
from engine.targets.facts import Target
from engine.targets.requests import Asked, Requests, asked_of_tensors
from engine.targets.slots import Placement, WeightSlot
from engine.targets.ties import Sets


@dataclass(frozen=True)
class Decision:
    """A type, why, and the node that asked for it; `placed` is False where nothing can quantize the tensor."""

    dtype: DataType
    reason: str
    by: str = ""
    placed: bool = True
    pinned: bool = False


def widest(asked: list[Asked]) -> Decision | None:
    """Rule 2: integer requests win over float ones, then the most bits; among equals the first."""
    if not asked:
        return None
    integers = [a for a in asked if isinstance(a.dtype, Int)]
    best = max(integers or asked, key=lambda a: a.dtype.bits)
    return Decision(best.dtype, best.why, best.reader)


def decide_tensors(
    model: Model, target: Target, placement: Placement, requests: Requests
) -> dict[str, Decision]:
    """The type of every tensor with a slot; those that nothing quantizes have fp32."""
    asked = asked_of_tensors(model, target, placement, requests)
    sets = sharing(placement)
    found: dict[str, Decision] = {}
    for members in sets.values():
        decision = (
            _pinned(members, requests)
            or widest([a for name in members for a in asked[name]])
            or _unasked(members, model, requests)
        )
        found.update(dict.fromkeys(members, decision))
    _widen_first_operands(target, placement, sets, found)
    return {
        name: found.get(name, Decision(FP32, slot.reason, placed=False))
        for name, slot in placement.slots.items()
    }


def sharing(placement: Placement) -> dict[str, list[str]]:
    """Rule 3: head → the tensors that share its type, those without an encoding left out."""
    head = {name: min(group) for group in placement.groups for name in group}
    found: dict[str, list[str]] = {}
    for name in placement.slots:
        if placement.slots[placement.root(name)].quantized:
            found.setdefault(head.get(name, name), []).append(name)
    return found


def _pinned(members: list[str], requests: Requests) -> Decision | None:
    """`tensors:` beats all; of several tensors of a group the most bits."""
    asked = [
        Asked(r.dtype, "", f"the recipe's tensors sets {name}")
        for name in members
        if (r := requests.tensors.get(name)) is not None and r.dtype is not None
    ]
    best = widest(asked)
    return replace(best, pinned=True) if best is not None else None


def _unasked(members: list[str], model: Model, requests: Requests) -> Decision:
    """Nobody asks: only bypassed layers read it, or nothing does."""
    readers = {str(user.name) for name in members for user, _ in model.values[name].uses()}
    if readers & requests.bypassed:
        return Decision(FP32, "only bypassed layers read it")
    return Decision(requests.base.activations, f"nothing asks for it, so it has the base {requests.base}")


def _widen_first_operands(
    target: Target, placement: Placement, sets: Mapping[str, list[str]], found: dict[str, Decision]
) -> None:
    """A product of two activations: where the second is wide, the first takes its width (targets with that rule)."""
    rule = target.dynamic_weights
    if rule.wide_bits is None or not rule.wide_first_input_follows:
        return
    group_of = {name: members for members in sets.values() for name in members}
    changed = True
    while changed:
        changed = False
        for pair in placement.dynamic_pairs:
            first, second = found[pair.first], found[pair.second]
            wide = isinstance(second.dtype, Int) and second.dtype.bits >= rule.wide_bits
            if (
                wide
                and isinstance(first.dtype, Int)
                and first.dtype.bits < second.dtype.bits
                and not first.pinned
            ):
                why = f"the second operand {pair.second} of {pair.node} is {second.dtype}, and {target.name} wants the first as wide"
                found.update(dict.fromkeys(group_of[pair.first], Decision(second.dtype, why, pair.node)))
                changed = True


def decide_weights(
    model: Model, placement: Placement, requests: Requests, tensors: Mapping[str, Decision]
) -> dict[str, Decision]:
    """The type of every weight: what its readers ask for, one for a group, within the rule of its kind."""
    sets, found = Sets(), dict[str, Decision]()
    for layer in model.layers:
        for name in layer.weights:
            sets.join(layer.weights[0], name)
    members: dict[str, list[str]] = {}
    for name in placement.weights:
        members.setdefault(sets.find(name), []).append(name)
    for group in members.values():
        decision = _pinned(group, requests) or _of_readers(group, placement, requests)
        for name in group:
            found[name] = _within(placement.weights[name], decision, tensors)
    return found


def _of_readers(group: list[str], placement: Placement, requests: Requests) -> Decision:
    readers = dict.fromkeys(reader for name in group for reader in placement.weights[name].layers)
    asked = [
        Asked(
            requests.precision(r).weights,
            r,
            f"it shares its weight with {r}, which asks for {requests.precision(r)}"
            if len(readers) > 1
            else f"{r} asks for {requests.precision(r)}",
        )
        for r in readers
        if r not in requests.bypassed
    ]
    return widest(asked) or Decision(FP32, "only bypassed layers read it")


def _within(slot: WeightSlot, decision: Decision, tensors: Mapping[str, Decision]) -> Decision:
    """The rule of norms: the output's type where they follow it, and never fewer bits than the target's least."""
    if decision.pinned or (isinstance(decision.dtype, Float) and decision.dtype == FP32):
        return decision
    followed = tensors.get(slot.follows) if slot.follows else None
    if followed is not None and followed.placed:
        decision = Decision(followed.dtype, f"it follows the output {slot.follows}", decision.by)
    if isinstance(decision.dtype, Int) and decision.dtype.bits < slot.min_bits:
        return Decision(
            Int(slot.min_bits), f"the scale of {slot.op_type} has at least {slot.min_bits} bits", decision.by
        )
    return decision
