"""The accuracy of an ONNX classifier on labelled images, with its Wilson interval."""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime as ort

from sample_models.common.idx import Split


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share."""
    share, spread = correct / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return centre - half, centre + half


def count_correct(path: Path, split: Split, batch: int = 250) -> int:
    """How many images the model at `path` classifies as labelled, in ONNX Runtime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    correct = 0
    for start in range(0, len(split.labels), batch):
        images = split.images[start : start + batch].astype(np.float32) / np.float32(255)
        scores = session.run(None, {"image": images})[0]
        correct += int((scores.argmax(1) == split.labels[start : start + batch]).sum())
    return correct


def describe(path: Path, split: Split) -> str:
    """`92.35 % (95 % interval 91.81 to 92.86, 10000 images)`."""
    correct, total = count_correct(path, split), len(split.labels)
    low, high = wilson(correct, total)
    return f"{correct / total:.2%} (95 % interval {100 * low:.2f} to {100 * high:.2f}, {total} images)"
