"""The one place that decides types. A recipe requests, the graph resolves (DESIGN):

 1. A layer requests its weight type and the type of every float tensor it reads. An op without weights
    requests what the recipe says for it, else the base; a model output the base. (`requests.py`)
 2. A tensor takes the most bits that any reader requests; `tensors:` beats all. If any reader is integer the
    tensor is integer and float readers get it dequantized; with float readers only it has their type.
 3. Grid-preserving and tied ops, and groups, then share one type.
 4. If the result is illegal for a layer on the target, its weight bits go up to the nearest legal ones; under
    `strict` it is an error that names both layers.

How rule 4 is read here. It repairs what *propagation* made: a layer that asked for something legal and got
an illegal combination because of another reader of its tensors or of its weight. A layer that asked for
something the target does not have keeps what it asked for, with `legal` False and the reason: `simulate`,
`sensitivity` and training run it, and who may not (`search`, `quantize`, `export`) looks at `illegal()`.
Where no wider weight is legal either, the layer stays as it is with `legal` False. `strict` raises in each
of these cases. A weight that several layers share goes up for all of them.

A bypassed layer (mute) has its weight in fp32 and asks for nothing: tensors that only bypassed layers read
are fp32, others keep their readers' type and are dequantized for it. It is legal where the target has fp32
or fp16, which is what an export makes of it.
"""

from __future__ import annotations

from engine.errors import IllegalPrecision
from engine.graph import Layer, Model
from engine.quant.precision import FP32, Float, Int, Precision
from engine.recipe import Recipe
from engine.targets.boundaries import find_boundaries
from engine.targets.encodings_plan import activation_plans, weight_plans
from engine.targets.facts import Target
from engine.targets.placement import place
from engine.targets.plan import LayerPlan, Plan
from engine.targets.requests import FLOAT32, Requests, match_requests
from engine.targets.slots import Placement
from engine.targets.types import Decision, decide_tensors, decide_weights


def resolve(
    model: Model, recipe: Recipe, target: Target, placement: Placement | None = None, strict: bool = False
) -> Plan:
    """The types of all tensors and weights, and what each layer gets.

    Raises:
        BadInput: the recipe names what the model does not have, or asks for blocks that do not fit.
        IllegalPrecision: under `strict`, a layer's result is illegal on the target.
    """
    placement = placement or place(model, target)
    requests = match_requests(model, recipe, placement)
    tensors = decide_tensors(model, target, placement, requests)
    weights = decide_weights(model, placement, requests, tensors)
    _raise_weights(model, target, placement, requests, tensors, weights, strict)
    types = {name: d.dtype for name, d in tensors.items()}
    layers = tuple(_layer_plan(layer, target, requests, tensors, weights) for layer in model.layers)
    if strict:
        _refuse(layers)
    return Plan(
        activation_plans(recipe, target, placement, requests, tensors),
        weight_plans(recipe, placement, requests, weights),
        layers,
        find_boundaries(model, placement, requests, types),
        types,
    )


def effective(
    layer: Layer, requests: Requests, tensors: dict[str, Decision], weights: dict[str, Decision]
) -> Precision:
    """The weight type that a layer has and the widest type in which it reads a tensor (floats get integers dequantized)."""
    weight = weights[layer.weight].dtype if layer.weight in weights else FP32
    if layer.name in requests.bypassed:
        return Precision(weight, FP32)  # a weight that it shares with layers at work is quantized for it too
    asked = requests.precision(layer.name)
    read = [tensors[t].dtype for t in layer.reads if t in tensors and tensors[t].placed]
    seen = [
        asked.activations if isinstance(asked.activations, Float) and isinstance(kind, Int) else kind
        for kind in read
    ]
    return Precision(weight, max(seen, key=lambda kind: kind.bits, default=asked.activations))


