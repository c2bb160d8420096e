"""Colours of scores: three steps as on the meters, each fading into the panel as the score becomes small."""

from __future__ import annotations

from app.theme import tokens


def mix(under: str, over: str, share: float) -> str:
    """`share` of `over` on `under`; both as #RRGGBB."""
    a, b = ([int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in (under, over))
    return "#" + "".join(f"{round(x + (y - x) * share):02X}" for x, y in zip(a, b, strict=True))


def shade(theme: str, step: str, strength: float) -> str:
    """The colour of a step at a strength between 0 and 1."""
    c = tokens(theme)
    return mix(c["off"], c[step], strength)
