"""`data.yaml`: a folder of pictures as model inputs, decoded when they are needed and kept as bytes."""
from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from engine.data.dataset import Array, Dataset, InputInfo, Scaling
from engine.data.image_labels import SUFFIXES, read_labels
from engine.errors import BadInput, nearest
from engine.safe_yaml import load_yaml

MAX_PIXELS = 50_000_000
MAX_FILES = 200_000
CHECKED_FILES = 1000
CACHE_BYTES = 512 * 1024**2
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")
KEYS = ("images", "size", "mean", "std", "layout", "colour", "resize", "labels", "classes", "input")
Layout = Literal["nchw", "nhwc"]
Colour = Literal["rgb", "bgr", "gray"]
Resize = Literal["stretch", "crop", "pad"]


@dataclass(frozen=True)
class ImageOptions:
    """What a `data.yaml` says about its pictures."""

    height: int
    width: int
    layout: Layout = "nchw"
    colour: Colour = "rgb"
    resize: Resize = "stretch"

    @property
    def channels(self) -> int:
        return 1 if self.colour == "gray" else 3


@dataclass(eq=False)
class ImageRows:
    """Pictures as rows of bytes: looks like an array of [N, …] uint8, decodes a picture when it is read."""

    files: tuple[Path, ...]
    options: ImageOptions
    cache: dict[Path, Array] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        o = self.options
        sizes = (o.channels, o.height, o.width) if o.layout == "nchw" else (o.height, o.width, o.channels)
        return (len(self.files), *sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        """A slice decodes; a list of indices selects pictures without decoding them."""
        if isinstance(index, slice):
            rows = [self._row(path) for path in self.files[index]]
            return np.stack(rows) if rows else np.empty((0, *self.shape[1:]), np.uint8)
        return ImageRows(tuple(self.files[int(i)] for i in np.asarray(index)), self.options, self.cache)

    def content_hash(self) -> bytes:
        """A hash of the files' content and of how they are decoded."""
        digest = hashlib.sha256(repr(self.options).encode())
        for path in self.files:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.digest()

    def _row(self, path: Path) -> Array:
        row = self.cache.get(path)
        if row is None:
            row = decode(path, self.options)
            if (len(self.cache) + 1) * row.nbytes <= CACHE_BYTES:
                self.cache[path] = row
        return row


def decode(path: Path, options: ImageOptions) -> Array:
    """One picture as bytes in the layout, colour and size asked for; raises `BadInput` that names the file."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            _bounded(path, image.size)
            image.draft("L" if options.colour == "gray" else "RGB", (options.width, options.height))
            mode = "L" if options.colour == "gray" else "RGB"
            pixels = np.asarray(_resized(image.convert(mode), options), np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path}: cannot be decoded as a picture: {_line(error)}") from None
    pixels = pixels.reshape(options.height, options.width, options.channels)
    if options.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) if options.layout == "nchw" else pixels)


def _bounded(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise BadInput(f"{path}: claims {size[0]}x{size[1]} pixels: at most {MAX_PIXELS:,} are decoded")


def _resized(image: Image.Image, options: ImageOptions) -> Image.Image:
    """`stretch` to the size, `crop` its middle after the shorter side fits, or `pad` with black."""
    wanted = (options.width, options.height)
    if options.resize == "stretch" or image.size == wanted:
        return image.resize(wanted, Image.Resampling.BILINEAR)
    pick = max if options.resize == "crop" else min
    factor = pick(wanted[0] / image.width, wanted[1] / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    left, top = (size[0] - wanted[0]) // 2, (size[1] - wanted[1]) // 2
    scaled = image.resize(size, Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + wanted[0], top + wanted[1]))


def load_images(path: Path, inputs: Sequence[InputInfo] | None = None) -> Dataset:
    """The dataset that a `data.yaml` describes; the first pictures' headers are checked, pixels are not read yet."""
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise BadInput(f"{path}: expected a mapping with `images:` and `size:`")
    for key in data:
        if key not in KEYS:
            raise BadInput(f"{path}: unknown key {key[:60]!r}. {nearest(key, KEYS)}")
    options = _options(path, data)
    folder = path.parent / str(data.get("images", "."))
    if not folder.is_dir():
        raise BadInput(f"{path}: images: {str(folder)[:200]!r} is no folder")
    files = _files(path, folder)
    labels: Array | None = None
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    if "labels" in data:
        files, labels, notes, classes = read_labels(path, folder, files, data)
    for file in files[:CHECKED_FILES]:
        _check_header(file)
    name = str(data["input"]) if "input" in data else inputs[0].name if inputs else "image"
    rows = ImageRows(tuple(files), options)
    return Dataset(path.name, {name: rows}, labels, {name: _scaling(path, data, options)}, str(path), notes, classes=classes)


def _options(path: Path, data: dict[str, Any]) -> ImageOptions:
    size = data.get("size")
    sides = [size, size] if isinstance(size, int) else size
    if not isinstance(sides, list) or len(sides) != 2 or not all(type(s) is int and 1 <= s <= 8192 for s in sides):
        raise BadInput(f"{path}: size is {repr(size)[:60]}: expected [height, width] or one number, 1 to 8192")
    choices = {"layout": ("nchw", "nhwc"), "colour": ("rgb", "bgr", "gray"), "resize": ("stretch", "crop", "pad")}
    chosen: dict[str, Any] = {}
    for key, known in choices.items():
        chosen[key] = data.get(key, known[0])
        if chosen[key] not in known:
            raise BadInput(f"{path}: {key} is {repr(chosen[key])[:60]}: expected {', '.join(known)}")
    return ImageOptions(sides[0], sides[1], **chosen)


def _scaling(path: Path, data: dict[str, Any], options: ImageOptions) -> Scaling:
    """Mean and standard deviation, of pixels in 0..1, as one scale and offset per channel of the bytes."""
    means, stds = (_channels(path, key, data.get(key, start), options) for key, start in (("mean", 0.0), ("std", 1.0)))
    if any(s <= 0 for s in stds):
        raise BadInput(f"{path}: std is {list(stds)}: expected numbers above 0")
    scale = tuple(1.0 / (255.0 * s) for s in stds)
    offset = tuple(-m / s for m, s in zip(means, stds, strict=True))
    return Scaling(scale, offset, "float32", 1 if options.layout == "nchw" else 3)


def _channels(path: Path, key: str, value: Any, options: ImageOptions) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value] * options.channels
    good = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not good or len(values) != options.channels:
        raise BadInput(f"{path}: {key} is {repr(value)[:60]}: expected {options.channels} numbers, of pixels in 0..1")
    return tuple(float(v) for v in values)


def _files(path: Path, folder: Path) -> list[Path]:
    files = []
    for file in folder.rglob("*"):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            files.append(file)
            if len(files) > MAX_FILES:
                raise BadInput(f"{path}: more than {MAX_FILES:,} pictures: choose a smaller folder")
    if not files:
        raise BadInput(f"{path}: no pictures in {folder}: expected {', '.join(SUFFIXES)}")
    return sorted(files)


def _check_header(file: Path) -> None:
    try:
        with Image.open(file, formats=FORMATS) as image:
            _bounded(file, image.size)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{file}: is no picture that can be read: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
