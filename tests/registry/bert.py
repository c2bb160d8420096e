"""A BERT encoder (all-MiniLM-L6-v2) in plain torch, its weights, and the tokenizer that goes with it."""
from __future__ import annotations

import json
import math
import struct
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, HIDDEN, WORDS, POSITIONS = 384, 12, 6, 1536, 30522, 512


class Attention(nn.Module):
    """Multi-head self-attention; `mask` is added to the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)

        scores = heads(self.query(x)) @ heads(self.key(x)).transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + mask
        return (scores.softmax(-1) @ heads(self.value(x))).transpose(1, 2).flatten(2)


class Output(nn.Module):
    """A linear layer, the shortcut and the normalization after it."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(inputs, WIDTH), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        out: Tensor = self.LayerNorm(self.dense(x) + shortcut)
        return out


class Layer(nn.Module):
    """Attention and feed-forward, each with a normalized shortcut; submodules are named as in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": Attention(), "output": Output(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, HIDDEN)})
        self.output = Output(HIDDEN)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        out: Tensor = self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)
        return out


class MiniLM(nn.Module):
    """Sentence encoder: the mean of the real tokens' vectors, of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(WORDS, WIDTH), "position_embeddings": nn.Embedding(POSITIONS, WIDTH),
            "token_type_embeddings": nn.Embedding(2, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, eps=1e-12)})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        e = self.embeddings
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        x = e["word_embeddings"](input_ids) + e["token_type_embeddings"].weight[0] + e["position_embeddings"](positions)
        x = e["LayerNorm"](x)
        real = attention_mask.to(x.dtype)
        mask = (1.0 - real)[:, None, None, :] * torch.finfo(torch.float32).min
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            x = layer(x, mask)
        pooled = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True).clamp(min=1e-9)
        return nn.functional.normalize(pooled, dim=-1)


def load(folder: Path) -> MiniLM:
    """The encoder with the weights of `model.safetensors` (its pooler is not part of a sentence encoder)."""
    raw = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name == "__metadata__" or name.startswith("pooler.") or entry["dtype"] != "F32":
            continue
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = torch.from_numpy(np.frombuffer(raw[start:stop], np.float32).reshape(entry["shape"]).copy())
    model = MiniLM().eval()
    model.load_state_dict(tensors)
    return model


class WordPiece:
    """The uncased tokenizer of BERT: words and punctuation, then the longest pieces that the vocabulary has."""

    def __init__(self, vocabulary: Path) -> None:
        self.ids = {word: i for i, word in enumerate(vocabulary.read_text(encoding="utf-8").splitlines())}

    def pieces(self, word: str) -> list[int]:
        """Ids of one word's pieces; `[UNK]` where the vocabulary lacks a letter."""
        found, start = list[int](), 0
        while start < len(word):
            for stop in range(len(word), start, -1):
                piece = word[start:stop] if start == 0 else f"##{word[start:stop]}"
                if piece in self.ids:
                    found.append(self.ids[piece])
                    start = stop
                    break
            else:
                return [self.ids["[UNK]"]]
        return found

    def encode(self, text: str, limit: int) -> list[int]:
        """`[CLS] … [SEP]`, at most `limit` ids."""
        letters = [c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn"]
        words = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in letters).split()
        ids = [i for word in words for i in self.pieces(word)]
        return [self.ids["[CLS]"], *ids[:limit - 2], self.ids["[SEP]"]]

    def batch(self, texts: Iterable[str], length: int) -> dict[str, np.ndarray]:
        """The model's two inputs, padded to `length`."""
        rows = [self.encode(text, length) for text in texts]
        ids, mask = np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.int64)
        for i, row in enumerate(rows):
            ids[i, :len(row)], mask[i, :len(row)] = row, 1
        return {"input_ids": ids, "attention_mask": mask}
