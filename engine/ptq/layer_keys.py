"""What a finished layer is kept under, and in which form: a hash of all that its result depends on, grown along a walk.

That is: the step and its settings, the data, and every node, constant, encoding and earlier result up to the layer. What lies
behind it is not in it, so that an edit there leaves the layer as it was kept.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir
import onnxruntime
import torch
from torch import Tensor

from engine.ptq.lane import Lane
from engine.quant.encoding import Encoding
from engine.quant.grid import Grid
from engine.quant.precision import Int
from engine.targets import WeightPlan


class LayerKeys:
    """The growing hash of one walk; `lane` is that of the graph which is being changed."""

    def __init__(self, lane: Lane, signature: str, data: str, spans: list[tuple[int, int]]) -> None:
        self._lane, self._hashed = lane, 0
        versions = (torch.__version__, onnxruntime.__version__)
        self._digest = hashlib.sha256(json.dumps([signature, data, spans, versions, str(lane.level)]).encode())

    def key(self, node: str, of_layer: str) -> str:
        """The key of a layer by its node; `of_layer` says what else its result depends on."""
        self._add_nodes(self._lane.place[node] + 1)
        self._digest.update(of_layer.encode())
        return self._digest.hexdigest()[:40]

    def add(self, values: list[onnx_ir.Value | None], encoding: Encoding | None) -> None:
        """A layer's result: its constants and its grid as they are now."""
        for value in values:
            self._add_constant(value)
        self._digest.update(b"" if encoding is None else encoding.key().encode())

    def _add_nodes(self, stop: int) -> None:
        lane = self._lane
        for name in lane.order[self._hashed:stop]:
            node = lane.model.nodes[name]
            self._digest.update(onnx_ir.serde.serialize_node(node).SerializeToString(deterministic=True))
            for value in (*node.inputs, *node.outputs):
                self._add_constant(value)
                found = lane.quantization
                encoding = None if value is None else found.activations.get(str(value.name)) or found.constants.get(str(value.name))
                self._digest.update(b"" if encoding is None else encoding.key().encode())
        self._hashed = max(stop, self._hashed)

    def _add_constant(self, value: onnx_ir.Value | None) -> None:
        if value is not None and value.const_value is not None:
            self._digest.update(np.ascontiguousarray(value.const_value.numpy()).tobytes())


def packed(weight: Tensor | None, encoding: Encoding | None, bias: Tensor | np.ndarray | None,
           facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A layer's result as arrays."""
    arrays = {"facts": np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)}
    if weight is not None:
        arrays["weight"] = weight.detach().to(torch.float32).numpy()
    if encoding is not None and encoding.grid is not None and encoding.scale is not None and encoding.zero_point is not None:
        arrays |= {"scale": encoding.scale.numpy(), "zero_point": encoding.zero_point.numpy(),
                   "symmetry": np.frombuffer(encoding.grid.symmetry.encode(), np.uint8)}
    if bias is not None:
        arrays["bias"] = np.asarray(bias)
    return arrays


def unpacked(found: Mapping[str, np.ndarray], plan: WeightPlan) -> tuple[Tensor | None, Encoding | None, np.ndarray | None, dict[str, Any]]:
    """(weight, encoding, bias, facts) from what `packed` made."""
    encoding = None
    if "scale" in found:
        assert isinstance(plan.dtype, Int)
        grid = Grid(plan.dtype.bits, found["symmetry"].tobytes().decode())  # type: ignore[arg-type]
        encoding = Encoding(plan.dtype, plan.granularity, grid, torch.from_numpy(found["scale"]), torch.from_numpy(found["zero_point"]))
    weight = torch.from_numpy(found["weight"]) if "weight" in found else None
    return weight, encoding, found.get("bias"), json.loads(found["facts"].tobytes())
