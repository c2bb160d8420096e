"""The metrics that come with Mixdown."""
from __future__ import annotations

import numpy as np

from engine.data.dataset import Array
from engine.data.metrics import MAX_DB, class_axis, counted, mean_per_sample, metric
from engine.errors import BadInput


@metric("top1")
def top1(outputs: Array, labels: Array, mask: Array | None = None) -> Array:
    """Share of samples (positions) whose greatest class score is the label's."""
    axis = class_axis(outputs, labels.shape, "top1")
    use = counted("top1", labels, outputs.shape[axis], mask)
    return mean_per_sample((_argmax(outputs, axis) == labels), use)


@metric("top5")
def top5(outputs: Array, labels: Array, mask: Array | None = None) -> Array:
    """Share of samples (positions) whose label is among the five greatest class scores."""
    axis = class_axis(outputs, labels.shape, "top5")
    classes = outputs.shape[axis]
    if classes <= 5:
        raise BadInput(f"metric 'top5': the model has {classes} classes: expected more than 5; use top1")
    use = counted("top5", labels, classes, mask)
    scores = np.moveaxis(np.nan_to_num(outputs, nan=-np.inf), axis, -1)
    best = np.argpartition(scores, -5, axis=-1)[..., -5:]
    return mean_per_sample((best == labels[..., None]).any(-1), use)


@metric("agreement", "float")
def agreement(outputs: Array, reference: Array, mask: Array | None = None) -> Array:
    """Share of samples (positions) whose greatest class score is at the float model's class."""
    _same_shape("agreement", outputs, reference)
    axis = 1 if outputs.ndim == 4 else outputs.ndim - 1
    if outputs.ndim < 2 or outputs.shape[axis] < 2:
        raise BadInput(f"metric 'agreement': outputs of shape {list(outputs.shape)} are no class scores: use cosine")
    hits = _argmax(outputs, axis) == _argmax(reference, axis)
    return mean_per_sample(hits, _positions(hits.shape, mask))


@metric("cosine", "float")
def cosine(outputs: Array, reference: Array, mask: Array | None = None) -> Array:
    """Cosine between the outputs and the float model's, per sample over all values."""
    a, b = _pair("cosine", outputs, reference, mask)
    product = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    result: Array = np.where(product > 0, (a * b).sum(1) / np.where(product > 0, product, 1), (a == b).all(1))
    return np.asarray(np.clip(np.nan_to_num(result, nan=-1.0), -1.0, 1.0))


@metric("sqnr", "float", per_sample=False)
def sqnr(outputs: Array, reference: Array, mask: Array | None = None) -> float:
    """Signal to quantization noise in dB, pooled over all samples, at most 200."""
    quantized, signal = _pair("sqnr", outputs, reference, mask)
    return decibels(float((signal**2).sum()), float(((signal - quantized) ** 2).sum()))


def decibels(signal: float, noise: float) -> float:
    """`10 log10(signal / noise)` within -200..200, so that a perfect match is a number that JSON holds."""
    if not np.isfinite(noise):
        return -MAX_DB
    if noise <= 0:
        return MAX_DB
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -MAX_DB, MAX_DB))


@metric("neg_kl", "float")
def neg_kl(outputs: Array, reference: Array, mask: Array | None = None) -> Array:
    """Minus the KL divergence of the class probabilities from the float model's, per sample."""
    return -kl_divergence(reference, outputs, mask)


def kl_divergence(reference: Array, outputs: Array, mask: Array | None = None) -> Array:
    """KL(reference || outputs) in nats per sample, the mean over positions: the score that adds over layers."""
    _same_shape("neg_kl", outputs, reference)
    axis = 1 if outputs.ndim == 4 else -1
    p, q = (_log_probabilities(np.moveaxis(np.asarray(x, np.float64), axis, -1)) for x in (reference, outputs))
    values: Array = np.maximum((np.exp(p) * (p - q)).sum(-1), 0.0)
    use = _positions(values.shape, mask)
    axes = tuple(range(1, values.ndim))
    result: Array = (values * use).sum(axis=axes) / np.maximum(use.sum(axis=axes), 1)
    return result


def _log_probabilities(values: Array) -> Array:
    """Log-softmax of logits; values that are probabilities already are only made logarithms."""
    if values.size and values.min() >= 0 and np.allclose(values.sum(-1), 1.0, atol=1e-3):
        floored = np.maximum(values, 1e-12)
        logs: Array = np.log(floored / floored.sum(-1, keepdims=True))
        return logs
    shifted = values - values.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


@metric("neg_mse")
def neg_mse(outputs: Array, labels: Array, mask: Array | None = None) -> Array:
    """Minus the mean squared error against the labels, per sample, for regression."""
    if outputs.shape != labels.shape and outputs.size == labels.size:
        labels = labels.reshape(outputs.shape)
    a, b = _pair("neg_mse", outputs, labels, None)
    result: Array = -((a - b) ** 2).mean(1)
    return result


@metric("miou", per_sample=False)
def miou(outputs: Array, labels: Array, mask: Array | None = None) -> float:
    """Mean over the classes that occur of intersection over union, of class scores or of class maps."""
    if outputs.shape == labels.shape:
        found, classes = outputs.astype(np.int64), int(max(outputs.max(), labels.max())) + 1
    else:
        axis = class_axis(outputs, labels.shape, "miou")
        found, classes = _argmax(outputs, axis), outputs.shape[axis]
    use = (labels >= 0) & (labels < classes) & (found >= 0)
    table = np.bincount(labels[use].astype(np.int64) * classes + found[use], minlength=classes * classes)
    table = table.reshape(classes, classes)
    union = table.sum(0) + table.sum(1) - table.diagonal()
    if not union.any():
        raise BadInput("metric 'miou': no position has a label: expected class numbers of 0 or more")
    return float((table.diagonal()[union > 0] / union[union > 0]).mean())


def _argmax(values: Array, axis: int) -> Array:
    """The greatest score's class; -1, which is no class, where a score is NaN."""
    best: Array = np.argmax(values, axis=axis)
    bad = np.isnan(values).any(axis=axis)
    return np.where(bad, -1, best) if bad.any() else best


def _positions(shape: tuple[int, ...], mask: Array | None) -> Array:
    return mask.astype(bool) if mask is not None and mask.shape == shape else np.ones(shape, bool)


def _same_shape(name: str, outputs: Array, reference: Array) -> None:
    if outputs.shape != reference.shape:
        raise BadInput(f"metric {name!r}: outputs of shape {list(outputs.shape)} against {list(reference.shape)}: "
                       "expected the same shape")


def _pair(name: str, outputs: Array, reference: Array, mask: Array | None) -> tuple[Array, Array]:
    """Both as float64 rows per sample, with masked positions zero."""
    _same_shape(name, outputs, reference)
    a, b = outputs.astype(np.float64), reference.astype(np.float64)
    if mask is not None and a.shape[: mask.ndim] == mask.shape and a.ndim > mask.ndim:
        use = mask.astype(bool).reshape(mask.shape + (1,) * (a.ndim - mask.ndim))
        a, b = np.where(use, a, 0.0), np.where(use, b, 0.0)
    return a.reshape(len(a), -1), b.reshape(len(b), -1)
