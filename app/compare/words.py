"""Sentences and figures of a comparison; `left` and `right` are how the two sides are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers
from app.compare.view import MEANING

Found = Mapping[str, Any]
LEVEL = 0.05


def unit(found: Found) -> str:
    """The metric's unit on screen."""
    said = dict(found.get("metric") or {})
    return {"share": "%"}.get(str(said.get("unit") or ""), str(said.get("unit") or ""))


def points(found: Found) -> str:
    """The unit of a difference."""
    return "points" if unit(found) == "%" else unit(found)


def resolved(drop: Found) -> bool:
    """Whether the interval excludes zero."""
    ends = numbers.bounds(drop)
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


def span(drop: Found, of: str) -> str:
    """The interval's ends, low to high."""
    ends = numbers.bounds(drop)
    return "no interval" if ends is None else f"{numbers.figure(ends[0], of)} to {numbers.figure(ends[1], of)}"


def p_text(p: float | None) -> str:
    """A p-value in words."""
    if p is None:
        return "\u2013"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def verdict(found: Found, left: str, right: str) -> tuple[str, str]:
    """The answer to "is it really better?" in a sentence, and its tone: `hot`, `ok` or none where it cannot be told."""
    drop, of, name = found["drop"], unit(found), points(found)
    value, ends = float(drop["value"]), numbers.bounds(drop)
    worse = f"{numbers.figure(abs(value), of)} {name} {'worse' if value > 0 else 'better'} than" if value else "equal to"
    said, tone = f"{right} is {worse} {left}; the metric is one number, so chance cannot be told apart.", ""
    if ends is not None and not resolved(drop):
        between = f"between {right} and {left}: {numbers.figure(abs(value), of)} {name} {'won' if value < 0 else 'lost'}"
        said = f"No difference that {found['samples']:,} samples can tell {between}, anything from {span(drop, of)} lost fits."
    elif ends is not None:
        near, far = sorted((abs(ends[0]), abs(ends[1])))
        said = f"{right} is really {worse} {left}: {numbers.figure(near, of)} to {numbers.figure(far, of)}, 95 % paired."
        tone = "hot" if value > 0 else "ok"
    return (said[:1].upper() + said[1:]).replace("  ", " "), tone


def chance(found: Found) -> str:
    """What the test says, and where it and the interval are of two minds."""
    test = found["test"]
    if test.get("p") is None:
        return str(test.get("why") or "")
    exact = f" (exact: {p_text(test['p_exact'])})" if test.get("p_exact") is not None else ""
    edge = (
        " The interval and the test disagree: this is at the edge of what the samples tell."
        if ((test["p"] < LEVEL) != resolved(found["drop"]))
        else ""
    )
    return f"{test['name']}: {p_text(test['p'])}{exact}; {test['why']}.{edge}"


def things(found: Found) -> str:
    """What answers are of: samples, or their positions."""
    return "samples" if found.get("positions") is None else "positions"


def flips(found: Found) -> str:
    """How many answers differ, and how close these decisions were."""
    same, margins, counts = found.get("same_answer"), found.get("margins") or {}, found["flips"]["counts"]
    if same is None:
        return "no classes: ranked by SQNR against the float model, or by the change of the score" if found.get("worst") else \
            "ranked by the change of the score"
    places = found.get("positions")
    counted = "" if places is None else f" of {places['counted']:,} positions in {found['samples']:,} samples"
    said = f"same answer on {numbers.share(same)}{counted}"
    if places is not None and places["step"] > 1:
        said += f" (one in {places['step']} looked at)"
    lost, every = margins.get("lost"), margins.get("all")
    if lost is not None and every:
        said += f"; the {counts['lost']:,} lost had a median margin of {lost:.2f} on the left, all {every:.2f}"
    return said


def missing(found: Found, kind: str) -> str:
    """What an empty list of samples means."""
    thing = things(found)[:-1]
    if found.get("same_answer") is None:
        return f"No sample's score {'fell' if kind == 'lost' else 'rose'} from left to right."
    if kind == "changed" and found.get("truth") == "float":
        return f"Without labels the float model is the truth; a {thing} that both sides answer differently from it stands here."
    return {
        "lost": f"No {thing} is answered right on the left and wrong on the right.",
        "won": f"No {thing} is answered wrong on the left and right on the right.",
        "changed": f"No {thing} is answered wrong on both sides in different ways.",
    }[kind]


def meaning(found: Found, kind: str) -> str:
    """What a kind of flip is, as a sentence's beginning."""
    if found.get("same_answer") is None and kind in ("lost", "won"):
        return f"the score {'fell' if kind == 'lost' else 'rose'} from left to right, the largest change first"
    return MEANING[kind]


def closeness(found: Found) -> str:
    """How far the right's outputs are from the float model's: the middle and the worst twentieth of the samples."""
    db, cosine = found["closeness"]["sqnr_db"]["right"], found["closeness"]["cosine"]["right"]
    return f"right: half above {db[50]:.1f} dB (cosine {cosine[50]:.4f}), 5 % below {db[5]:.1f} dB ({cosine[5]:.4f})"


def classes(found: Found) -> str:
    """How much of the classes' change is more than chance."""
    rows = found.get("per_class") or []
    sure = sum(1 for r in rows if r.get("resolved"))
    if not rows:
        return ""
    return f"{sure} of {len(rows)} move beyond their interval; chance alone moves about {0.05 * len(rows):.1f}"
