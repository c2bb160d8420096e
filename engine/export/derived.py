"""Encodings of tensors that have no quantizer of their own because their values are already on a grid.

A device's compiler wants an encoding for every tensor, and silently calibrates again where it finds none.
An op that only moves values carries its input's encoding, one that multiplies by a positive constant scales it;
quantizing such a tensor again changes nothing, so the export writes these encodings beside the simulated ones.
"""
from __future__ import annotations

from dataclasses import replace

from engine.quant.encoding import Encoding
from engine.quant.precision import Float
from engine.sim.quantization import Quantization
from engine.targets.slots import Placement

MIN_SCALE = 1e-37  # below it float32 loses digits


def with_derived(placement: Placement, quantization: Quantization) -> Quantization:
    """The quantization with the encodings of carried and scaled tensors added, in the order of execution."""
    found: dict[str, Encoding] = {}
    for name, slot in placement.slots.items():
        own = quantization.activations.get(name)
        if own is None and slot.kind != "constant" and slot.source is not None:
            source = found.get(slot.source) or quantization.constants.get(slot.source)
            own = None if source is None else _moved(source, slot.scaled[1] if slot.scaled else 1.0)
        if own is not None:
            found[name] = own
    found.update((n, e) for n, e in quantization.activations.items() if n not in found)
    return Quantization(found, quantization.constants, quantization.biases)


def _moved(source: Encoding, factor: float) -> Encoding | None:
    """The encoding of the values times a positive factor; None where float32 cannot hold its scale."""
    if factor == 1.0 or isinstance(source.dtype, Float) or source.scale is None:
        return source
    scale = source.scale * factor
    return replace(source, scale=scale) if float(scale.min()) > MIN_SCALE and float(scale.max()) < 1 / MIN_SCALE else None
