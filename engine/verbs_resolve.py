"""The verb `resolve`: what a recipe comes to on its target, and what a move would bring with it. Nothing is run for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadInput
from engine.progress import Progress
from engine.recipe import Recipe
from engine.session import Session
from engine.terminal import count, table


def moves_of(texts: Sequence[str]) -> dict[str, str]:
    """`LAYER=PRECISION`, one move each; a name may hold `=` itself."""
    found = {}
    for text in texts:
        name, equals, to = text.rpartition("=")
        if not equals or not name or not to:
            raise BadInput(f"--ahead {text[:120]!r}: expected LAYER=PRECISION, such as features.3.conv=w4a8")
        found[name] = to
    return found


def answer(session: Session, recipe: Recipe, ahead: Sequence[str], progress: Progress) -> dict[str, Any]:
    """The resolved recipe, with `ahead` where moves are asked about."""
    moves = moves_of(ahead)
    found = {key: value for key, value in session.resolve(recipe, progress).items() if key != "foresight"}
    return found | ({"ahead": session.ahead(recipe, moves, progress)} if moves else {})


def show(found: Mapping[str, Any]) -> None:
    """Prints the moves' consequences, or all layers where none are asked about."""
    (_show_ahead if "ahead" in found else _show_layers)(found.get("ahead", found))


def _show_layers(found: Mapping[str, Any]) -> None:
    rows = [("layer", "asks", "runs at", "why")] + [
        (x["name"], x["requested"], x["precision"] + ("" if x["legal"] else " (illegal)"), x["reason"][:90]) for x in found["layers"]]
    print(table(rows))
    cost = found["cost"]
    print(f"size {cost['size_bytes'] / 1e6:.3f} MB, BOPs {cost['bops'] / max(cost['fp32_bops'], 1) * 100:.1f} % of FP32, "
          f"{found['boundaries']} changes of type along edges")


def _show_ahead(found: Mapping[str, Any]) -> None:
    rows = [(x["name"], f"{x['from']} -> {x['to']}" + ("" if x["legal"] else " (illegal)"), "follows" if x["follows"] else "moved",
             x["reason"][:90]) for x in found["layers"]]
    print(table([("layer", "runs at", "", "why"), *rows]) if rows else "Nothing changes.")
    boundaries, size, bops = found["boundaries"], found["cost"]["size_bytes"], found["cost"]["bops"]
    print(f"{_follow(rows)}, {boundaries['after'] - boundaries['before']:+d} changes of type ({boundaries['after']} in all), "
          f"{size['after'] - size['before']:+,d} bytes, {_signed(bops['after'] - bops['before'])} BOPs")
    if found["refused"]:
        print(f"Under --strict: {found['refused']}")


def _follow(rows: Sequence[tuple[str, ...]]) -> str:
    follow = sum(row[2] == "follows" for row in rows)
    return "no other layer follows" if not follow else f"{follow} other layer{'s follow' if follow > 1 else ' follows'}"


def _signed(number: float) -> str:
    return f"{'-' if number < 0 else '+'}{count(abs(number))}"
