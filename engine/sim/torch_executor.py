"""The executor with gradients: the torch interpreter under the same quantization, on the CPU or CUDA."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

from engine.errors import UnsupportedOp
from engine.graph.model import Model
from engine.quant.encoding import Encoding
from engine.sim.interpreter import Interpreter
from engine.sim.quantization import Quantization

Hook = Callable[[torch.Tensor], torch.Tensor]


class TorchExecutor:
    """Runs a model's graph in torch. Gradients reach every weight through `interpreter`; `run` itself records none."""

    def __init__(self, model: Model, device: str | torch.device = "cpu") -> None:
        """Raises `UnsupportedOp`, naming the first node that torch cannot run."""
        blocked = Interpreter.unsupported(model.ir)
        if blocked:
            more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
            raise UnsupportedOp(f"{model.name} cannot be differentiated: {blocked[0]}{more}. "
                                "It can still be simulated, swept and exported; ONNX Runtime runs those.")
        self.model = model
        self.interpreter = Interpreter(model.ir, device=device)

    def run(self, quantization: Quantization, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """The graph's outputs and the watched tensors by name, as their readers see them (quantized)."""
        wanted = tuple(dict.fromkeys((*(o.name for o in self.model.outputs), *watch)))
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in feeds.items()}
            found = self.interpreter.run(tensors, wanted, self.hooks(quantization))
        return {name: found[name].cpu().numpy() for name in wanted}

    def hooks(self, quantization: Quantization) -> dict[str, Hook]:
        """One hook per quantized tensor and rounded initializer."""
        encodings = {**quantization.activations, **quantization.constants, **quantization.biases}
        return {name: _hook(encoding) for name, encoding in encodings.items()}


def _hook(encoding: Encoding) -> Hook:
    return lambda tensor: encoding.fake_quantize(tensor)
