"""The one protocol of both executors: ONNX Runtime runs the graph, torch differentiates it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from engine.sim.quantization import Quantization

Arrays = dict[str, np.ndarray]


class Executor(Protocol):
    """Runs a model's graph under a quantization, batch by batch."""

    def run(self, quantization: Quantization, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> Arrays:
        """The graph's outputs and the watched tensors by name, as their readers see them (quantized)."""
        ...
