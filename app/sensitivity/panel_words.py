"""Words around the figures: buttons, status, legend, titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.sensitivity import scale
from app.sensitivity.cells import Scores
from app.sensitivity.view import ITEMS, MEANING, MODES, SCORES, View
from app.sensitivity.words import direction, plain

NUMBERED = 37  # columns that have room for numbers


def score_name(score: str) -> str:
    """A score as it is called on the screen."""
    return SCORES.get(score, score)


def ranking_note(scores: Scores, noise: bool) -> str:
    """Beside the ranking's title."""
    if noise:
        return "noise: network order"
    if scores.mode == "data-free":
        return "of the weights alone; at the right: rank"
    ranked = all(r.get("score") == scores.score for r in scores.rankings.values())
    what = "what is left when it stays float" if scores.mode == "one-off" else "95 % intervals"
    return f"{what}; at the right: rank, 95 %" if ranked else what


def run_button(mode: str, known: bool, begun: bool) -> tuple[str, str, bool]:
    """What the button says, the mode that it runs, and whether there is anything to run."""
    if mode == "estimate":
        return ("Replace by exact", "one-on", True) if known else ("Estimate", "estimate", True)
    if known:
        return "Scored", mode, False
    return ("Go on" if begun else "Run exact" if mode in ("one-on", "one-off") else "Run"), mode, True


def nothing_yet(running: bool, mode: str) -> str:
    """In place of the heatmap."""
    if running:
        return "The first scores come in a moment; their intervals shrink with every pass over more samples."
    return f"Nothing was scored in this mode yet: press Run. {MODES[mode]}: {MEANING[mode]}."


def status(view: View, answer: Mapping[str, Any] | None, scores: Scores, ended: str) -> str:
    """Under the controls, while nothing runs."""
    said = [f"{MODES[view.mode]}: {MEANING[view.mode]}."]
    if answer is not None and answer.get("seconds") is not None and view.mode != "data-free":
        said.append(f"Made from {answer.get('samples', 0):,} samples in {answer['seconds']:.1f} s.")
    if view.mode == "one-on" and scores.items and not scores.exact:
        said.append("So far all are estimates: Run exact replaces them.")
    if ended == "cancelled" and scores.exact:
        said.append("Stopped; what was scored is kept, and Go on adds the rest.")
    if scores.items and view.score != scores.score:
        said.append(f"{SCORES.get(view.score, view.score)} is not scored in this mode; {SCORES.get(scores.score, scores.score)} is shown.")
    return " ".join([*said, racing_words(answer)]).strip()


def legend(scores: Scores) -> str:
    """Under the heatmap: what filled, hollow, marked and crossed cells mean, and the scale."""
    key = {"f": "", "h": "", "m": "\u25b2", "r": "\u25c6", "x": "\u00d7"}
    computed = scores.mode in ("cumulative", "data-free")
    hollow = "" if computed or scores.mode == "one-off" else "estimate"
    named = {"f": "computed" if computed else "exact", "h": hollow, "m": "watch", "r": "hot", "x": "not on this target"}
    kinds = "".join(f"<i class='k {k}'>{key[k]}</i>{text}" for k, text in named.items() if text)
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


def heat_note(view: View, scores: Scores) -> str:
    """Beside the heatmap's title: what was scored, in which unit and direction."""
    return f"{title(view, scores)} \u00b7 {direction(scores)}" if scores.items else title(view, scores)


def title(view: View, scores: Scores) -> str:
    """What the heatmap shows."""
    if not scores.items:
        return MEANING[view.mode]
    done = f"{scores.exact} of {scores.whole} cells exact" if 0 < scores.exact < scores.whole and view.mode != "data-free" else ""
    seen = "" if view.mode == "data-free" else f"{scores.samples:,} samples"
    return ", ".join(w for w in (f"{len(scores.items)} {ITEMS[view.items].lower()}", seen, done) if w)


