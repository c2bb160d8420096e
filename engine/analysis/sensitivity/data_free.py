"""Without any data: how much of each weight its rounding destroys. Ranks little (see the docstring of `data_free`)."""
from __future__ import annotations

import numpy as np
import torch

from engine.analysis.sensitivity.kinds import Item, Question
from engine.analysis.sensitivity.table import Table
from engine.graph.model import Model
from engine.sim.quantization import Quantization


def data_free(model: Model, question: Question, items: tuple[Item, ...], quantizations: list[Quantization]) -> Table:
    """SQNR of each item's weights in dB, higher is better.

    It says how coarse a grid is for a weight, not what that does to the output: in trials such norms ranked
    nothing (Spearman about -0.1 against the exact sweep). Use it to find outliers when there are no data.
    """
    question = Question(question.precisions, "data-free", "weights", question.items, 1)
    items = tuple(item for item in items if item.constants)
    table = Table(question, items)
    for p, quantization in enumerate(quantizations):
        for i, item in enumerate(items):
            signal = noise = 0.0
            for name in item.constants:
                encoding = quantization.constants.get(name)
                if encoding is None:
                    continue
                weight = torch.from_numpy(np.array(model.constant(name), dtype=np.float32))
                signal += float((weight.double() ** 2).sum())
                noise += float(((weight - encoding.fake_quantize(weight)).double() ** 2).sum())
            table.put(i, p, 0, {"sqnr_db": np.asarray([[signal, noise]])})
    table.samples = 1
    return table
