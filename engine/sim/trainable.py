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
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from engine.errors import BadInput
from engine.graph.layers import Layer, constant_shape
from engine.quant.encoding import Encoding
from engine.quant.straight_through import PassThrough
from engine.sim.bias import rounded, widened
from engine.sim.quantizer_module import Numbers, Quantizer, Quantizers, Ranges
from engine.sim.quantsim import QuantSim
from engine.sim.torch_executor import Hook, TorchExecutor

# Never trained: statistics, bounds, sizes.
FIXED_INPUTS = {"BatchNormalization": (3, 4), "Clip": (1, 2), "Resize": (1, 2), "Pad": (2,), "Pow": (1,)}


class QuantModule(nn.Module):
    """The quantized graph of `sim` in torch, in training and evaluation alike.

    Attributes:
        weights: trainable initializers by name: layer weights, biases, norm parameters, learned embeddings and positions.
        quantizers: one for each encoding of the simulation; tensors that are tied share one. Their numbers are two parameters.
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
        of = _quantizers(sim, ranges)
        self.quantizers = Quantizers(tuple(dict.fromkeys(of.values())), self.executor.interpreter.device)
        place = {quantizer: i for i, quantizer in enumerate(self.quantizers.all)}
        self._place = {name: place[quantizer] for name, quantizer in of.items()}
        self._biases = _biases(sim)

    def forward(self, watch: Sequence[str] = (), **feeds: Tensor) -> dict[str, Tensor]:
        """Outputs, and watched tensors as their readers see them, by name; `feeds` are the model's inputs by name."""
        return self.run(feeds, watch)

    def run(self, feeds: Mapping[str, Tensor], watch: Sequence[str] = ()) -> dict[str, Tensor]:
        """`forward` for inputs whose names are no Python names."""
        wanted = tuple(dict.fromkeys((*self.output_names, *watch)))
        return self.executor.interpreter.run(feeds, wanted, self._hooks())

    def _hooks(self) -> dict[str, Hook]:
        """What each quantized tensor goes through in one run: its ranges are computed once, and each weight is rounded once."""
        numbers, biases = self._numbers()
        hooks: dict[str, Hook] = {name: partial(self.quantizers.all[i], numbers=numbers[i]) for name, i in self._place.items()}
        return hooks | {name: partial(_round_bias, scale=scale) for name, scale in biases.items()}

    def _numbers(self) -> tuple[list[Numbers | None], dict[str, Tensor]]:
        """Scales and zero points of the quantizers, and the scales of int32 biases, for which a weight's scale may be enlarged."""
        numbers, biases = self.quantizers.numbers(), dict[str, Tensor]()
        for layer in self._biases:
            weight, source = numbers[self._place[layer.weight]], numbers[self._place[layer.reads[0]]]
            if weight is None or source is None or layer.bias is None:
                continue
            value = self.executor.interpreter.parameters[layer.bias]
            wide = widened(weight[0].detach(), source[0].detach(), value.detach())
            numbers[self._place[layer.weight]] = torch.where(wide > weight[0], wide, weight[0]), weight[1]
            biases[layer.bias] = wide * source[0].detach()
        return numbers, biases

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
        """The encoding of every quantized tensor and initializer but int32 biases, which follow from them; forward uses exactly these."""
        with torch.no_grad():
            numbers, _ = self._numbers()
        found = [quantizer.encoding(own) for quantizer, own in zip(self.quantizers.all, numbers, strict=True)]
        return {name: found[i] for name, i in self._place.items()}

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


def _quantizers(sim: QuantSim, ranges: Ranges) -> dict[str, Quantizer]:
    """The quantizer of every tensor and initializer that has one."""
    quantization = sim.quantization
    found: dict[str, Quantizer] = {}
    tied: dict[str, Quantizer] = {}
    for name, encoding in quantization.activations.items():
        group = sim.plan.activations[name].tied or name
        if group not in tied:
            tied[group] = Quantizer(encoding, ranges, math.prod(sim.model.shapes.get(name, ())))
        found[name] = tied[group]
    for name, encoding in quantization.constants.items():
        shape = constant_shape(sim.model.graph.initializers[name])
        found[name] = Quantizer(encoding, _of_weights(ranges), math.prod(shape))
    return found


def _biases(sim: QuantSim) -> tuple[Layer, ...]:
    """The layers whose bias is int32 under the recipe."""
    return tuple(layer for layer in sim.model.layers if layer.bias in sim.quantization.biases)


def _round_bias(x: Tensor, scale: Tensor) -> Tensor:
    found: Tensor = PassThrough.apply(x, rounded(x.detach(), scale), 1.0)
    return found


def _of_weights(ranges: Ranges) -> Ranges:
    """A learned clip is a rule for activations; weights then learn their scale."""
    return "lsq" if ranges == "pact" else ranges
