"""The data of the curves: loss and held-out score by epoch, with the start and the float model marked."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers
from app.repair import words as repairs
from app.train import settings, words
from app.train.ask import Known

Data = dict[str, Any]
Facts = Mapping[str, Any]


def curves_data(known: Known, options: Mapping[str, Any], fields: Sequence[Facts], theme: str) -> Data:
    """Scores on the screen's scale; `live` is where the running epoch stands."""
    figures = known.figures or {}
    planned = int(settings.value(options, fields, "epochs", 1) or 1)
    points = [_point(e) for e in known.epochs]
    name = str(figures.get("metric") or "")
    return {"theme": theme, "epochs": max(planned, len(points)), "points": points, "start": figures.get("start"),
            "startScore": _scaled(figures.get("start_score")), "float": _scaled(figures.get("float_score")),
            "metric": repairs.metric(name) if name else "", "best": int(figures.get("best") or 0),
            "stop": int(options.get(settings.STOP) or 0), "live": _live(known), "kept": known.after is not None,
            "words": summary(known)}


def _point(epoch: Facts) -> Data:
    pace = f"{float(epoch['rate']):,.0f} samples/s, {float(epoch['seconds']):.1f} s, step size {float(epoch['learning_rate']):.2g}"
    return {"n": int(epoch["number"]), "loss": float(epoch["loss"]), "held": float(epoch["validation"]),
            "score": _scaled(epoch.get("score")), "said": pace}


def _scaled(value: Any) -> float | None:
    return None if value is None else round(100 * float(value), 4)


def _live(known: Known) -> Data | None:
    """The running epoch: how far it is, and the mean loss of its steps."""
    live = known.live
    if known.job is None or live is None or not live.get("steps"):
        return None
    x = int(live.get("step") or 0) / int(live["steps"]) * int(live.get("epochs") or 1)
    return {"x": round(x, 4), "loss": float(live.get("loss") or 0.0), "epoch": int(live.get("epoch") or 1), "said": words.pace(known)}


def summary(known: Known) -> str:
    """The picture in words, for who cannot see it."""
    done, figures = known.epochs, known.figures or {}
    if not done:
        return "No epoch is finished yet."
    first, last = figures.get("start"), done[-1]
    score = "" if last.get("score") is None else f", held-out score {100 * float(last['score']):.2f} %"
    best = int(figures.get("best") or 0)
    return (f"{len(done)} epochs: held-out loss from {numbers.short(first)} to {numbers.short(float(last['validation']))}{score}; "
            + (f"epoch {best} is the best." if best else "no epoch is better than the start."))
