"""The master fader: it moves the recipe's base, as on an audio desk. What was set by hand stays where it was put."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app import recipes


def to_new_base(doc: recipes.Doc, precision: str, layers: Sequence[Mapping[str, Any]]) -> recipes.Doc:
    """The recipe at another base: layers without a line follow, and lines that would only repeat the new base go."""
    lines: dict[str, Any] = dict(doc.get("layers") or {})
    called = [(layer, {str(layer["name"]), str(layer.get("module") or "")}) for layer in layers]
    known = set().union(*(names for _, names in called))
    same = {key for key, line in lines.items() if key in known and line in (precision, {"precision": precision})}
    kept = {key: line for key, line in lines.items() if key not in same}
    met = [(layer, names & same) for layer, names in called if names & same]
    asked = recipes.requests({"precision": precision, "layers": kept}, [layer for layer, _ in met])
    needed = {key for (_, keys), request in zip(met, asked, strict=True) if request.precision != precision for key in keys}
    # Where a pattern would move such a layer elsewhere, its line is what keeps it at the base.
    rest = {key: line for key, line in lines.items() if key in kept or key in needed}
    return {**{k: v for k, v in doc.items() if k != "layers"}, "precision": precision, **({"layers": rest} if rest else {})}


def staying(doc: recipes.Doc, asked: Sequence[recipes.Request]) -> Iterator[int]:
    """The layers that stand at the base and have a line of their own all the same: they do not follow the master."""
    return (i for i, r in enumerate(asked) if r.line and r.precision == recipes.base(doc))


def label(precision: str) -> str:
    """The line of history."""
    return f"base to {precision}"