def ranking_words(scores: Scores, precision: str) -> str:
    """What the samples settle at this precision."""
    ranking = scores.rankings.get(precision)
    if scores.mode == "data-free":
        return "Computed from the weights, without samples; such an order says little about the output."
    if ranking is None:
        return ""
    if ranking.get("score") != scores.score:
        own = [c for (_, p), c in scores.cells.items() if p == precision]
        lost = sum(c.below for c in own)
        said = f"{lost} of {len(own)} are below resolution: their interval includes zero. " if lost else ""
        return f"{said}Ranks are settled by {score_name(str(ranking.get('score')))}."
    still = "Order of the estimate, until all cells are exact: " if ranking.get("estimate") and scores.exact else ""
    said = str(ranking.get("words") or "")
    tied = scores.tied.get(precision)
    border = f" Tied at the border of the race's top: {', '.join(tied)}." if tied else ""
    return still + (said[:1].lower() + said[1:] if still else said) + border


def racing_words(answer: Mapping[str, Any] | None) -> str:
    """What racing saved and how sure its top is; what is tied stands at the ranking."""
    race = (answer or {}).get("racing")
    if not race:
        return ""
    sure = f"with {100 * (1 - float(race['error'])):.0f} % confidence" if race.get("decided") else "since it needed them"
    return (
        f"Racing ran {race['spent']:,} of {race['full']:,} sample evaluations ({100 * race['saved']:.0f} % saved); the top {race['top']} "
        f"is that of all samples {sure}."
    )


def missing_data(with_data: bool) -> str:
    """What the page cannot tell without data."""
    if with_data:
        return ""
    return (
        "No data yet: only the weights' own rounding error is known, and that ranks little. It says how coarse a grid is for a weight, "
        "not what that does to the output. Add a calibration file on the page Model for estimates and exact scores."
    )


def scale_words(scores: Scores) -> str:
    """What the colours mean."""
    if scores.mode == "one-off":
        return f"in shares of what all items would win: amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"
    if scores.score in ("sqnr_db", "mse", "cosine"):
        return f"amber below {scale.WATCH_DB:g} dB, red below {scale.HOT_DB:g} dB of signal to noise"
    if scores.score == "kl":
        share = plain(scale.fair_share(scores), "kl")
        whole = f"{plain(scores.budget.nats, 'kl')} nats"
        made = f"{whole}, predicted to cost 2 points," if scores.budget.fitted else f"{whole}, usually about 2 points,"
        steps = f"amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"
        lead = "numbers" if len(scores.items) <= NUMBERED else "colour"
        blank = ", blank below 0.01" if lead == "numbers" else ""
        blank += ", ~ an estimate too large to trust its size" if any(c.rough for c in scores.cells.values()) else ""
        return f"{lead}: times the fair share {share} ({made} over {len(scores.items)}){blank}; {steps}"
    zero = "\u2248 0: below resolution; " if scores.score == "metric_drop" else ""
    return f"{zero}fair share: 2 points over {len(scores.items)}; amber above {scale.WATCH:g}\u00d7, red above {scale.HOT:g}\u00d7"


def scatter_note(scores: Scores, precision: str) -> str:
    """Beside the scatter's title: where those stand that hurt much and cost little to protect."""
    if not scores.items:
        return ""
    if scores.mode == "cumulative":
        return f"at {precision}; the noise that has gathered at each output"
    down = scores.higher_is_better != (scores.mode == "one-off")
    return f"at {precision}; {'lower' if down else 'upper'} left: cheap to protect"


def nothing_to_draw(scores: Scores, precision: str) -> str:
    """In place of points, where there are none."""
    own = [c for (_, p), c in scores.cells.items() if p == precision]
    return (
        f"At {precision} nothing is above resolution: {SCORES[scores.score].lower()} needs more samples."
        if own and all(c.below for c in own)
        else ""
    )


def time_left(job_fraction: float, left: str) -> str:
    """Percent and time left."""
    return " \u00b7 ".join(w for w in (f"{100 * job_fraction:.0f} %", left) if w)
