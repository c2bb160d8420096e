"""What becomes of a ReLU6 between layers that are to be scaled: a Relu where that is the same function, a limit per channel, or left."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.graph.model import Model
from engine.progress import Progress
from engine.ptq.clip_check import lifted_differences
from engine.ptq.equivalence import TOLERANCE
from engine.ptq.limits import Limit, clip_bounds
from engine.ptq.pairs import Link, Stays
from engine.sim.calibration import Samples


def free_of_clips(model: Model, links: Sequence[Link], data: Samples | None, lift: bool, channel_clip: bool,
                  progress: Progress) -> tuple[list[Link], list[str], list[Stays]]:
    """Replaces the single limits on the links' ways in `model`, as far as the options allow.

    Args:
        lift: a Clip may become a Relu where the float outputs on `data` stay within 1e-4 of their range.
        channel_clip: other Clips get a Min with a limit per channel behind them; then only those that cut nothing are lifted.

    Returns:
        The links that can be scaled now, what was replaced, and the links that stay.
    """
    gaps = _gaps(model, links, data, not channel_clip, progress) if lift and data is not None else {}
    lifted, freed, lines, stay = _within_budget(gaps), [], dict[str, None](), []
    split: dict[str, Limit] = {}
    for link in links:
        rest = [limit for limit in _single(link) if limit.name not in lifted]
        if rest and not channel_clip:
            stay.append(Stays(link.source.name, _why(rest, gaps, lift, data)))
            continue
        limits = [limit for limit in link.route.limits if not limit.single]
        for limit in rest:
            split[limit.name] = split.get(limit.name) or limit.split(model)
            limits.append(replace(split[limit.name], labels=limit.labels))
            lines[f"{limit.name}: a limit of its own for each channel"] = None
        for limit in _single(link):
            if limit not in rest:
                lines[f"{limit.name}: a Relu; its limit makes no difference on calibration data"] = None
        freed.append(replace(link, route=replace(link.route, limits=tuple(limits))))
    used = {id(x.clip): x for link in links if link.source.name not in {s.name for s in stay} for x in _single(link) if x.name in lifted}
    for limit in used.values():
        limit.remove()
    return freed, list(lines), stay


def _single(link: Link) -> list[Limit]:
    return [limit for limit in link.route.limits if limit.single]


def _gaps(model: Model, links: Sequence[Link], data: Samples, measure: bool, progress: Progress) -> dict[str, float]:
    clips = {limit.name: limit for link in links for limit in _single(link) if limit.clip is not None and _from_zero(limit)}
    return lifted_differences(model, list(clips), data, TOLERANCE, progress, measure) if clips else {}


def _from_zero(limit: Limit) -> bool:
    bounds = None if limit.clip is None else clip_bounds(limit.clip)
    return bounds is not None and bounds[0] == 0.0


def _within_budget(gaps: dict[str, float]) -> set[str]:
    """The Clips that can go together: what each of them changes may add up."""
    names = sorted(gaps, key=lambda name: gaps[name])
    return {name for name, total in zip(names, np.cumsum([gaps[n] for n in names]), strict=True) if total <= TOLERANCE}


def _why(rest: Sequence[Limit], gaps: dict[str, float], lift: bool, data: Samples | None) -> str:
    names = ", ".join(limit.name for limit in rest)
    if lift and data is None:
        return f"{names} has an upper limit, and whether values reach it can only be seen on calibration data"
    worst = max(gaps.get(limit.name, np.inf) for limit in rest)
    if not lift or not np.isfinite(worst):
        return f"{names} has an upper limit, which does not commute with scaling (channel_clip: true gives each channel its own)"
    return (f"{names} cuts values: without its limit the float outputs would move by {worst:.1%} of their range or more "
            "(channel_clip: true gives each channel its own limit, which is exact)")
