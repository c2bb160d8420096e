"""What the graph view shows of a bench: facts about nodes (once), and colours, reasons and marks (with every change)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.bench import Bench
from app.graph.marks import kind, marks
from app.graph.picture import Drawing, block_names, chains_of
from app.readable import kind as glyph
from app.readable import op_name, shape_text
from app.sensitivity import scale
from app.sensitivity.budget import budget_of

Data = dict[str, Any]
Scores = tuple[str, Mapping[str, Mapping[str, float]]]  # kind, and layer → precision → nats a sample


DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def coded(values: Sequence[Any]) -> list[Any]:
    """The distinct values, and for each place the number of its value, one digit each where 36 do: most layers say the same."""
    distinct = list(dict.fromkeys(values))
    place = {value: i for i, value in enumerate(distinct)}
    at = [place[value] for value in values]
    return [distinct, "".join(DIGITS[i] for i in at) if len(distinct) <= len(DIGITS) else at]


def facts(drawing: Drawing, layers: Sequence[Mapping[str, Any]]) -> Data:
    """What never changes: for each node [name, op, kind, layer, glyph, members' op types, shape, block], for each edge [from, to, via]."""
    nodes = []
    for node, chain in zip(drawing["nodes"], chains_of(drawing), strict=True):
        layer = layers[node["layer"]] if 0 <= node["layer"] < len(layers) else None
        parts = " \u00b7 ".join(node["parts"]) if len(node["parts"]) > 1 else ""
        op = str(node["op"]) if layer is None else op_name(layer)
        nodes.append([node["name"], op, node["kind"], node["layer"] if layer else -1, glyph(layer) if layer else "", parts,
                      shape_text(node["shape"]) if node["shape"] else "", chain[-1] if chain else ""])
    movers = [" \u00b7 ".join(v.rsplit("/", 1)[-1].rsplit(".", 1)[-1] for v in e["via"]) for e in drawing["edges"]]
    edges = [[e["from"], e["to"], via] for e, via in zip(drawing["edges"], movers, strict=True)]
    return {"id": drawing["hash"], "nodes": nodes, "edges": edges, "top": block_names(drawing)}


def layer_columns(bench: Bench, scores: Scores | None, budget: float) -> Data:
    """For each layer: requested and effective precision and why, its bits as a shade, its size, its score in fair shares
    of the budget (nats over the whole network)."""
    asked = bench.asked
    resolved = bench.resolved or bench.resolved_before or {}
    rows = {x["name"]: x for x in resolved.get("layers", [])}
    found = [rows.get(x["name"], {}) for x in bench.layers]
    effective = ["float" if a.bypassed else str(row.get("precision") or a.precision) for a, row in zip(asked, found, strict=True)]
    kind, rows_of = scores or ("", {})
    value = [_known(rows_of, str(x["name"]), p) for x, p in zip(bench.layers, effective, strict=True)]
    fair = budget / max(len(bench.layers), 1)
    return {
        "req": coded([a.precision for a in asked]), "eff": coded(effective), "own": coded([a.own for a in asked]),
        "shade": [round(shade_of(p), 2) for p in dict.fromkeys(effective)],
        "why": coded([str(row.get("reason") or "") for row in found]), "legal": coded([bool(row.get("legal", True)) for row in found]),
        "size": [int(row.get("size_bytes") or x.get("fp32_size_bytes") or 0) for row, x in zip(found, bench.layers, strict=True)],
        "score": [None if v is None else _figures(max(v, 0.0) / fair) for v in value],
        "fair": fair, "kind": kind, "steps": [scale.WATCH, scale.HOT],
        "stale": bench.resolved is None,
    }


def _known(rows: Mapping[str, Mapping[str, float]], layer: str, precision: str) -> float | None:
    """The score of a layer as it is now; 0 in float, None where it was not scored at its precision."""
    if precision in ("float", "fp32"):
        return 0.0 if rows else None
    return rows.get(layer, {}).get(precision)


def _figures(value: float) -> float:
    return float(f"{value:.3g}")


def shade_of(precision: str) -> float:
    """How strongly a precision is painted: 0 for float, 1 for four bits by four; weights count for more than activations."""
    digits = precision.lower().lstrip("w").split("a")
    if len(digits) == 2 and all(d.isdigit() for d in digits):
        weight, activation = (max(int(d), 1).bit_length() - 1 + max(int(d), 1) / (1 << (int(d).bit_length() - 1)) - 1 for d in digits)
        return min(1.0, max(0.12, 1 - (0.6 * weight + 0.4 * activation - 2) / 3))
    return 0.22 if "16" in precision else 0.0


def types(drawing: Drawing, resolved: Mapping[str, Any]) -> list[Any]:
    """The type of what each node makes, coded; empty where it has no quantizer of its own."""
    rows = {str(t["name"]): t for t in resolved.get("tensors", [])}
    found = []
    for node in drawing["nodes"]:
        row = rows.get(node["tensors"][-1]) if node["tensors"] else None
        found.append(kind(str(row.get("dtype"))) if row and row.get("quantized") else "")
    return coded(found)


def live(bench: Bench, drawing: Drawing) -> Data:
    """All that an edit changes."""
    resolved = bench.resolved or bench.resolved_before or {}
    budget = budget_of(bench.curve).nats
    placed = marks(drawing, resolved.get("changes") or [])
    return layer_columns(bench, bench.scores, budget) | {
        "types": types(drawing, resolved), "changes": resolved.get("boundaries"),
        "marks": [[m.edge, m.node, int(m.begins)] for m in placed], "said": coded([m.words for m in placed]),
    }
