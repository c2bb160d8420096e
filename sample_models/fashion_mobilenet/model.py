"""A narrow MobileNetV2 for 28x28 grey images."""
from __future__ import annotations

from torch import Tensor, nn

STEM, STEM_KERNEL, HEAD, CLASSES = 6, 5, 128, 10
# expansion, output channels, stride of each inverted residual
BLOCKS = ((4, 12, 2), (6, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 1), (6, 32, 1))


class ConvBn(nn.Module):
    """Convolution, batch normalization and, unless `linear`, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class Add(nn.Module):
    """A sum with a module's name."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation, and a shortcut where shapes allow it."""

    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvBn(inputs, hidden, 1)
        self.depthwise = ConvBn(hidden, hidden, 3, stride, groups=hidden)
        self.project = ConvBn(hidden, outputs, 1, linear=True)
        self.add = Add() if stride == 1 and inputs == outputs else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return out if self.add is None else self.add(x, out)


class FashionMobileNet(nn.Module):
    """Stem, inverted residuals, a 1x1 head, the mean over the picture, a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvBn(1, STEM, STEM_KERNEL)]
        channels = STEM
        for expansion, outputs, stride in BLOCKS:
            layers.append(InvertedResidual(channels, expansion, outputs, stride))
            channels = outputs
        layers.append(ConvBn(channels, HEAD, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return out
