"""Exports a trained model to ONNX with its modules' names, and with BatchNormalization left in the graph."""
from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript import optimizer
from torch import nn

OPSET = 21
SCOPES = "pkg.torch.onnx.name_scopes"
LOCAL = ("pkg.torch.onnx.stack_trace", "pkg.torch.onnx.fx_node", "pkg.torch.onnx.class_hierarchy")
UNNAMED = ("val_", "min_val", "max_val")
MAIN_OPS = ("Conv", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization", "Clip", "Gelu", "Softmax", "Add")


def module_path(node: ir.Node) -> str:
    """The dotted path of the module that the node was traced from; empty where there is none."""
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    path = str(scopes[-2]) if len(scopes) > 1 else ""
    return "" if path.startswith("_") else path


def name_nodes(graph: ir.Graph) -> None:
    """The main node of each module gets the module's path, the others `path.op`; equal names are numbered."""
    owners: dict[str, ir.Node] = {}
    for op in reversed(MAIN_OPS):
        owners.update({module_path(node): node for node in reversed(list(graph)) if node.op_type == op})
    seen: Counter[str] = Counter()
    for node in graph:
        path, op = module_path(node), node.op_type.lower()
        name = path if path and owners.get(path) is node else f"{path}.{op}".strip(".")
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def tidy_weights(graph: ir.Graph) -> None:
    """A folded weight gets its module's name again, and a convolution's bias of zeros goes."""
    for node in graph:
        bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) > 2 else None
        if bias is not None and bias.const_value is not None and not bias.const_value.numpy().any():
            node.resize_inputs(2)
        if node.op_type == "MatMul" and node.inputs[1] is not None and node.inputs[1].is_initializer():
            node.inputs[1].name = f"{module_path(node)}.weight"


def name_values(graph: ir.Graph) -> None:
    """A node's output is `node.out`, its unnamed constants `node.constantI`; graph inputs and outputs keep theirs."""
    kept = {value.name for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if value.name not in kept:
                value.name = f"{node.name}.out"
        for index, source in enumerate(node.inputs):
            if source is not None and source.is_initializer() and str(source.name).startswith(UNNAMED):
                source.name = f"{node.name}.constant{index}"


def drop_local_metadata(graph: ir.Graph) -> None:
    """Removes traces of the machine that exported (file paths, code lines); the module scopes stay."""
    for node in graph:
        for key in LOCAL:
            node.metadata_props.pop(key, None)
    for value in [*graph.inputs, *graph.outputs, *graph.initializers.values()]:
        value.metadata_props.clear()


def export(model: nn.Module, path: Path) -> None:
    """Writes `model` to `path`: input `image` with a free batch axis, output `logits`."""
    program = torch.onnx.export(
        model.eval(),
        (torch.zeros(2, 1, 28, 28),),
        dynamo=True,
        opset_version=OPSET,
        optimize=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    assert program is not None
    proto = program.model
    optimizer.fold_constants(proto)
    passes.IdentityEliminationPass()(proto)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(proto)
    passes.CommonSubexpressionEliminationPass()(proto)
    optimizer.remove_unused_nodes(proto)
    tidy_weights(proto.graph)
    optimizer.remove_unused_nodes(proto)
    name_nodes(proto.graph)
    name_values(proto.graph)
    drop_local_metadata(proto.graph)
    ir.save(proto, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
