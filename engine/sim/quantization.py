"""What is quantized and how: the encodings of one recipe on one graph, as plain frozen data."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.quant.encoding import Encoding


@dataclass(frozen=True, eq=False)
class Quantization:
    """Encodings by tensor name.

    Attributes:
        activations: tensors that get a quantizer where they are produced (or fed); every reader sees
            the quantized value.
        constants: initializers that are rounded once: layer weights, norm parameters, constant operands.
        biases: initializers stored as int32 with the scale `weight scale * input scale` (`bias: int32`).
    """

    activations: Mapping[str, Encoding] = field(default_factory=dict)
    constants: Mapping[str, Encoding] = field(default_factory=dict)
    biases: Mapping[str, Encoding] = field(default_factory=dict)

    def constant(self, name: str) -> Encoding | None:
        """The encoding of an initializer, weight or bias."""
        return self.constants.get(name) or self.biases.get(name)


FLOAT = Quantization()
"""Nothing is quantized: the float model."""
