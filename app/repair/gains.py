"""The data of the plot of layers: SQNR at each layer's output before and after a step, or before and after the whole chain."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.readable import kind
from app.repair import draft
from app.repair.ask import Known
from app.repair.draft import Lines
from app.repair.view import View
from app.sensitivity.words import short_names

Data = dict[str, Any]
FOLD = "fold_batch_norm"
Layers = Sequence[Mapping[str, Any]]


def pair(lines: Lines, known: Known, view: View) -> tuple[int, int]:
    """The rows that are compared: before and after the selected step (without one: the last), or the first and the last.

    (0, 0) where there are none.
    """
    last = len(known.rows) - 1
    if last < 1:
        return 0, 0
    k = draft.places(lines).index(view.place) + 1 if view.place in draft.places(lines) else last
    k = min(k, last)
    return (k - 1, k) if view.span == "step" else (0, last)


def gains_data(found_layers: Layers, lines: Lines, known: Known, view: View, theme: str) -> Data:
    """One pair of levels a layer, in dB; None where a side was not measured."""
    first, last = pair(lines, known, view)
    base = _base(known, first, last)
    before, after = (dict(known.rows[i].get("layer_sqnr_db") or {}) if last and i is not None else {} for i in (base, last))
    names = [str(x["name"]) for x in found_layers]
    told = _notes(known, first, last)
    return {"theme": theme, "layers": names, "labels": short_names(names), "kinds": [kind(x) for x in found_layers],
            "before": [_level(before.get(n)) for n in names], "after": [_level(after.get(n)) for n in names],
            "notes": [told.get(n, "") for n in names], "selected": names.index(view.layer) if view.layer in names else -1}


def _base(known: Known, first: int, last: int) -> int | None:
    """The row to compare with: folding moves the place where a layer's output is read, so what was before it is another tensor."""
    while first < last and known.rows[first + 1].get("step") == FOLD:
        first += 1
    return first if first < last else None


def _level(value: Any) -> float | None:
    """dB with two decimals; a layer without any noise stands at 120 dB, and one that is all noise at -20."""
    if not isinstance(value, int | float) or value != value:
        return None
    return round(min(120.0, max(-20.0, float(value))), 2)


def _notes(known: Known, first: int, last: int) -> dict[str, str]:
    """What the steps between say about a layer: their own figures, on calibration data."""
    out: dict[str, str] = {}
    for row in known.rows[first + 1:last + 1]:
        for change in row.get("layers") or []:
            said = _change(change)
            if said:
                name = str(change.get("layer"))
                out[name] = f"{out[name]}\n{row.get('step')}: {said}" if name in out else f"{row.get('step')}: {said}"
    return out


def _change(change: Mapping[str, Any]) -> str:
    before, after, unit = change.get("before"), change.get("after"), str(change.get("unit") or "")
    figures = "" if before is None or after is None else f"{float(before):.3g} \u2192 {float(after):.3g} {unit} on calibration data"
    return "; ".join(w for w in (figures, str(change.get("note") or "")) if w)


def changed_most(data: Data) -> int:
    """The layer with the greatest change; -1 where nothing is known."""
    spans = [abs(b - a) if a is not None and b is not None else -1.0 for a, b in zip(data["before"], data["after"], strict=True)]
    best = max(range(len(spans)), key=spans.__getitem__, default=-1)
    return best if best >= 0 and spans[best] >= 0 else -1


def summary(data: Data) -> str:
    """How many layers are better, worse, or as before."""
    spans = [b - a for a, b in zip(data["before"], data["after"], strict=True) if a is not None and b is not None]
    if not spans:
        known = any(a is not None for a in data["after"])
        return "after folding, outputs are read elsewhere" if known else ""
    better, worse = sum(s > 0.1 for s in spans), sum(s < -0.1 for s in spans)
    middle = sorted(spans)[len(spans) // 2]
    return f"{better} better, {worse} worse of {len(spans)}; median {middle:+.1f} dB".replace("-", "\u2212")
