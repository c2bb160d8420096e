"""What the fitted curve predicts for the recipe on the desk, or for an audition of a few layers of it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from app import prediction, rack, recipes
from app.bench import Bench
from app.prediction import Predicted
from app.table import illegal


def forecast(found: Bench, solo: Sequence[int] = ()) -> Predicted | None:
    """The prediction; None where there is no curve for this recipe yet."""
    return None if found.curve is None or not found.layers else prediction.predict(found.curve, precisions(found, solo))


def precisions(found: Bench, solo: Sequence[int] = ()) -> dict[str, str]:
    """Layer → effective precision, a likely one until the recipe is resolved. With solos all others are in float."""
    if found.outcome is not None:
        rows = list(found.outcome["layers"])
    else:
        rows = [{"name": x["name"], "precision": p} for x, p in zip(found.layers, _likely(found), strict=True)]
    if not solo:
        return prediction.precisions_of(rows, recipes.base(found.doc))
    heard = {str(found.layers[i]["name"]) for i in solo if i < len(found.layers)}
    return prediction.precisions_of([x if x["name"] in heard else {**x, "precision": "fp32"} for x in rows], "fp32")


def _likely(found: Bench) -> list[str]:
    """What each layer asks for, or the next precision with more bits where the target is known to refuse that; as the rack guesses too."""
    order, refused = rack.detents(found)[::-1], illegal(found)
    return ["fp32" if r.bypassed else _next_legal(r.precision, order, refused.get(str(x["name"]), {}))
            for x, r in zip(found.layers, found.asked, strict=True)]


def _next_legal(asked: str, order: Sequence[str], refused: Mapping[str, str]) -> str:
    """The first of `order` (fewest bits first) from `asked` on that is not refused; `asked` where all are."""
    more = order[order.index(asked):] if asked in order else []
    return next((p for p in more if p not in refused), asked)
