"""The scores that are summed: of every layer, and of all the rest, at every precision that a layer may come to have.

A layer does not always get the precision that it asks for: its weight may be raised, and a tensor has the most bits that
a reader asks for. So scores are taken at all combinations of the integer widths that are offered. What no layer
reads (the inputs of additions, the outputs) has a row of its own, `REST`, at the base precision of the recipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.analysis.sensitivity.answer import Asked, quantizations_of, table_of
from engine.analysis.sensitivity.cache import ScoreCache
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Item, Question
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.data.metrics import Metric
from engine.errors import BadInput
from engine.progress import Progress, silent
from engine.quant.precision import FP16, FP32, Int, Precision
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim

REST = "*"
GREATEST = 65504.0  # of float16
Kind = Literal["estimate", "exact"]
Rows = Mapping[str, Mapping[str, float]]
MODES: dict[Kind, Literal["estimate", "one-on"]] = {"estimate": "estimate", "exact": "one-on"}


@dataclass(frozen=True)
class Scores:
    """Additive scores by layer (and `REST`) and precision, per sample: all of one kind.

    Attributes:
        values: KL of the output in nats (half the squared error where the output is no class scores).
        noise: noise power over signal power at the output; exact scores alone have it.
        samples: how many samples were looked at.
    """

    kind: Kind
    values: Rows
    noise: Rows
    samples: int

    def total(self, precisions: Mapping[str, str]) -> float:
        """The sum over a recipe's effective precisions; what is read in float counts 0.

        Raises:
            KeyError: there is no score for one of them.
        """
        return float(sum(self.values[name][p] for name, p in precisions.items() if counts(p) and name in self.values))

    def missing(self, precisions: Mapping[str, str]) -> list[str]:
        """The layers without a score at their precision."""
        return [n for n, p in precisions.items() if counts(p) and n in self.values and p not in self.values[n]]


def counts(precision: str) -> bool:
    """Whether a layer at this precision adds to a sum: not in float (a weight that it shares is its partner's)."""
    return precision != "fp32" and not precision.endswith("afp32")


def closure(precisions: Sequence[Precision]) -> tuple[Precision, ...]:
    """These precisions and all combinations of their integer widths, without float."""
    weights = dict.fromkeys(p.weights for p in precisions if isinstance(p.weights, Int))
    activations = dict.fromkeys(p.activations for p in precisions if isinstance(p.activations, Int))
    mixed = (Precision(w, a) for w in weights for a in activations)
    return tuple(p for p in dict.fromkeys((*precisions, *mixed)) if p != Precision(FP32, FP32))


def overflowing(sim: QuantSim, precisions: Sequence[Precision]) -> dict[Precision, str]:
    """The precisions in whose float16 a weight does not fit, with the reason: a sum with them would have no value."""
    wide = [p for p in precisions if p.weights == FP16]
    weights = dict.fromkeys(name for layer in sim.model.layers for name in layer.weights) if wide else {}
    greatest = {name: float(np.abs(sim.model.constant(name)).max(initial=0.0)) for name in weights}
    worst = max(greatest, key=greatest.__getitem__, default="")
    if not worst or greatest[worst] <= GREATEST:
        return {}
    return dict.fromkeys(wide, f"weight {worst} has values up to {greatest[worst]:g}, the greatest float16 is {GREATEST:g}")


def effective(sim: QuantSim) -> dict[str, str]:
    """What a recipe comes to: layer → effective precision, and the base for the rest."""
    return {entry.name: str(entry.precision) for entry in sim.plan.layers} | {REST: str(sim.recipe.precision)}


def rest_of(items: Iterable[Item], quantizations: Iterable[Quantization]) -> Item:
    """Everything that is quantized and belongs to no layer."""
    used = {name for item in items for name in (*item.constants, *item.activations)}
    constants = dict.fromkeys(n for q in quantizations for n in q.constants if n not in used)
    return Item(REST, (), tuple(constants), tuple(dict.fromkeys(n for q in quantizations for n in q.activations if n not in used)))


def score(
    sim: QuantSim,
    kind: Kind,
    precisions: Sequence[Precision],
    data: Dataset,
    metric: Metric | None = None,
    cache: ScoreCache | None = None,
    batch: int = 2,
    progress: Progress = silent,
) -> Scores:
    """Scores of all layers and the rest on all samples of `data`, by estimate or by running each.

    Raises:
        BadInput: no precision but float is given.
        UnsupportedOp: an estimate of a graph that cannot be differentiated.
    """
    wanted = closure(precisions)
    if not wanted:
        raise BadInput("there is no precision but fp32 among the candidates: expected some, such as w8a8, to predict anything")
    quantizations = quantizations_of(sim, wanted)
    layers = items_of(sim, "layers", "both")
    rest = rest_of(layers, quantizations)
    items = (*layers, rest) if rest.constants or rest.activations else layers
    question = Question(wanted, MODES[kind], samples=len(data))
    table = table_of(Asked(sim, question, items, quantizations, data, metric, cache, batch, False, 0, None), progress)
    return Scores(kind, _rows(table, "kl"), _noise(table), len(data))


def _rows(table: Table, name: str) -> dict[str, dict[str, float]]:
    value = table.value(name)
    return {item.name: {str(p): float(value[i, k]) for k, p in enumerate(table.question.precisions) if np.isfinite(value[i, k])}
            for i, item in enumerate(table.items)}


def _noise(table: Table) -> dict[str, dict[str, float]]:
    """Noise over signal power: what decibels stand for, and what adds."""
    if "sqnr_db" not in table.parts:
        return {}
    rows: dict[str, Any] = _rows(table, "sqnr_db")
    return {name: {p: 10 ** (-db / 10) for p, db in row.items()} for name, row in rows.items()}
