"""The models that are timed: MobileNetV2 1.0 and ResNet-18 with random weights, and the bundled samples.

Random weights cost the same time as trained ones. Batch normalization is settled on pictures, because without that
the output of a deep random net does not depend on its input.
"""
from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from engine.data import Dataset, load_data
from engine.graph import Model, load_model

ROOT = Path(__file__).parents[1]
SIDE, SEED, OPSET = 224, 0, 20
INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclass(frozen=True)
class Case:
    """A model file with its float graph and images."""

    name: str
    path: Path
    model: Model
    data: Dataset


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: nn.Module | None = None) -> nn.Sequential:
    """Convolution, batch normalization, activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([] if act is None else [act]))


class Shortcut(nn.Module):
    """`act(body(x) + way(x))`."""

    def __init__(self, body: nn.Module, way: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.body, self.way, self.act = body, way, act

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.body(x) + self.way(x))
        return out


def mobilenet_v2(depth: int = 1) -> nn.Module:
    """MobileNetV2 1.0: 3.5 million parameters, 301 million multiplications at 224x224; `depth` times as many blocks of each kind."""
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.ReLU6())]
    channels = 32
    for expand, outputs, repeats, first in INVERTED:
        for i in range(repeats * depth):
            stride, hidden = first if i == 0 else 1, channels * expand
            wide = [] if expand == 1 else [conv_bn(channels, hidden, 1, act=nn.ReLU6())]
            body = nn.Sequential(*wide, conv_bn(hidden, hidden, 3, stride, hidden, nn.ReLU6()), conv_bn(hidden, outputs, 1))
            same = stride == 1 and channels == outputs
            layers.append(Shortcut(body, nn.Identity(), nn.Identity()) if same else body)
            channels = outputs
    return nn.Sequential(*layers, conv_bn(channels, 1280, 1, act=nn.ReLU6()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


def resnet18() -> nn.Module:
    """ResNet-18: 11.7 million parameters, 1.8 billion multiplications at 224x224."""
    layers: list[nn.Module] = [conv_bn(3, 64, 7, 2, act=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for outputs in (64, 128, 256, 512):
        for i in range(2):
            stride = 2 if i == 0 and outputs != 64 else 1
            body = nn.Sequential(conv_bn(channels, outputs, 3, stride, act=nn.ReLU()), conv_bn(outputs, outputs, 3))
            way = nn.Identity() if stride == 1 and channels == outputs else conv_bn(channels, outputs, 1, stride)
            layers.append(Shortcut(body, way, nn.ReLU()))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


@cache
def pictures(count: int) -> np.ndarray:
    """Pictures [count, 3, 224, 224] put together from 16 pieces of clothing each, in random tints."""
    with np.load(ROOT / "sample_models" / "fashion_vit" / "calibration.npz") as arrays:
        grey = next(arrays[key] for key in arrays.files if arrays[key].ndim >= 3).reshape(-1, 28, 28)
    rng = np.random.default_rng(SEED)
    chosen = grey[rng.integers(0, len(grey), count * 16)].astype(np.float32) / 255
    tiles = torch.nn.functional.interpolate(torch.from_numpy(chosen)[:, None], size=SIDE // 4, mode="bilinear")[:, 0].numpy()
    tints = rng.normal(0, 1.5, (2, count * 16, 3, 1, 1)).astype(np.float32)
    coloured = tiles[:, None] * tints[0] + tints[1] / 2
    grid = coloured.reshape(count, 4, 4, 3, SIDE // 4, SIDE // 4).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(grid.reshape(count, 3, SIDE, SIDE))


def settled(make: Callable[[], nn.Module]) -> nn.Module:
    """A seeded model whose batch normalization has seen pictures."""
    torch.manual_seed(SEED)
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over all batches
    with torch.no_grad():
        for batch in torch.from_numpy(pictures(32)).split(8):
            net(batch)
    return net.eval()


def large(name: str, make: Callable[[], nn.Module], images: int) -> Case:
    """A random model at 224x224 as an ONNX file with its batch normalization folded, as engines run it."""
    path = Path(tempfile.gettempdir()) / f"mixdown_benchmark_{os.getuid()}" / f"{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        example = (torch.zeros(2, 3, SIDE, SIDE),)
        program = torch.onnx.export(settled(make), example, dynamo=True, opset_version=OPSET,
                                    input_names=["image"], output_names=["logits"],
                                    dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)
        assert program is not None
        onnx.save(program.model_proto, path)
    data = Dataset("pictures", {"image": pictures(images)})
    return Case(name, path, load_model(path).with_sample(data.batch(0, 1)), data)


def sample(name: str, images: int) -> Case:
    """A bundled sample with images of its evaluation data."""
    folder = ROOT / "sample_models" / name
    model = load_model(folder / "model.onnx")
    data = load_data(folder / "evaluation.npz").bind(model.inputs).take(range(images))
    return Case(name, folder / "model.onnx", model.with_sample(data.batch(0, 1)), data)


def minilm(images: int) -> Case:
    """The sentence encoder all-MiniLM-L6-v2 on `images` sentences of 32 tokens; needs `make registry`."""
    from tests.registry import data, models

    model = load_model(models.path("minilm"))
    texts = data.texts(images).bind(model.inputs)
    return Case("minilm", models.path("minilm"), model.with_sample(texts.batch(0, 1)), texts)


CASES: dict[str, Callable[[int], Case]] = {
    "mobilenet_v2_224": partial(large, "mobilenet_v2", mobilenet_v2),
    "resnet18_224": partial(large, "resnet18", resnet18),
    "fashion_mobilenet": partial(sample, "fashion_mobilenet"),
    "fashion_vit": partial(sample, "fashion_vit"),
    "minilm": minilm,
}
