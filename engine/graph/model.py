"""A model as all rooms see it: a checked, simplified onnx-ir graph and the facts about it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx_ir

from engine.errors import BadInput, nearest
from engine.graph.layers import Layer, find_layers, weight_index
from engine.graph.load import read_proto
from engine.graph.shapes import example, probe
from engine.graph.simplify import name_nodes, simplify
from engine.graph.tensors import TensorInfo


@dataclass
class Model:
    """A float model. The graph may be changed by steps on a `clone()`; everything else is derived from it.

    Attributes:
        ir: the onnx-ir model; its graph is topologically sorted and every node and value has a name.
        name: the file's stem, or its folder's name where the file is called `model.onnx`.
        sha256: of the file it came from.
        path: of that file, None when it was made in memory.
        feeds: one sample used for shapes and costs (zeros unless data were given).
    """

    ir: onnx_ir.Model
    name: str
    sha256: str
    path: Path | None = None
    feeds: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def graph(self) -> onnx_ir.Graph:
        return self.ir.graph

    @property
    def opset(self) -> int:
        """The version of the default ONNX domain."""
        return int(self.graph.opset_imports.get("", 0))

    @cached_property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return tuple(TensorInfo.of(v) for v in self.graph.inputs)

    @cached_property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return tuple(TensorInfo.of(v) for v in self.graph.outputs)

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The graph as a protobuf; take it as read-only."""
        return onnx_ir.to_proto(self.ir)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → concrete shape for the sample in `feeds` (batch 1)."""
        feeds = self.feeds or example(self.inputs)
        return probe(self.proto, feeds, str(self.path or self.name))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        return find_layers(self.graph, self.shapes)

    @cached_property
    def values(self) -> dict[str, onnx_ir.Value]:
        """Every value of the graph by name: inputs, initializers and node outputs."""
        found = {str(v.name): v for v in (*self.graph.inputs, *self.graph.initializers.values())}
        found.update((str(v.name), v) for node in self.graph for v in node.outputs if v.name)
        return found

    @cached_property
    def nodes(self) -> dict[str, onnx_ir.Node]:
        return {str(node.name): node for node in self.graph}

    def layer(self, name: str) -> Layer:
        """The layer of that name; raises `BadInput` naming the nearest ones."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise BadInput(f"{self.name} has no layer {name!r}. {nearest(name, [x.name for x in self.layers])}")

    def constant(self, name: str) -> np.ndarray:
        """The data of an initializer."""
        value = self.graph.initializers[name]
        assert value.const_value is not None
        return value.const_value.numpy()

    def set_constant(self, name: str, data: np.ndarray) -> None:
        """Replaces an initializer's data (same name); derived facts are dropped."""
        value = self.graph.initializers[name]
        value.const_value = onnx_ir.tensor(np.ascontiguousarray(data), name=name)
        self.changed()

    def changed(self) -> None:
        """Drops everything derived from the graph; to be called after a step has edited it."""
        for key in ("inputs", "outputs", "proto", "shapes", "layers", "values", "nodes"):
            self.__dict__.pop(key, None)

    def clone(self) -> Model:
        """A copy whose graph can be changed; tensors are shared until they are replaced."""
        return Model(self.ir.clone(), self.name, self.sha256, self.path, dict(self.feeds))

    def with_sample(self, feeds: Mapping[str, np.ndarray]) -> Model:
        """The same model with shapes and costs taken from this sample."""
        return Model(self.ir, self.name, self.sha256, self.path, dict(feeds))


def load_model(path: str | Path) -> Model:
    """Loads, checks and simplifies an ONNX file.

    Raises:
        BadInput: the file cannot be read, is refused by a rule of `engine.graph.load`, or holds no layer.
    """
    path = Path(path)
    proto, sha256 = read_proto(path)
    return from_proto(proto, path.parent.name if path.stem == "model" else path.stem, sha256, path)


def from_proto(proto: onnx.ModelProto, name: str, sha256: str = "", path: Path | None = None) -> Model:
    """A `Model` from a checked ModelProto in memory."""
    model = onnx_ir.from_proto(proto)
    try:
        simplify(model)
    except BadInput:
        raise
    except Exception as error:  # the optimizer's own failures on odd graphs: work goes on with the graph as it is
        model = onnx_ir.from_proto(proto)
        name_nodes(model.graph)
        model.meta["not_simplified"] = f"{type(error).__name__}: {error}"[:200]
    found = Model(model, name, sha256, path)
    if not found.inputs:
        raise BadInput(f"{path or name}: the model has no inputs; expected at least one")
    _check_types(found)
    return found


def _check_types(model: Model) -> None:
    """Weights in float32 alone: a half-precision file has lost what quantization is to be compared with."""
    for node in model.graph:
        index = weight_index(node)
        if index is None:
            continue
        value = node.inputs[index]
        if value is not None and value.dtype not in (None, onnx_ir.DataType.FLOAT):
            raise BadInput(f"{model.path or model.name}: the weight {value.name!r} of {node.name!r} is {value.dtype}; "
                           "expected FLOAT: export the model in float32")
