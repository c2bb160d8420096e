"""From nodes of the graph to torch kernels, and what stands in the way of a gradient."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx_ir as ir
import torch

from engine.errors import BadInput, UnsupportedOp
from engine.ops import Kernel, NodeSpec, OpEntry, entry
from engine.ops.dtypes import from_numpy, torch_dtype

Graph = ir.Graph | ir.Model


def graph_and_opsets(
    source: Graph, opset_imports: Mapping[str, int] | None = None
) -> tuple[ir.Graph, dict[str, int]]:
    """The main graph and the opset version of each domain."""
    graph = source.graph if isinstance(source, ir.Model) else source
    opsets = dict(opset_imports or source.opset_imports)
    return graph, {("" if domain == "ai.onnx" else domain): version for domain, version in opsets.items()}


def torch_tensor(tensor: ir.TensorProtocol, name: str = "") -> torch.Tensor:
    """A copy of an initializer or attribute as a torch tensor."""
    label = name or tensor.name
    if torch_dtype(int(tensor.dtype)) is None:
        raise UnsupportedOp(f"Tensor {label!r} has type {tensor.dtype.name}, which torch lacks.")
    try:
        return from_numpy(tensor.numpy())
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"Tensor {label!r} cannot be read: {error}") from error


def _python_value(attribute: ir.Attr, node: str) -> Any:
    value = attribute.value
    if attribute.type == ir.AttributeType.TENSOR:
        return torch_tensor(value, f"{node}.{attribute.name}")
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        raise UnsupportedOp(f"Node {node!r}: subgraphs (If, Loop, Scan) have no torch implementation.")
    return value


def node_label(node: ir.Node, index: int) -> str:
    """The node's name, or its operator and position where it has none."""
    return node.name or f"{node.op_type}_{index}"


def _opset(node: ir.Node, opsets: Mapping[str, int]) -> int:
    domain = "" if node.domain == "ai.onnx" else node.domain
    return opsets.get(domain, node.version or 1)


def node_entry(node: ir.Node, index: int, opsets: Mapping[str, int]) -> OpEntry:
    """The registry's entry for a node, or an error that names both."""
    return entry(node.domain, node.op_type, _opset(node, opsets), node_label(node, index))


def node_spec(node: ir.Node, index: int, opsets: Mapping[str, int]) -> NodeSpec:
    """What a kernel may know of a node."""
    label = node_label(node, index)
    outputs = len(node.outputs)
    while outputs > 1 and not node.outputs[outputs - 1].name:
        outputs -= 1
    return NodeSpec(
        name=label,
        op_type=node.op_type,
        domain=node.domain,
        attributes={a.name: _python_value(a, label) for a in node.attributes.values()},
        n_inputs=len(node.inputs),
        n_outputs=outputs,
        opset=_opset(node, opsets),
        input_types=tuple(0 if v is None or v.dtype is None else int(v.dtype) for v in node.inputs),
    )


def build_kernel(node: ir.Node, index: int, opsets: Mapping[str, int], device: torch.device) -> Kernel:
    """The function that runs a node on tensors of this device."""
    found = node_entry(node, index, opsets)
    kernel = found.factory(node_spec(node, index, opsets))
    return kernel if device.type == "cpu" else _gathering(kernel, frozenset(found.host))


def read_on_host(value: ir.Value, opsets: Mapping[str, int]) -> bool:
    """Whether all readers take this tensor as python numbers, so that it is best kept on the CPU."""
    uses = [(use.node, use.idx) for use in value.uses()]
    return bool(uses) and all(index in node_entry(node, 0, opsets).host for node, index in uses)


def _gathering(kernel: Kernel, host: frozenset[int]) -> Kernel:
    """Brings inputs to one device, except those that are read as python numbers.

    Shapes are computed on the CPU; where such a tensor meets data it follows the data.
    """

    def on_one_device(*inputs: torch.Tensor | None) -> Any:
        data = (t for i, t in enumerate(inputs) if t is not None and i not in host)
        device = next((t.device for t in data if t.device.type != "cpu"), None)
        if device is None:
            return kernel(*inputs)
        return kernel(*(t if t is None or i in host else t.to(device) for i, t in enumerate(inputs)))

    return on_one_device


def unsupported(source: Graph, opset_imports: Mapping[str, int] | None = None) -> list[str]:
    """Why gradients cannot be had on this graph, a line per node; empty where they can.

    A node counts when it has no torch implementation, or when every way from some weight to the
    outputs leads through such a node as Round or ArgMax, whose derivative is zero.
    """
    graph, opsets = graph_and_opsets(source, opset_imports)
    messages: list[str] = []
    open_nodes: dict[ir.Node, bool] = {}
    for index, node in enumerate(graph):
        try:
            spec = node_spec(node, index, opsets)
            found = node_entry(node, index, opsets)
            found.factory(spec)
            open_nodes[node] = found.carries_gradient(spec)
        except UnsupportedOp as error:
            messages.append(str(error))
            open_nodes[node] = True
    if any(a.type == ir.AttributeType.GRAPH for node in graph for a in node.attributes.values()):
        return messages  # subgraphs read tensors unseen, so that no way could be called the last
    return messages + [
        f"Node {node_label(node, index)!r} ({node.op_type}) passes no gradient on to {blocked!r}, "
        f"which reaches the outputs only through it."
        for index, node, blocked in _barriers(graph, open_nodes)
    ]


def _barriers(graph: ir.Graph, open_nodes: Mapping[ir.Node, bool]) -> Iterator[tuple[int, ir.Node, str]]:
    """Nodes that cut the last way from a float weight to the outputs, with one such weight each."""
    carried, reaching = set(graph.outputs), set(graph.outputs)
    for node in reversed(graph):
        inputs = [v for v in node.inputs if v is not None]
        if open_nodes[node] and any(v in carried for v in node.outputs):
            carried.update(inputs)
        if any(v in reaching for v in node.outputs):
            reaching.update(inputs)
    floats = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
    origin = {
        value: name for name, value in graph.initializers.items()
        if value in reaching and value not in carried and value.dtype in floats and value.shape
    }
    for index, node in enumerate(graph):
        blocked = [v for v in node.inputs if v in origin]
        if not blocked or not any(v in reaching for v in node.outputs):
            continue
        if not open_nodes[node] and any(v in carried for v in node.outputs):
            yield index, node, origin[blocked[0]]
        for output in node.outputs:
            if output not in carried:
                origin[output] = origin[blocked[0]]
