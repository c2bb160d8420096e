"""What one window shows on the page Search, typed; the targets are also kept in the home, so that a reload finds them."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app import views
from app.search import latency
from app.views import Draft

LIMITS = ("drop", "size", "bops", "bits", "latency")
AIMS = {"bops": "bops", "size": "size_bytes", "latency": "latency_us"}  # as the page calls what is made least → as the worker does
JUDGES = ("estimate", "bound")
START = 0.01  # a point of accuracy
FLOATS = ("fp16", "bf16", "fp32")


@dataclass(frozen=True)
class Targets:
    """What is asked for.

    Attributes:
        limits: name in `LIMITS` → the most there may be of it: the metric's own unit, fractions of FP32, bits of a weight,
            microseconds.
        on: the candidates that take part.
        keep: whether layers set by hand stay as they are.
        judge: whether a drop's estimate or the upper end of its interval must keep to the limit.
        aim: what is made least under a greatest drop: `bops`, `size` or `latency`.
        table: the hash of the project's table of latencies; empty where there is none. It is no choice of the page, and not kept with them.
    """

    limits: Mapping[str, float] = field(default_factory=lambda: {"drop": START})
    on: tuple[str, ...] = ()
    keep: bool = False
    judge: str = "estimate"
    aim: str = "bops"
    table: str = ""

    def to_doc(self) -> dict[str, Any]:
        """As the component gets them, and as they are kept."""
        return {"lim": dict(self.limits), "on": list(self.on), "keep": self.keep, "judge": self.judge, "aim": self.aim}


@dataclass
class View(Draft):
    """The targets, and what was done with them."""

    targets: Targets | None = None
    solved: Mapping[str, Any] | None = None  # what the exact answer was last asked for
    uploads: int = 0  # of latency tables in this window
    refused: str = ""  # why the last one was not taken
    tried: dict[str, Any] = field(default_factory=dict)  # the move that was tried: its title and the line of history before it


def of(project: str) -> View:
    """The view of a project in this window."""
    return views.of("search", project, View)


def usual(candidates: Sequence[str]) -> tuple[str, ...]:
    """The candidates that take part unless a person says otherwise: integer ones, or all where fewer than two are."""
    whole = tuple(p for p in candidates if p not in FLOATS)
    return whole if len(whole) > 1 else tuple(p for p in candidates if p != "fp32")


def settle(client: Any, project: str, view: View, candidates: Sequence[str], unit: str) -> Targets:
    """The targets, read from the home the first time; candidates that the recipe no longer has go."""
    if view.targets is None:
        kept = read(client.setting(_name(project)))
        view.targets = kept or Targets({"drop": START} if unit == "%" else {"bits": 6.0})
    on = tuple(p for p in candidates if p in view.targets.on)
    view.targets = _tabled(replace(view.targets, on=on if len(on) > 1 else usual(candidates)), latency.of(client, project).key)
    return view.targets


def _tabled(targets: Targets, table: str) -> Targets:
    """With the table of latencies; without one there is no budget by it."""
    if table:
        return replace(targets, table=table)
    limits = {name: most for name, most in targets.limits.items() if name != "latency"}
    return replace(targets, table="", limits=limits, aim="bops" if targets.aim == "latency" else targets.aim)


def take(client: Any, project: str, view: View, doc: Any) -> bool:
    """The component's whole document; an older one than the last one taken changes nothing."""
    if not views.newer(view, doc):
        return False
    targets = read(doc)
    if targets is None:
        return False
    view.ack, view.targets = doc["seq"], targets
    views.keep(client, _name(project), targets.to_doc())
    return True


def read(value: Any) -> Targets | None:
    """Targets from plain values; None where they are none."""
    if not isinstance(value, Mapping) or not isinstance(value.get("lim"), Mapping) or not isinstance(value.get("on"), list):
        return None
    limits = {name: float(most) for name in LIMITS if _number(most := value["lim"].get(name))}
    on = tuple(str(p)[:12] for p in value["on"][:7])
    judge, aim = str(value.get("judge", "estimate")), str(value.get("aim", "bops"))
    return Targets(limits, on, value.get("keep") is True, judge, aim) if judge in JUDGES and aim in AIMS else None


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _name(project: str) -> str:
    return f"search:{project}"
