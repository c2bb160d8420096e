"""What the graph view shows of a bench: facts about nodes (once), and colours, reasons and marks (with every change)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import recipes
from app.bench import Bench
from app.graph.marks import kind, marks
from app.graph.picture import Drawing, block_names, chains_of
from app.readable import kind as glyph
from app.readable import op_name, shape_text
from app.sensitivity import ask, cells, scale
from app.sensitivity.cells import Scores
from app.sensitivity.view import View

Data = dict[str, Any]


def coded(values: Sequence[Any]) -> list[Any]:
    """The distinct values, and for each place the number of its value: most layers say the same."""
    distinct = list(dict.fromkeys(values))
    place = {value: i for i, value in enumerate(distinct)}
    return [distinct, [place[value] for value in values]]


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


def layer_columns(bench: Bench, scores: Scores) -> Data:
    """For each layer: requested and effective precision and why, its bits as a shade, its size, its score in fair shares."""
    asked = recipes.requests(bench.doc, bench.layers)
    resolved = bench.resolved or bench.resolved_before or {}
    rows = {x["name"]: x for x in resolved.get("layers", [])}
    found = [rows.get(x["name"], {}) for x in bench.layers]
    effective = ["float" if a.bypassed else str(row.get("precision") or a.precision) for a, row in zip(asked, found, strict=True)]
    score = [_score(scores, str(x["name"]), p) for x, p in zip(bench.layers, effective, strict=True)]
    return {
        "req": coded([a.precision for a in asked]), "eff": coded(effective), "own": coded([a.own for a in asked]),
        "shade": [round(shade_of(p), 2) for p in dict.fromkeys(effective)],
        "why": coded([str(row.get("reason") or "") for row in found]), "legal": coded([bool(row.get("legal", True)) for row in found]),
        "size": [int(row.get("size_bytes") or x.get("fp32_size_bytes") or 0) for row, x in zip(found, bench.layers, strict=True)],
        "score": [s[0] for s in score], "value": [s[1] for s in score], "estimate": coded([s[2] for s in score]),
        "unit": scores.unit, "score_name": "output KL" if scores.score == "kl" else scores.score, "steps": [scale.WATCH, scale.HOT],
        "stale": bench.resolved is None,
    }


def _score(scores: Scores, layer: str, precision: str) -> tuple[float | None, float | None, bool]:
    cell, share = scores.cell(layer, precision), scale.relative(scores, layer, precision)
    if cell is None or share is None:
        return None, None, False
    return float(f"{share:.3g}"), float(f"{cell.value:.3g}"), cell.estimate


def shade_of(precision: str) -> float:
    """How strongly a precision is painted: 0 for float, 1 for four bits by four; weights count for more than activations."""
    digits = precision.lower().lstrip("w").split("a")
    if len(digits) == 2 and all(d.isdigit() for d in digits):
        weight, activation = (max(int(d), 1).bit_length() - 1 + max(int(d), 1) / (1 << (int(d).bit_length() - 1)) - 1 for d in digits)
        return min(1.0, max(0.12, 1 - (0.6 * weight + 0.4 * activation - 2) / 3))
    return 0.22 if "16" in precision else 0.0


def scores_of(client: Any, bench: Bench) -> Scores:
    """The scores of single layers that are known: exact ones where there are any, else estimates."""
    if not bench.layers:
        return Scores()
    known = ask.gather(client, bench, View(mode="one-on" if ask.measurable(bench) else "data-free"))
    return cells.merge(known.estimate, known.exact)


def types(drawing: Drawing, resolved: Mapping[str, Any]) -> list[Any]:
    """The type of what each node makes, coded; empty where it has no quantizer of its own."""
    rows = {str(t["name"]): t for t in resolved.get("tensors", [])}
    found = []
    for node in drawing["nodes"]:
        row = rows.get(node["tensors"][-1]) if node["tensors"] else None
        found.append(kind(str(row.get("dtype"))) if row and row.get("quantized") else "")
    return coded(found)


def live(client: Any, bench: Bench, drawing: Drawing) -> Data:
    """All that an edit changes."""
    resolved = bench.resolved or bench.resolved_before or {}
    placed = marks(drawing, resolved.get("changes") or [])
    return layer_columns(bench, scores_of(client, bench)) | {
        "types": types(drawing, resolved), "changes": resolved.get("boundaries"),
        "marks": [[m.edge, m.node, int(m.begins), m.words] for m in placed],
    }
