"""Padding positions of sequences, which say nothing about the data: left out of ranges and metrics."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.graph.model import Model

MASK_NAMES = ("attention_mask", "input_mask", "padding_mask", "mask")


@dataclass(frozen=True)
class Padding:
    """The model input that marks real positions with 1 and padding with 0; None when there is none."""

    mask: str | None

    @staticmethod
    def of(model: Model) -> Padding:
        """Finds a mask input by name and type: an integer or bool array of [batch, positions]."""
        for info in model.inputs:
            if info.name in MASK_NAMES and not info.is_float and info.shape is not None and len(info.shape) == 2:
                return Padding(info.name)
        return Padding(None)

    def valid(self, array: np.ndarray, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        """The values at real positions.

        Tensors of [batch, positions, …] lose their padded positions, attention scores of
        [batch, heads, positions, positions] the rows and columns of padding; others are unchanged.
        """
        if self.mask is None:
            return array
        real = np.asarray(feeds[self.mask]).astype(bool)
        if array.ndim >= 2 and array.shape[:2] == real.shape:
            return array[real]
        if array.ndim == 4 and array.shape[0] == real.shape[0] and array.shape[2:] == (real.shape[1],) * 2:
            pairs = (real[:, :, None] & real[:, None, :])[:, None]
            return array[np.broadcast_to(pairs, array.shape)]
        return array
