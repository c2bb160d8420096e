"""From types to quantizers: symmetry, granularity, range method and range of each one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from engine.errors import BadInput
from engine.quant.granularity import Granularity, PerBlock, PerChannel, PerTensor
from engine.quant.grid import Symmetry
from engine.quant.precision import FP32, Int
from engine.recipe import BlockSize, Recipe, TensorRequest, WeightOptions
from engine.targets.facts import Target
from engine.targets.plan import ActivationPlan, WeightPlan
from engine.targets.requests import Requests
from engine.targets.slots import Placement, Slot, WeightSlot
from engine.targets.types import Decision

_SYMMETRY: dict[bool | str, Symmetry] = {True: "symmetric", False: "asymmetric", "strict": "strict"}
_CLASS: dict[str, Literal["inputs", "outputs", "activations"]] = {"input": "inputs", "output": "outputs"}


def activation_plans(
    recipe: Recipe, target: Target, placement: Placement, requests: Requests, tensors: Mapping[str, Decision]
) -> dict[str, ActivationPlan]:
    """The quantizers on tensors; those that stay in fp32 have none."""
    own = _requests_at_roots(placement, requests)
    symmetry = _symmetries(recipe, target, placement, own, tensors)
    found = {}
    for name, slot in placement.slots.items():
        decision = tensors[name]
        if not slot.quantized or decision.dtype == FP32:
            continue
        request = own.get(name, TensorRequest())
        found[name] = ActivationPlan(
            name,
            decision.dtype,
            symmetry[slot.tied or name],
            None if _has_range(request) else slot.fixed_range,
            slot.tied,
            recipe.method_for(_CLASS.get(slot.kind, "activations"), request.method),
            request.minimum,
            request.maximum,
            decision.reason,
        )
    return found


def _has_range(request: TensorRequest) -> bool:
    return request.minimum is not None or request.maximum is not None


def _requests_at_roots(placement: Placement, requests: Requests) -> dict[str, TensorRequest]:
    """What the recipe says of a tensor, at the quantizers it means: its source's, and all of a tied group."""
    found: dict[str, TensorRequest] = {}
    for name, request in requests.tensors.items():
        if name not in placement.slots or not placement.slots[placement.root(name)].quantized:
            continue
        root, factor = name, 1.0
        while (source := placement.slots[root].source) is not None:
            factor *= (placement.slots[root].scaled or ("", 1.0))[1]
            root = source
        tied = placement.slots[root].tied
        low, high = (None if v is None else v / factor for v in (request.minimum, request.maximum))
        moved = TensorRequest(request.dtype, request.symmetric, low, high, request.method)
        for other in [root] if tied is None else [n for n, s in placement.slots.items() if s.tied == tied]:
            # A request for exactly this tensor beats one that reaches it through another.
            if other == name or other not in requests.tensors:
                found[other] = moved
    return found


def _symmetries(
    recipe: Recipe,
    target: Target,
    placement: Placement,
    own: Mapping[str, TensorRequest],
    tensors: Mapping[str, Decision],
) -> dict[str, Symmetry]:
    """By tied group or tensor: symmetric for all when it is for one."""
    wide = _wide_seconds(target, placement, tensors)
    found: dict[str, Symmetry] = {}
    for name, slot in placement.slots.items():
        if slot.quantized:
            key, one = slot.tied or name, _symmetry(recipe, target, slot, own.get(name), name in wide)
            found[key] = one if found.get(key, "asymmetric") == "asymmetric" else found[key]
    return found


def _symmetry(
    recipe: Recipe, target: Target, slot: Slot, request: TensorRequest | None, wide: bool
) -> Symmetry:
    """`tensors:`, then the rule for activations in a weight's place, then the recipe, then the target."""
    if request is not None and request.symmetric is not None:
        return _SYMMETRY[request.symmetric]
    if wide or slot.symmetric is not None:
        return _SYMMETRY[wide or bool(slot.symmetric)]
    if recipe.activations.symmetric is not None:
        return _SYMMETRY[recipe.activations.symmetric]
    return target.activation_symmetry


def _wide_seconds(target: Target, placement: Placement, tensors: Mapping[str, Decision]) -> frozenset[str]:
    bits = target.dynamic_weights.wide_bits
    return frozenset(
        p.second
        for p in placement.dynamic_pairs
        if bits is not None
        and isinstance(tensors[p.second].dtype, Int)
        and tensors[p.second].dtype.bits >= bits
    )


def weight_plans(
    recipe: Recipe, placement: Placement, requests: Requests, weights: Mapping[str, Decision]
) -> dict[str, WeightPlan]:
    """The quantizers on initializers; those that stay in fp32 have none."""
    found = {}
    for name, slot in placement.weights.items():
        decision = weights[name]
        if decision.dtype == FP32:
            continue
        options = next((requests.options(r) for r in slot.layers if r in requests.nodes), WeightOptions())
        request = requests.tensors.get(name)
        if request is not None and _has_range(request):
            raise BadInput(
                f"tensors: {name} is a weight: its range comes from its values, so min and max cannot be set"
            )
        granularity, words = _granularity(slot, recipe, options)
        method = recipe.method_for("weights", (request.method if request else None) or options.method)
        found[name] = WeightPlan(
            name,
            decision.dtype,
            _weight_symmetry(slot, recipe, decision.dtype.bits, options, request),
            granularity,
            method,
            f"{decision.reason}; {words}" if words else decision.reason,
        )
    return found


def _weight_symmetry(
    slot: WeightSlot, recipe: Recipe, bits: int, options: WeightOptions, request: TensorRequest | None
) -> Symmetry:
    """`tensors:`, the layer, the rule of norms, the recipe, the target."""
    for choice in (request.symmetric if request else None, options.symmetric):
        if choice is not None:
            return _SYMMETRY[choice]
    if slot.symmetric_from_bits is not None and slot.kind == "norm":
        return "symmetric" if bits >= slot.symmetric_from_bits else "asymmetric"
    if slot.kind != "norm" and recipe.weights.symmetric is not None:
        return _SYMMETRY[recipe.weights.symmetric]
    return slot.symmetry


def _granularity(slot: WeightSlot, recipe: Recipe, options: WeightOptions) -> tuple[Granularity, str]:
    """The layer's choice, the recipe's, the target's; blocks that cannot be are an error when the layer asks for them."""
    choice = options.granularity or recipe.weights.granularity
    if slot.kind not in ("layer", "prelu") or choice is None:
        return slot.granularity, slot.reason
    if choice == "per_tensor":
        return PerTensor(), "per-tensor, as the recipe asks"
    if choice == "per_channel":
        if slot.channel_axis is None:
            return PerTensor(), slot.reason
        return PerChannel(
            slot.channel_axis
        ), f"one scale for each output channel (axis {slot.channel_axis}), as the recipe asks"
    assert isinstance(choice, BlockSize)
    problem = _block_problem(slot, choice.size)
    if not problem and slot.input_axis is not None:
        return PerBlock(slot.input_axis, choice.size), f"blocks of {choice.size} along axis {slot.input_axis}"
    if options.granularity is not None:
        raise BadInput(
            f"{slot.layers[0]}: blocks of {choice.size} do not fit {slot.initializer} {list(slot.shape)}: {problem}"
        )
    return slot.granularity, f"no blocks of {choice.size}: {problem}; {slot.reason}"


def _block_problem(slot: WeightSlot, size: int) -> str:
    if slot.input_axis is None:
        return "it has no input axis to run along"
    length = slot.shape[slot.input_axis]
    return (
        "" if length % size == 0 else f"{size} does not divide the {length} inputs of axis {slot.input_axis}"
    )
