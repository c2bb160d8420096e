"""What the figures draw, made from scores and the bench: bars, points, the ladder of one item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import recipes
from app.bench import Bench
from app.figures.scores import Row
from app.readable import kind
from app.sensitivity import scale, words
from app.sensitivity.cells import Scores, is_noise, ordered, rank_text
from app.table import illegal

MOST = 14  # bars that are drawn; the rest is in the heatmap and the files
LOG = ("kl", "mse")
Reasons = Mapping[str, Mapping[str, str]]


def refusals(found: Bench, scores: Scores) -> Reasons:
    """For each item the precisions that the target refuses for one of its layers, with the reason."""
    by_layer = illegal(found)
    out: dict[str, dict[str, str]] = {}
    for item in scores.items:
        for layer in scores.members.get(item, ()):
            for precision, why in by_layer.get(layer, {}).items():
                out.setdefault(item, {}).setdefault(precision, why if layer == item else f"{layer}: {why}")
    return out


def bar_rows(scores: Scores, found: Bench, precision: str, selected: str) -> list[Row]:
    """The worst items at one precision; the selected one is always among them. A ranking that is noise stays in network order."""
    order = [i for i in ordered(scores, precision, "score") if scores.cell(i, precision) is not None]
    shown = order[:MOST]
    if selected in order and selected not in shown:
        shown = [*shown[:-1], selected]
    labels = dict(zip(scores.items, words.short_names(scores.items), strict=True))
    sizes = shares(found, scores)
    return [
        _row(
            scores,
            item,
            precision,
            label=labels[item],
            share=sizes.get(item, 0.0),
            kind=kinds(found, scores).get(item, "se"),
            note=rank_text(scores, precision, item),
        )
        for item in shown
    ]


def scatter_rows(scores: Scores, found: Bench, precision: str) -> list[Row]:
    """Every item with its share of the weights' size."""
    labels, sizes, glyphs = (
        dict(zip(scores.items, words.short_names(scores.items), strict=True)),
        shares(found, scores),
        kinds(found, scores),
    )
    return [
        _row(scores, i, precision, label=labels[i], share=sizes.get(i, 0.0), kind=glyphs.get(i, "se"))
        for i in scores.items
        if scores.cell(i, precision) is not None
    ]


def ladder_rows(scores: Scores, item: str, reasons: Reasons, now: str) -> list[Row]:
    """The precisions of one item."""
    out = []
    for precision in scores.precisions:
        before = scores.prior.get((item, precision))
        cell = scores.cell(item, precision)
        prior = before.value if before is not None and cell is not None and not cell.estimate else None
        mark = "illegal" if precision in reasons.get(item, {}) else "now" if precision == now else ""
        out.append(_row(scores, item, precision, name=precision, label=precision, prior=prior, mark=mark))
    return out


def _row(scores: Scores, item: str, precision: str, name: str = "", **more: Any) -> Row:
    cell, share = scores.cell(item, precision), scale.relative(scores, item, precision)
    return Row(
        name or item,
        more.pop("label"),
        None if cell is None else cell.value,
        cell.low if cell else None,
        cell.high if cell else None,
        scale.step(share),
        bool(cell and cell.estimate),
        words.cell_text(scores, item, precision),
        below=bool(cell and cell.below),
        **more,
    )


def kinds(found: Bench, scores: Scores) -> dict[str, str]:
    """The kind of op of each item: its first layer's."""
    by_name = {str(x["name"]): kind(x) for x in found.layers}
    return {i: next((by_name[n] for n in scores.members.get(i, ()) if n in by_name), "se") for i in scores.items}


def shares(found: Bench, scores: Scores) -> dict[str, float]:
    """Each item's share of the size of all weights in float."""
    sizes = {str(x["name"]): float(x.get("fp32_size_bytes") or 0) for x in found.layers}
    total = sum(sizes.values()) or 1.0
    return {i: sum(sizes.get(n, 0.0) for n in scores.members.get(i, ())) / total for i in scores.items}


def current_precision(found: Bench, layer: str) -> str:
    """The precision that the recipe asks for, of one layer; `bypass` where it stays in float."""
    row = next((x for x in found.layers if x["name"] == layer), None)
    if row is None:
        return ""
    asked = recipes.requests(found.doc, [row])[0]
    return "bypass" if asked.bypassed else asked.precision


def shown_precision(scores: Scores, wanted: str, base: str) -> str:
    """The precision that the bars show: the chosen one, else the one with fewest bits, where there is most to see."""
    if wanted in scores.precisions:
        return wanted
    return scores.precisions[-1] if scores.precisions else base


def noisy_rows(scores: Scores) -> list[int]:
    """Precisions whose order is noise."""
    return [i for i, p in enumerate(scores.precisions) if is_noise(scores, p)]


def axis_title(scores: Scores) -> str:
    """The axis of the score."""
    return f"{words.SCORES.get(scores.score, scores.score)}, {words.unit(scores)}" if scores.items else ""


def factor(scores: Scores) -> float:
    """Shares are drawn in percent."""
    return 100.0 if scores.score in ("agreement", "metric_drop") else 1.0


def refusals_of(found: Bench, layers: Sequence[str]) -> dict[str, str]:
    """The precisions that the target refuses for one of these layers, with the reason."""
    by_layer = illegal(found)
    return {p: why if len(layers) == 1 else f"{layer}: {why}" for layer in reversed(layers) for p, why in by_layer.get(layer, {}).items()}
