"""Nodes that are drawn as one: a written-out formula, and a layer or a sum with what follows it alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph import Model
from engine.graph.layers import weight_index
from engine.graph.patterns import ACTIVATIONS, find_patterns
from engine.targets.floats import is_float

TAILS = frozenset({"BatchNormalization", "Gelu", "Mish", "Selu", "Celu", "Softplus", "ThresholdedRelu", *ACTIVATIONS})
FORMULAS = frozenset({"Gelu", "HardSwish", "SiLU"})


@dataclass
class Group:
    """Nodes in graph order; `kind` is the formula's name, or the op type of the node that gives the group its meaning."""

    kind: str
    nodes: list[ir.Node]

    def reads(self) -> Iterator[ir.Value]:
        """Every tensor that comes from outside, constants left out, each once."""
        inside = {id(node) for node in self.nodes}
        seen: set[int] = set()
        for node in self.nodes:
            for value in node.inputs:
                producer = None if value is None else value.producer()
                outer = value is not None and value.const_value is None and (producer is None or id(producer) not in inside)
                if value is not None and outer and id(value) not in seen:
                    seen.add(id(value))
                    yield value

    @property
    def layer(self) -> ir.Node | None:
        """The node with a weight, if there is one."""
        return next((node for node in self.nodes if weight_index(node) is not None), None)


def groups_of(model: Model) -> list[Group]:
    """All groups in the order of their first nodes; every node of the graph is in exactly one."""
    made: dict[int, Group] = {}
    for pattern in find_patterns(model.graph):
        if pattern.kind not in ("ConvBnAct", "Residual") and len(pattern.nodes) > 1:
            group = Group(pattern.kind, [model.nodes[name] for name in pattern.nodes])
            made.update({id(node): group for node in group.nodes})
    for node in model.graph:
        made.setdefault(id(node), Group(node.op_type, [node]))
    for node in model.graph:
        if (weight_index(node) is not None or node.op_type == "Add") and made[id(node)].nodes[0] is node:
            _absorb(made[id(node)], made)
    return list({id(group): group for node in model.graph for group in (made[id(node)],)}.values())


def _absorb(group: Group, made: dict[int, Group]) -> None:
    """Takes in what reads the group's output alone, as long as it normalizes or activates."""
    while (tail := _tail(group, made)) is not None:
        group.nodes.extend(tail.nodes)
        made.update({id(node): group for node in tail.nodes})


def _tail(group: Group, made: dict[int, Group]) -> Group | None:
    value = group.nodes[-1].outputs[0] if group.nodes[-1].outputs else None
    if value is None or value.is_graph_output():
        return None
    users = {id(made[id(user)]): made[id(user)] for user, _ in value.uses() if id(user) in made}
    if len(users) != 1:
        return None
    tail = next(iter(users.values()))
    fits = tail.kind in FORMULAS or (len(tail.nodes) == 1 and tail.kind in TAILS)
    return tail if fits and tail is not group and [id(v) for v in tail.reads() if is_float(v)] == [id(value)] else None