def _raise_weights(
    model: Model,
    target: Target,
    placement: Placement,
    requests: Requests,
    tensors: dict[str, Decision],
    weights: dict[str, Decision],
    strict: bool,
) -> None:
    """Rule 4; a shared weight may make another layer illegal, so this goes on until nothing changes (bits only grow)."""
    changed = True
    while changed:
        changed = False
        for layer in model.layers:
            got = effective(layer, requests, tensors, weights)
            if layer.name in requests.bypassed or not target.why_illegal(got, layer.op_type, layer.kind):
                continue
            if (
                target.why_illegal(requests.precision(layer.name), layer.op_type, layer.kind)
                or layer.weight not in weights
            ):
                continue
            if strict:
                raise IllegalPrecision(_both(layer, got, target, requests, tensors, weights))
            wider = target.raised_weights(got, layer.op_type, layer.kind)
            if wider is None or wider == got.weights:
                continue
            why = f"weight raised from {got.weights} to {wider}, since {target.why_illegal(got, layer.op_type, layer.kind)}"
            for name in placement_group(layer, placement):
                weights[name] = Decision(wider, why, layer.name)
            changed = True


def placement_group(layer: Layer, placement: Placement) -> tuple[str, ...]:
    """The initializers that share a layer's weight type."""
    return tuple(name for name in layer.weights if name in placement.weights)


def _both(
    layer: Layer,
    got: Precision,
    target: Target,
    requests: Requests,
    tensors: dict[str, Decision],
    weights: dict[str, Decision],
) -> str:
    """The message of rule 4 under `strict`."""
    cause = _causes(layer, requests, tensors, weights)
    return (
        f"{layer.name} asks for {requests.precision(layer.name)} but gets {got}, because {'; '.join(cause) or 'of its tensors'}: "
        f"{target.why_illegal(got, layer.op_type, layer.kind)}. Give both layers activations of the same width, or leave out strict"
    )


def _causes(
    layer: Layer, requests: Requests, tensors: dict[str, Decision], weights: dict[str, Decision]
) -> list[str]:
    """Why a layer's types are not those it asked for."""
    asked = requests.precision(layer.name)
    found = []
    for tensor in layer.reads:
        decision = tensors.get(tensor)
        if decision is None or not decision.placed or decision.dtype == asked.activations:
            continue
        if isinstance(asked.activations, Float) and isinstance(decision.dtype, Int):
            found.append(f"it reads {tensor} dequantized from {decision.dtype}: {decision.reason}")
        else:
            found.append(f"{tensor} is {decision.dtype}: {decision.reason}")
    weight = weights.get(layer.weight)
    if weight is not None and weight.dtype != asked.weights:
        found.append(weight.reason)
    return found


def _layer_plan(
    layer: Layer,
    target: Target,
    requests: Requests,
    tensors: dict[str, Decision],
    weights: dict[str, Decision],
) -> LayerPlan:
    request = requests.nodes.get(layer.name)
    wanted = request.precision if request is not None else requests.base
    got = effective(layer, requests, tensors, weights)
    if layer.name in requests.bypassed:
        has_float = bool({"fp32", "fp16"} & {str(p) for p in target.legal(layer.op_type, layer.kind)})
        why = "bypassed: kept in float" + ("" if has_float else f", which {target.name} does not have")
        if got != FLOAT32:
            why += f"; but {weights[layer.weight].reason}"
        return LayerPlan(layer.name, wanted, got, has_float, why, True)
    parts = _causes(layer, requests, tensors, weights)
    illegal = target.why_illegal(got, layer.op_type, layer.kind)
    return LayerPlan(layer.name, wanted, got, not illegal, "; ".join([*parts, illegal] if illegal else parts))


def _refuse(layers: tuple[LayerPlan, ...]) -> None:
    """`strict` also refuses what was asked for and is not there."""
    bad = [layer for layer in layers if not layer.legal]
    if bad:
        more = f" (and {len(bad) - 1} more layers)" if len(bad) > 1 else ""
        raise IllegalPrecision(
            f"{bad[0].name}: {bad[0].reason}{more}. Ask for one of these, or leave out strict"
        )
