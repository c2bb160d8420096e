"""Sentences and short labels of the page Sensitivity."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app import numbers
from app.sensitivity import scale
from app.sensitivity.cells import Cell, Scores, is_noise, rank_text
from app.sensitivity.view import ITEMS, MEANING, MODES, SCORES, View


def plain(value: float | None, score: str) -> str:
    """A score as a number, without its unit."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    if score == "sqnr_db":
        return numbers.minus(f"{value:.1f}")
    if score in ("agreement", "metric_drop"):
        return numbers.minus(f"{100 * value:.2f}")
    if score == "cosine":
        return f"{value:.5f}"
    return numbers.minus(f"{value:.2g}" if abs(value) < 0.001 else f"{value:.3g}")


def unit(scores: Scores) -> str:
    """The unit as it stands beside the number."""
    return {"agreement": "%", "metric_drop": "points", "sqnr_db": "dB", "kl": "nats"}.get(scores.score, scores.unit)


def direction(scores: Scores) -> str:
    """Unit and direction of the score, in a few words."""
    if not scores.items:
        return ""
    better = "higher is better" if scores.higher_is_better else "lower is better"
    if scores.mode == "one-off":
        better += "; the best value marks the item that hurts most"
    return f"{SCORES.get(scores.score, scores.score)} in {scores.unit}, {better}"


def scale_words(scores: Scores) -> str:
    """What the colours mean."""
    if scores.mode == "one-off":
        return f"in shares of what all items would win: amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"
    if scores.score in ("sqnr_db", "mse", "cosine"):
        return f"amber below {scale.WATCH_DB:g} dB, red below {scale.HOT_DB:g} dB of signal to noise"
    if scores.score == "kl":
        share = plain(scale.fair_share(len(scores.items)), "kl")
        return f"fair share {share}: {scale.BUDGET:g} nats over {len(scores.items)}; amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"
    return f"fair share: 2 points over {len(scores.items)}; amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"


def title(view: View, scores: Scores) -> str:
    """What the heatmap shows."""
    if not scores.items:
        return MEANING[view.mode]
    done = f"{scores.exact} of {scores.whole} cells exact" if 0 < scores.exact < scores.whole and view.mode != "data-free" else ""
    seen = "" if view.mode == "data-free" else f"{scores.samples:,} samples"
    return ", ".join(w for w in (f"{len(scores.items)} {ITEMS[view.items].lower()}", seen, done) if w)


def kind_of(cell: Cell, mode: str) -> str:
    """The kind of number: estimate, exact, or what the mode reads."""
    if cell.estimate:
        return "estimate"
    return {"one-on": "exact", "one-off": "exact, one-off"}.get(mode, MODES.get(mode, mode).lower())


def cell_text(scores: Scores, item: str, precision: str) -> str:
    """A cell in words, for its hover card."""
    cell = scores.cell(item, precision)
    if cell is None:
        return "not scored yet"
    if cell.below:
        return f"below resolution: {interval(scores, cell)} includes zero at {cell.samples:,} samples"
    share = scale.relative(scores, item, precision)
    lines = [f"{plain(cell.value, scores.score)} {unit(scores)} {interval(scores, cell)}".strip()]
    if share is not None and scores.score in ("kl", "metric_drop", "agreement"):
        lines.append(f"{times(share)} fair share")
    seen = "" if scores.mode == "data-free" else f", {cell.samples:,} samples"
    lines.append(kind_of(cell, scores.mode) + seen)
    rank = _rank(scores, item, precision)
    return "<br>".join([*lines, rank] if rank else lines)


def _rank(scores: Scores, item: str, precision: str) -> str:
    if is_noise(scores, precision):
        return "order is noise at this precision"
    text = rank_text(scores, precision, item)
    return f"rank {text} of {len(scores.items)}" if text else ""


