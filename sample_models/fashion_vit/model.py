"""A small vision transformer for 28x28 grey images, attention written out."""
from __future__ import annotations

import torch
from torch import Tensor, nn

STEM, WIDTH, DEPTH, HEADS, HIDDEN, CLASSES = 24, 48, 3, 4, 96, 10
TOKENS = 49  # 7 x 7: each of the stem's two convolutions halves the picture


class Product(nn.Module):
    """A matrix product of two activations, with a module's name."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class Add(nn.Module):
    """A sum with a module's name."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Attention(nn.Module):
    """Multi-head self-attention as separate products, so that each of its tensors is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.scores = Product()
        self.softmax = nn.Softmax(-1)
        self.context = Product()
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = (-1, TOKENS, HEADS, WIDTH // HEADS)
        query = self.query(x).reshape(heads).permute(0, 2, 1, 3)
        key = self.key(x).reshape(heads).permute(0, 2, 3, 1)
        value = self.value(x).reshape(heads).permute(0, 2, 1, 3)
        weights = self.softmax(self.scores(query, key) * (WIDTH // HEADS) ** -0.5)
        context = self.context(weights, value).permute(0, 2, 1, 3).reshape(-1, TOKENS, WIDTH)
        out: Tensor = self.out(context)
        return out


class Block(nn.Module):
    """Attention and two linear layers, each after a LayerNorm and around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention, self.add1 = nn.LayerNorm(WIDTH), Attention(), Add()
        self.norm2, self.fc1, self.gelu = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, HIDDEN), nn.GELU()
        self.fc2, self.add2 = nn.Linear(HIDDEN, WIDTH), Add()

    def forward(self, x: Tensor) -> Tensor:
        x = self.add1(x, self.attention(self.norm1(x)))
        out: Tensor = self.add2(x, self.fc2(self.gelu(self.fc1(self.norm2(x)))))
        return out


class FashionViT(nn.Module):
    """A stem of two convolutions, learned positions, three blocks, the mean over the tokens, a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem1, self.stem_gelu = nn.Conv2d(1, STEM, 3, 2, 1), nn.GELU()
        self.stem2 = nn.Conv2d(STEM, WIDTH, 3, 2, 1)
        self.positions = nn.Parameter(0.02 * torch.randn(1, TOKENS, WIDTH))
        self.add_positions = Add()
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.stem2(self.stem_gelu(self.stem1(image))).reshape(-1, WIDTH, TOKENS).permute(0, 2, 1)
        tokens = self.blocks(self.add_positions(tokens, self.positions))
        out: Tensor = self.classifier(self.norm(tokens).mean(1))
        return out
