"""A simulation as a plain `torch.nn.Module`: weights and ranges are parameters, so any training loop can train it.

    module = QuantModule(sim)
    optimizer = torch.optim.AdamW(module.groups(1e-3, 1e-3))
    loss(module(image=images)["logits"], labels).backward()
    module.commit(sim)

Forward is the arithmetic of the simulation, encodings included: what is trained is what is evaluated and exported.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from engine.errors import BadInput
from engine.graph.layers import constant_shape
from engine.quant.encoding import Encoding
from engine.sim.quantization import Quantization
from engine.sim.quantizer_module import Quantizer, Ranges
from engine.sim.quantsim import QuantSim
from engine.sim.torch_executor import TorchExecutor

# Never trained: statistics, bounds, sizes.
FIXED_INPUTS = {"BatchNormalization": (3, 4), "Clip": (1, 2), "Resize": (1, 2), "Pad": (2,), "Pow": (1,)}


class QuantModule(nn.Module):
    """The quantized graph of `sim` in torch, in training and evaluation alike.

    Attributes:
        weights: trainable initializers by name: layer weights, biases, norm parameters, learned embeddings and positions.
        quantizers: one for each encoding of the simulation; tensors that are tied share one.
    """

    def __init__(self, sim: QuantSim, ranges: Ranges = "lsq", device: str | torch.device = "cpu") -> None:
        """`sim` must be calibrated; it is not changed until `commit`. Raises `UnsupportedOp` where torch cannot run the graph."""
        super().__init__()
        self.executor = TorchExecutor(sim.model, device)
        self.output_names = tuple(o.name for o in sim.model.outputs)
        parameters = self.executor.interpreter.parameters
        self._names = tuple(name for name in trainable(sim.model.graph) if name in parameters)
        self.weights = nn.ParameterList([nn.Parameter(parameters[name].clone()) for name in self._names])
        for name, weight in zip(self._names, self.weights, strict=True):
            parameters[name] = weight
        self._quantizer_of = _quantizers(sim, ranges, self.executor.interpreter.device)
        self.quantizers = nn.ModuleList(dict.fromkeys(self._quantizer_of.values()))  # a list: tensor names may hold dots

    def forward(self, watch: Sequence[str] = (), **feeds: Tensor) -> dict[str, Tensor]:
        """Outputs, and watched tensors as their readers see them, by name; `feeds` are the model's inputs by name."""
        return self.run(feeds, watch)

    def run(self, feeds: Mapping[str, Tensor], watch: Sequence[str] = ()) -> dict[str, Tensor]:
        """`forward` for inputs whose names are no Python names."""
        return self.executor.interpreter.run(feeds, tuple(dict.fromkeys((*self.output_names, *watch))), self._quantizer_of)

    def groups(self, learning_rate: float, range_rate: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Parameter groups for a torch optimizer: decay on weight matrices alone, none on biases, norms and ranges."""
        weights = list(self.weights.parameters())
        matrices, vectors = [w for w in weights if w.dim() > 1], [w for w in weights if w.dim() <= 1]
        ranges = [p for p in self.quantizers.parameters() if p.requires_grad]
        groups = [{"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
                  {"params": vectors, "lr": learning_rate, "weight_decay": 0.0},
                  {"params": ranges, "lr": range_rate, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def constants(self) -> dict[str, np.ndarray]:
        """The trained initializers by name, float32, as they are: quantizers round them."""
        return {name: weight.detach().cpu().numpy().copy() for name, weight in zip(self._names, self.weights, strict=True)}

    def encodings(self) -> dict[str, Encoding]:
        """The encoding of every quantized tensor and initializer; forward uses exactly these numbers."""
        return {name: quantizer.encoding() for name, quantizer in self._quantizer_of.items()}

    def quantization(self, sim: QuantSim) -> Quantization:
        """The encodings in the form that executors take; biases are float."""
        found, activations = self.encodings(), sim.quantization.activations
        return Quantization({n: e for n, e in found.items() if n in activations}, {n: e for n, e in found.items() if n not in activations})

    def commit(self, sim: QuantSim) -> None:
        """Puts the trained weights and encodings into `sim`, whose graph must be the one that this module was made from."""
        for name, array in self.constants().items():
            if name not in sim.model.graph.initializers:
                raise BadInput(f"the simulation has no initializer {name!r}: it is not the graph that was trained")
            sim.model.set_constant(name, array)
        statistics = sim.statistics
        sim.graph_changed()
        sim.adopt(statistics)
        for name, encoding in self.encodings().items():
            sim.pin(name, encoding)


def trainable(graph: ir.Graph) -> Iterable[str]:
    """Names of the initializers that training changes: float arrays of more than one value, but statistics and bounds."""
    for name, value in graph.initializers.items():
        constant = value.const_value
        if constant is None or value.dtype != ir.DataType.FLOAT or constant.size < 2:
            continue
        if not any(use.idx in FIXED_INPUTS.get(use.node.op_type, ()) for use in value.uses()):
            yield name


def _quantizers(sim: QuantSim, ranges: Ranges, device: torch.device) -> dict[str, Quantizer]:
    """The quantizer of every tensor and initializer that has one."""
    quantization = sim.quantization
    found: dict[str, Quantizer] = {}
    tied: dict[str, Quantizer] = {}
    for name, encoding in quantization.activations.items():
        group = sim.plan.activations[name].tied or name
        if group not in tied:
            tied[group] = Quantizer(encoding, ranges, math.prod(sim.model.shapes.get(name, ())), device)
        found[name] = tied[group]
    for name, encoding in quantization.constants.items():
        shape = constant_shape(sim.model.graph.initializers[name])
        found[name] = Quantizer(encoding, _of_weights(ranges), math.prod(shape), device)
    return found


def _of_weights(ranges: Ranges) -> Ranges:
    """A learned clip is a rule for activations; weights then learn their scale."""
    return "lsq" if ranges == "pact" else ranges
