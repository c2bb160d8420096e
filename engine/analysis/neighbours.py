"""The layers that feed a layer, and those that read it, through whatever ops stand between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import onnx_ir

from engine.sim.quantsim import QuantSim

SHAPES = ("Shape", "Size")  # they carry no values of the tensor that they look at
MOST = 12  # of each kind: a mask or a normalization that all blocks share has hundreds


def neighbours(sim: QuantSim, name: str) -> dict[str, Any]:
    """`feeds` and `readers`: rows of `name` and effective `precision` in network order; `input`, `output`: whether the model's own is met.

    `more_feeds`, `more_readers` count what is left out.
    """
    node = sim.model.nodes[name]
    layers = {layer.name for layer in sim.model.layers}
    before, at_input = _reach(node, layers, _makers)
    after, at_output = _reach(node, layers, _users)
    order = [layer.name for layer in sim.model.layers]
    found: dict[str, Any] = {"input": at_input, "output": at_output}
    for key, names in (("feeds", before), ("readers", after)):
        rows = [{"name": n, "precision": str(sim.plan.layer(n).precision)} for n in order if n in names]
        found |= {key: rows[:MOST], f"more_{key}": max(len(rows) - MOST, 0)}
    return found


Step = Callable[[onnx_ir.Node], tuple[Iterable[onnx_ir.Node], bool]]


def _reach(start: onnx_ir.Node, layers: set[str], step: Step) -> tuple[set[str], bool]:
    """The nearest layers in one direction, and whether an end of the model comes before a layer."""
    found, ended, seen, todo = set(), False, {id(start)}, [start]
    while todo:
        beside, end = step(todo.pop())
        ended = ended or end
        for node in beside:
            if id(node) in seen:
                continue
            seen.add(id(node))
            if str(node.name) in layers:
                found.add(str(node.name))
            else:
                todo.append(node)
    return found, ended


def _makers(node: onnx_ir.Node) -> tuple[list[onnx_ir.Node], bool]:
    values = [v for v in node.inputs if v is not None]
    makers = [m for v in values if (m := v.producer()) is not None and m.op_type not in SHAPES]
    return makers, any(v.producer() is None and v.is_graph_input() for v in values)


def _users(node: onnx_ir.Node) -> tuple[list[onnx_ir.Node], bool]:
    users = [use.node for v in node.outputs for use in v.uses() if use.node.op_type not in SHAPES]
    return users, any(v.is_graph_output() for v in node.outputs)
