"""Evaluation samples as pictures to look at, where the data are pictures: small PNGs as data addresses.

What a picture is can only be guessed from the array's shape: one channel or three (or four, of which three are drawn),
first or last. Stored bytes are drawn as they are; floats in 0..1 or 0..255 too; anything else is stretched between the
1st and 99th percentile of some samples, each channel by itself, so that pictures stay comparable with each other.
"""
from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from engine.data.dataset import Array, Dataset

Layout = Literal["chw", "hwc", "hw"]
MIN_SIDE, MAX_SIDE = 6, 4096
MIN_PLAIN = 12  # without an axis of channels: what is smaller is more likely a few positions with their features
SHOWN = 96  # px of the longer side
TRIED = 64  # samples whose values say how floats become brightness


@dataclass(frozen=True)
class Pictures:
    """Draws samples of one input; made by `pictures_of`.

    Attributes:
        low, high: what is black and white, per channel, in the array's own values.
        swapped: channels come as blue, green, red.
    """

    data: Dataset
    name: str
    layout: Layout
    low: Array
    high: Array
    swapped: bool = False

    def address(self, index: int) -> str:
        """Sample `index` as `data:image/png;base64,…`, at most 96 px high and wide."""
        pixels = _as_hwc(np.asarray(self.data.inputs[self.name][index: index + 1])[0], self.layout).astype(np.float64)
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        bytes_ = np.clip(np.nan_to_num((pixels - self.low) / span) * 255.0 + 0.5, 0, 255).astype(np.uint8)[:, :, :3]
        image = Image.fromarray(bytes_[:, :, 0]) if bytes_.shape[2] < 3 else Image.fromarray(bytes_[:, :, ::-1] if self.swapped else bytes_)
        if max(image.size) > SHOWN:
            image.thumbnail((SHOWN, SHOWN))
        out = io.BytesIO()
        image.save(out, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def pictures_of(data: Dataset) -> Pictures | None:
    """The pictures in a dataset: of its only input that looks like one; None where none or several do."""
    shapes = {name: layout for name, rows in data.inputs.items()
              if name not in (data.shared or ()) and (layout := layout_of(rows.shape[1:], rows.dtype.kind)) is not None}
    if len(shapes) != 1 or not len(data):
        return None
    name, layout = next(iter(shapes.items()))
    rows = data.inputs[name]
    options = getattr(rows, "options", None)  # of pictures that are decoded when they are read
    low, high = _limits(_as_hwc(np.asarray(rows[: min(TRIED, len(data))]), layout))
    return Pictures(data, name, layout, low, high, getattr(options, "colour", "rgb") == "bgr")


def layout_of(shape: tuple[int, ...], kind: str) -> Layout | None:
    """How one sample of that shape would be a picture; None where it would not."""
    if kind not in "uif" or not all(shape) or len(shape) not in (2, 3):
        return None
    if len(shape) == 2:
        return "hw" if _sides(shape) and min(shape) >= MIN_PLAIN else None
    if shape[0] in (1, 3, 4) and _sides(shape[1:]):
        return "chw"
    return "hwc" if shape[2] in (1, 3, 4) and _sides(shape[:2]) else None


def _sides(sides: tuple[int, ...]) -> bool:
    # A long thin array is a table or a signal rather than a picture.
    return all(MIN_SIDE <= side <= MAX_SIDE for side in sides) and max(sides) <= 4 * min(sides)


def _as_hwc(array: Array, layout: Layout) -> Array:
    """The last three axes as height, width, channel."""
    if layout == "hw":
        return array[..., None]
    return np.moveaxis(array, -3, -1) if layout == "chw" else array


def _limits(some: Array) -> tuple[Array, Array]:
    """Black and white per channel, from the type or from the values of some samples [N, H, W, C]."""
    channels = some.shape[-1]
    if some.dtype == np.uint8:
        return np.zeros(channels), np.full(channels, 255.0)
    values = np.nan_to_num(some.reshape(-1, channels).astype(np.float64))
    for top in (1.0, 255.0):
        if values.min() >= 0 and 0.4 * top < values.max() <= top:
            return np.zeros(channels), np.full(channels, top)
    return np.percentile(values, 1, axis=0), np.percentile(values, 99, axis=0)
