"""Diagnoses of layers and their remedies, as plain values and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app import recipes
from app.bench import Bench
from app.sensitivity.ask import measurable
from engine.recipe.merge import merged

__all__ = ["HEALTHY", "VERB", "arguments", "at", "card", "changed", "in_use", "job", "label", "latest", "measurable", "worth"]
VERB = "diagnose"
HEALTHY = (
    "Nothing stands out: at this precision the layer's noise has no single cause that explains a tenth of it, or the layer is quiet "
    "by itself. Where it still costs too much, give it more bits."
)


def arguments(found: Bench, layers: Sequence[str], precision: str = "") -> dict[str, Any]:
    """What the verb is given: the recipe with the bits in question, because the cause depends on them."""
    return {"recipe": recipes.write(at(found.doc, found, layers, precision)) if precision else found.recipe, "layers": list(layers)}


def at(doc: recipes.Doc, found: Bench, layers: Sequence[str], precision: str) -> recipes.Doc:
    """The recipe with these layers at a precision; unchanged for none."""
    return recipes.edit_layers(doc, layers, precision, found.layers) if precision else doc


def latest(client: Any, found: Bench, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The diagnoses that were asked for, where they are known."""
    result: Mapping[str, Any] | None = client.latest(found.project.id, VERB, asked["recipe"], layers=asked["layers"])
    return result


def job(found: Bench, asked: Mapping[str, Any]) -> Any | None:
    """The newest job that asked for them."""
    return next((j for j in found.jobs if j.verb == VERB and dict(j.args) == dict(asked)), None)


def card(diagnosis: Mapping[str, Any], named: bool) -> str:
    """One diagnosis: how much of the noise it explains, then what was found."""
    share = float(diagnosis.get("severity") or 0)
    tone = "hot" if share > 0.5 else "mid" if share > 0.25 else ""
    where = f"{diagnosis.get('layer')}: " if named else ""
    title = str(diagnosis.get("cause", "")).replace("_", " ").replace("-", " ")
    return (
        f"<div class='md-cause {tone}'><div class=r><b>{escape(where + title[:1].upper() + title[1:])}</b>"
        f"<span>{100 * share:.0f} % of its noise</span></div><p>{escape(str(diagnosis.get('words', '')))}</p></div>"
    )


def worth(remedy: Mapping[str, Any]) -> str:
    """What a remedy brings at the layer's output."""
    gain = remedy.get("gain_db")
    said = (
        "a step for the whole network: Repair measures it"
        if gain is None and "steps" in dict(remedy.get("change") or {})
        else "not tried: needs another calibration or graph"
        if gain is None
        else f"{gain:.1f} dB less noise at its output"
        if gain < 100
        else "no noise left"
    )
    return said + (", costs bits" if remedy.get("costs_bits") else "")


def label(diagnosis: Mapping[str, Any], remedy: Mapping[str, Any], precision: str = "") -> str:
    """The line of history."""
    return f"{diagnosis.get('layer')}: {precision + ', ' if precision else ''}{remedy.get('title')}"[:120]


def in_use(doc: recipes.Doc, new: recipes.Doc, layers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the new recipe asks for nothing else than this one: a remedy may lead to what is there already."""
    def asks(of: recipes.Doc) -> list[Any]:
        rules = {k: v for k, v in dict(of.get("layers") or {}).items() if isinstance(v, Mapping) and set(v) != {"precision"}}
        return [{k: v for k, v in of.items() if k not in ("layers", "bypass")}, rules,
                [(r.precision, r.bypassed) for r in recipes.requests(of, layers)]]

    return asks(doc) == asks(new)


def changed(doc: recipes.Doc, change: Mapping[str, Any]) -> recipes.Doc:
    """The recipe with a remedy's change merged in; other entries, and other settings of the same entry, stay."""
    return merged(doc, change)
