"""What a folded BatchNormalization said of its output: mean and spread of each channel, kept at the layer that took it over.

They stand in the node's metadata as base64 of little-endian float32 (a few bytes a channel), so they survive a saved graph;
exports drop them.
"""
from __future__ import annotations

import base64

import numpy as np
import onnx_ir as ir

from engine.graph.notes import PREFIX

KEY = f"{PREFIX}batch_norm"


def keep_norm(layer: ir.Node, beta: np.ndarray, gamma: np.ndarray) -> None:
    """Keeps the mean (beta) and the standard deviation (|gamma|) of the layer's output channels, both [channels]."""
    data = np.stack([beta, np.abs(gamma)]).astype("<f4").tobytes()
    layer.metadata_props[KEY] = base64.b64encode(data).decode("ascii")


def kept_norm(layer: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """(mean, standard deviation) of the layer's output channels, float64; None where no norm was folded or the text is not ours."""
    try:
        data = np.frombuffer(base64.b64decode(layer.metadata_props[KEY], validate=True), "<f4")
    except (KeyError, ValueError):
        return None
    if data.size % 2 or not np.isfinite(data).all():
        return None
    mean, deviation = data.astype(np.float64).reshape(2, -1)
    return mean, deviation


def scale_norm(layer: ir.Node, divisor: np.ndarray) -> None:
    """After the layer's outputs were divided by positive factors [channels]."""
    kept = kept_norm(layer)
    if kept is not None and kept[0].shape == divisor.shape:
        keep_norm(layer, kept[0] / divisor, kept[1] / divisor)


def shift_norm(layer: ir.Node, amount: np.ndarray) -> None:
    """After an amount was taken from the layer's outputs [channels]."""
    kept = kept_norm(layer)
    if kept is not None and kept[0].shape == amount.shape:
        keep_norm(layer, kept[0] - amount, kept[1])
