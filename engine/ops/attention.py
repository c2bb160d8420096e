"""Attention as one operator, and rotary position embedding."""
from __future__ import annotations

import math

import torch
from torch.nn import functional

from engine.ops.dtypes import torch_dtype
from engine.ops.registry import Kernel, NodeSpec, Tensor, op


def _heads(x: Tensor, count: int) -> Tensor:
    """[batch, time, heads * size] to [batch, heads, time, size]."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _allowed(spec: NodeSpec, distance: Tensor) -> Tensor | None:
    """Which keys a query may see, from the distance that it is ahead of them; None for all."""
    left, right = spec.integer("left_window_size", -1), spec.integer("right_window_size", -1)
    right = 0 if spec.flag("is_causal") else right
    allowed = distance <= left if left >= 0 else None
    if right >= 0:
        seen = distance >= -right
        allowed = seen if allowed is None else allowed & seen
    return allowed


def _bias(
    spec: NodeSpec, q: Tensor, k: Tensor, mask: Tensor | None, past: int, lengths: Tensor | None
) -> Tensor:
    """Everything that is added to the scores: 0 where a key may be seen, minus infinity elsewhere."""
    queries, keys = q.shape[-2], k.shape[-2]
    zero, never = q.new_zeros(()), q.new_full((), -math.inf)
    bias = q.new_zeros(queries, keys)
    if mask is not None:
        missing = keys - mask.shape[-1]
        if mask.dtype == torch.bool:
            mask = torch.where(mask, zero, never)
        bias = bias + (functional.pad(mask, (0, missing), value=-math.inf) if missing > 0 else mask)
    position = torch.arange(queries, device=q.device)[:, None]
    offset: int | Tensor = past
    if lengths is not None:
        offset = (lengths - queries).reshape(-1, 1, 1, 1)
    key = torch.arange(keys, device=q.device)
    allowed = _allowed(spec, position + offset - key)
    if allowed is not None:
        bias = bias + torch.where(allowed, zero, never)
    if lengths is not None:
        bias = bias + torch.where(key < lengths.reshape(-1, 1, 1, 1), zero, never)
    return bias


def _scores(spec: NodeSpec, q: Tensor, k: Tensor, bias: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention probabilities, and the intermediate that the fourth output asks for."""
    root = math.sqrt(scale)
    raw = (q * root) @ (k.transpose(-1, -2) * root)
    softcap, mode = spec.number("softcap", 0.0), spec.integer("qk_matmul_output_mode", 0)
    capped = torch.tanh(raw / softcap) * softcap if softcap > 0 else raw
    biased = capped + bias
    precision = torch_dtype(spec.integer("softmax_precision", 0))
    # A query that may see no key gets zeros instead of 0 / 0.
    blind = (bias == -math.inf).all(-1, keepdim=True)
    logits = torch.where(blind, torch.zeros_like(biased), biased)
    chances = torch.softmax(logits, -1, dtype=precision or logits.dtype).to(q.dtype)
    chances = torch.where(blind, torch.zeros_like(chances), chances)
    return chances, (raw, capped, biased, chances)[mode].to(q.dtype)


@op("Attention", since=23)
def attention(spec: NodeSpec) -> Kernel:
    """Scaled dot products with masks, caches, grouped heads, windows and a soft cap."""
    q_heads, kv_heads = spec.integer("q_num_heads"), spec.integer("kv_num_heads")
    given = spec.attributes.get("scale")

    def kernel(
        q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, past_key: Tensor | None = None,
        past_value: Tensor | None = None, lengths: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        flat = q.ndim == 3
        if flat:
            q, k, v = _heads(q, q_heads), _heads(k, kv_heads), _heads(v, kv_heads)
        past = 0 if past_key is None else past_key.shape[2]
        if past_key is not None and past_value is not None:
            k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
        present = (k, v)
        groups = q.shape[1] // k.shape[1]
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scale = 1 / math.sqrt(q.shape[-1]) if given is None else float(given)
        chances, scores = _scores(spec, q, k, _bias(spec, q, k, mask, past, lengths), scale)
        y = chances @ v
        y = y.transpose(1, 2).flatten(2) if flat else y
        return y if spec.n_outputs == 1 else (y, *present, scores)

    return kernel


@op("RotaryEmbedding", since=23)
def rotary_embedding(spec: NodeSpec) -> Kernel:
    """Turns pairs of features by an angle that depends on the position."""
    interleaved, partial = spec.flag("interleaved"), spec.integer("rotary_embedding_dim")
    heads = spec.integer("num_heads")

    def kernel(x: Tensor, cos: Tensor, sin: Tensor, position: Tensor | None = None) -> Tensor:
        values = _heads(x, heads) if x.ndim == 3 else x
        size = partial or values.shape[-1]
        turned, rest = values[..., :size], values[..., size:]
        if position is not None:
            cos, sin = cos[position], sin[position]
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        if interleaved:
            a, b = turned[..., 0::2], turned[..., 1::2]
        else:
            a, b = turned.chunk(2, -1)
        pair = (cos * a - sin * b, sin * a + cos * b)
        turned = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
        y = torch.cat([turned, rest], -1)
        return y.transpose(1, 2).flatten(2) if x.ndim == 3 else y

    return kernel