def interval(scores: Scores, cell: Cell) -> str:
    """The 95 % interval in brackets."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{plain(cell.low, scores.score)}, {plain(cell.high, scores.score)}]"


def times(value: float) -> str:
    """A multiple: 9.5×, 0.04×."""
    return ("< 0.01" if value < 0.01 else f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}") + "\u00d7"


def ranking_words(scores: Scores, precision: str) -> str:
    """What the samples settle at this precision."""
    ranking = scores.rankings.get(precision)
    return "" if ranking is None else str(ranking.get("words") or "")


def short_names(items: Sequence[str]) -> list[str]:
    """Names without the first and last part that most of them share; full where two would become alike."""
    parts = [name.split(".") for name in items]
    first, last = (Counter(p[k] for p in parts if len(p) > 2).most_common(1) for k in (0, -1))
    out = []
    for name, words in zip(items, parts, strict=True):
        if len(words) > 2 and first and first[0][1] > 0.6 * len(items) and words[0] == first[0][0]:
            words = words[1:]
        if len(words) > 1 and last and last[0][1] > 0.6 * len(items) and words[-1] == last[0][0]:
            words = words[:-1]
        out.append(".".join(words) or name)
    twice = {n for n, k in Counter(out).items() if k > 1}
    return [name if short in twice else short for name, short in zip(items, out, strict=True)]


def racing_words(answer: Mapping[str, Any] | None) -> str:
    """What racing saved."""
    race = (answer or {}).get("racing")
    if not race:
        return ""
    settled = "settled" if race["decided"] else "not settled"
    return f"Racing ran {race['spent']:,} of {race['full']:,} sample evaluations ({100 * race['saved']:.0f} % saved); the top {race['top']} is {settled}."


def missing_data(with_data: bool) -> str:
    """What the page cannot tell without data."""
    return (
        ""
        if with_data
        else (
            "Without data only the weights' own rounding error is known, and that ranks little: it says how coarse a grid is "
            "for a weight, not what that does to the output. Add a calibration file on the page Model for scores."
        )
    )


def wrapped(text: str, width: int = 64) -> str:
    """A sentence over several lines of a hover card."""
    return "<br>".join(textwrap.wrap(text, width))


def modes_help() -> str:
    """What each mode does, for the control's help."""
    return "\n\n".join(f"**{name}**: {MEANING[mode]}" for mode, name in MODES.items())


def run_button(mode: str, exact: bool, estimate: bool) -> tuple[str, str]:
    """What the button says, and the mode that it runs."""
    if mode == "estimate":
        return ("Replace by exact", "one-on") if estimate else ("Estimate", "estimate")
    return ("Run again" if exact else "Run exact" if mode in ("one-on", "one-off") else "Run"), mode


def nothing_yet(running: bool, mode: str) -> str:
    """In place of the heatmap."""
    if running:
        return "The first scores come in a moment; cells fill one after the other."
    return f"Nothing was scored in this mode yet: press Run. {MODES[mode]}: {MEANING[mode]}."


def status(view: View, answer: Mapping[str, Any] | None, scores: Scores, ended: str) -> str:
    """Under the controls, while nothing runs."""
    said = [f"{MODES[view.mode]}: {MEANING[view.mode]}."]
    if answer is not None and answer.get("seconds") is not None and view.mode != "data-free":
        said.append(f"Made from {answer.get('samples', 0):,} samples in {answer['seconds']:.1f} s.")
    if ended == "cancelled" and 0 < scores.exact < scores.whole:
        said.append("Stopped; what was scored is kept, and Run goes on from there.")
    if scores.items and view.score != scores.score:
        said.append(f"{SCORES.get(view.score, view.score)} is not scored in this mode; {SCORES.get(scores.score, scores.score)} is shown.")
    return " ".join([*said, racing_words(answer)]).strip()


def legend(scores: Scores) -> str:
    """Under the heatmap: what filled, hollow, marked and crossed cells mean, and the scale."""
    kinds = "<i class='k f'></i>exact<i class='k h'></i>estimate<i class='k m'>\u25b2</i>watch<i class='k r'>\u25c6</i>hot<i class='k x'>\u00d7</i>not on this target"
    if scores.mode in ("cumulative", "data-free"):
        kinds = kinds.split("<i class='k h'>")[0].replace("exact", "computed") + "<i class='k m'>" + kinds.split("<i class='k m'>")[1]
    return f"<div class=md-legend><span>{kinds}</span><span>{escape(scale_words(scores))}</span></div>"


def progress(words: str, left: str, fraction: float) -> str:
    """The line of a running job."""
    bar = f"<div class=b><i style='width:{100 * fraction:.0f}%'></i></div>"
    return f"<div class='md-job flat'><div class=r><span>{escape(words)}</span><span>{escape(left)}</span></div>{bar}</div>"


def item_title(item: str, layers: Sequence[str], now: str) -> str:
    """The selected item with the precision in use."""
    pill = f"<span class='md-pill'>{escape({'bypass': 'float'}.get(now, now) or '–')}</span>" if layers else ""
    more = f"{len(layers)} layers" if len(layers) > 1 else "no layer of its own" if not layers else ""
    return f"<div class=md-t>{escape(item)} {pill}<span>{more}</span></div>"
