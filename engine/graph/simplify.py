"""Bring a loaded graph into the form that all rooms work on. Every float value stays the same.

Passes, in order:
1. functions are inlined, constants folded (shape computations, Transpose or Cast of a weight);
2. constants become initializers; Identity, unused nodes and double initializers go;
3. every node and value gets a name: a node without one is `OpType_index`.
BatchNormalization is never folded here: that is a repair step (`fold_batch_norm`) with a line in
the recipe.
"""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.optimizer import fold_constants

FOLD_LIMIT = 64 * 1024 * 1024  # values; weights behind a Transpose or Cast must fold whatever their size


def simplify(model: ir.Model) -> None:
    """Runs the passes of the module in place."""
    name_nodes(model.graph)
    names = {id(v): v.name for v in model.graph.outputs}
    common.InlinePass()(model)
    fold_constants(model, onnx_shape_inference=True, input_size_limit=FOLD_LIMIT, output_size_limit=FOLD_LIMIT, should_fold=_should_fold)
    for step in (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
        common.DeduplicateInitializersPass(),
        common.RemoveInitializersFromInputsPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),
        common.TopologicalSortPass(),
    ):
        step(model)
    for value in model.graph.outputs:
        value.name = names.get(id(value), value.name)
    name_nodes(model.graph)


def _should_fold(node: ir.Node) -> bool | None:
    """ConstantOfShape and Range may make a huge tensor from a few bytes: they are folded only when small."""
    if node.op_type in ("ConstantOfShape", "Range", "Expand", "Tile", "RandomNormal", "RandomUniform"):
        shape = node.outputs[0].shape
        if shape is None or not shape.is_static() or (shape.numpy() and _product(shape) > 65536):
            return False
    return None


def _product(shape: ir.Shape) -> int:
    total = 1
    for dim in shape.numpy():
        total *= int(dim)
    return total


def name_nodes(graph: ir.Graph) -> None:
    """Gives every unnamed or doubly named node the name `OpType_index`, index counted per op type in graph order."""
    taken = Counter(n.name for n in graph if n.name)
    seen: set[str] = set()
    index: Counter[str] = Counter()
    for node in graph:
        i = index[node.op_type]
        index[node.op_type] += 1
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        name = f"{node.op_type}_{i}"
        while name in taken or name in seen:
            name += "_"
        node.name = name
        seen.add(name)
