"""What the fitted curve predicts for the recipe on the desk, or for an audition of a few layers of it."""
from __future__ import annotations

from collections.abc import Sequence

from app import prediction, recipes
from app.bench import Bench
from app.prediction import Predicted


def forecast(found: Bench, solo: Sequence[int] = ()) -> Predicted | None:
    """The prediction; None where there is no curve for this recipe yet."""
    return None if found.curve is None or not found.layers else prediction.predict(found.curve, precisions(found, solo))


def precisions(found: Bench, solo: Sequence[int] = ()) -> dict[str, str]:
    """Layer → effective precision; what the recipe asks for until it is resolved. With solos all others are in float."""
    if found.outcome is not None:
        rows = list(found.outcome["layers"])
    else:
        asked = recipes.requests(found.doc, found.layers)
        rows = [{"name": x["name"], "precision": "fp32" if r.bypassed else r.precision} for x, r in zip(found.layers, asked, strict=True)]
    if not solo:
        return prediction.precisions_of(rows, recipes.base(found.doc))
    heard = {str(found.layers[i]["name"]) for i in solo if i < len(found.layers)}
    return prediction.precisions_of([x if x["name"] in heard else {**x, "precision": "fp32"} for x in rows], "fp32")
