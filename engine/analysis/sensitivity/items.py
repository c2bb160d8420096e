"""Items: what a sweep switches on or off together, by DESIGN's meaning of a layer's precision."""
from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.analysis.sensitivity.kinds import Item, ItemKind, What
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim


def items_of(sim: QuantSim, kind: ItemKind, what: What) -> tuple[Item, ...]:
    """The items of a model in execution order; items without anything to quantize are left out."""
    found = _KINDS[kind](sim)
    kept = []
    for item in found:
        constants = () if what == "activations" else item.constants
        activations = () if what == "weights" else item.activations
        if constants or activations:
            kept.append(Item(item.name, item.layers, constants, activations, item.output))
    return tuple(kept)


def switched_on(quantization: Quantization, item: Item) -> Quantization:
    """Only this item's weight and tensors are quantized (one-on)."""
    return Quantization({n: e for n, e in quantization.activations.items() if n in item.activations},
                        {n: e for n, e in quantization.constants.items() if n in item.constants})


def switched_off(quantization: Quantization, item: Item) -> Quantization:
    """All but this item (one-off)."""
    return Quantization({n: e for n, e in quantization.activations.items() if n not in item.activations},
                        {n: e for n, e in quantization.constants.items() if n not in item.constants}, quantization.biases)


def _layers(sim: QuantSim) -> list[Item]:
    """A layer's weights and the activation tensors it reads, by the quantizer their values have passed last."""
    return [Item(layer.name, (layer.name,), layer.weights, _unique(sim.placement.root(t) for t in layer.reads), layer.output)
            for layer in sim.model.layers]


def _ops(sim: QuantSim) -> list[Item]:
    """Every node that the target runs as one op and that has a quantizer: its inputs, its weights and its output."""
    units: dict[str, list[str]] = {}
    for node in sim.model.graph:
        units.setdefault(sim.placement.units.get(str(node.name), str(node.name)), []).append(str(node.name))
    layers = {layer.name for layer in sim.model.layers}
    found = []
    for last, names in units.items():
        nodes = [sim.model.nodes[n] for n in names]
        made = {str(v.name) for n in nodes for v in n.outputs}
        reads = [str(v.name) for n in nodes for v in n.inputs if v is not None and v.name not in made]
        out = str(sim.model.nodes[last].outputs[0].name) if last in sim.model.nodes else None
        constants = _unique(n for n in reads if n in sim.placement.weights or _constant(sim, n))
        tensors = _unique(sim.placement.root(n) for n in (*reads, *made) if n in sim.placement.slots and not _constant(sim, n))
        tensors = tuple(t for t in tensors if sim.placement.slots[t].quantized)
        if constants or tensors:
            own = tuple(n for n in names if n in layers)
            found.append(Item(own[0] if own else last, own, constants, tensors, out))
    return found


def _groups(sim: QuantSim) -> list[Item]:
    """Sets of tensors or weights that must share a precision; each other layer's weight is a group of its own."""
    slots, weights = sim.placement.slots, sim.placement.weights
    found, seen = [], set[str]()
    for group in sim.placement.groups:
        constants = tuple(sorted(n for n in group if n in weights))
        tensors = tuple(sorted(n for n in group if n in slots and slots[n].quantized and slots[n].kind != "constant"))
        if constants or tensors:
            seen |= {*constants, *tensors}
            readers = _unique(x for n in constants for x in weights[n].layers)
            found.append(Item("+".join((*constants, *tensors))[:80], readers, constants, tensors))
    found += [Item(n, w.layers, (n,), ()) for n, w in weights.items() if n not in seen and w.layers]
    found += [Item(n, (), (), (n,)) for n, s in slots.items() if n not in seen and s.quantized and s.kind != "constant"]
    return found


def _blocks(sim: QuantSim) -> list[Item]:
    """The layers of one module. A layer's block is the nearest module around it that holds another layer too.

    A module that holds more than half of the network is the network, not a block: its direct layers stand alone.
    """
    modules = {layer.name: layer.module for layer in sim.model.layers}
    blocks: dict[str, list[Item]] = {}
    for item in _layers(sim):
        blocks.setdefault(_block_of(item.name, modules), []).append(item)
    return [
        Item(
            name,
            tuple(x for i in items for x in i.layers),
            _unique(c for i in items for c in i.constants),
            _unique(a for i in items for a in i.activations),
            items[-1].output,
        )
        for name, items in blocks.items()
    ]


def _block_of(name: str, modules: dict[str, str]) -> str:
    path = modules[name]
    while "." in path:
        path = path.rsplit(".", 1)[0]
        inside = sum(other == path or other.startswith(path + ".") for other in modules.values())
        if inside > 1:
            return path if 2 * inside <= len(modules) else modules[name]
    return modules[name] or name


_KINDS: dict[ItemKind, Callable[[QuantSim], list[Item]]] = {"layers": _layers, "ops": _ops, "groups": _groups, "blocks": _blocks}


def _constant(sim: QuantSim, name: str) -> bool:
    slot = sim.placement.slots.get(name)
    return slot is not None and slot.kind == "constant"


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
