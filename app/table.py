"""The layer table's data, made from a bench: static facts once, live columns beside them."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import choices, master, numbers, recipes
from app.bench import Bench
from app.guide import calibration_state
from app.readable import kind, op_name
from app.state import Desk

Data = dict[str, Any]


def static(bench: Bench) -> list[Data]:
    """What never changes about a layer: name, module, kind, op, parameters, MACs."""
    return [{"n": x["name"], "m": x.get("module") or "", "k": kind(x), "o": op_name(x), "p": int(x.get("params") or 0),
             "c": int(x.get("macs") or 0)} for x in bench.layers]


def live(bench: Bench) -> Data:
    """What an edit changes: requested and effective precision, the reason where they differ, size, SQNR."""
    asked = bench.asked
    found = bench.resolved or bench.resolved_before or {}
    resolved = {x["name"]: x for x in found.get("layers", [])}
    sqnr = {x["name"]: x.get("sqnr_db") for x in (bench.report or bench.before or {}).get("layers", [])}
    rows = [resolved.get(x["name"], {}) for x in bench.layers]
    sizes = [int(row.get("size_bytes") or x.get("fp32_size_bytes") or 0) for row, x in zip(rows, bench.layers, strict=True)]
    return {"req": [a.precision for a in asked], "own": [a.own for a in asked], "byp": [a.bypassed for a in asked],
            "eff": ["" if bench.resolved is None else str(row.get("precision") or "") for row in rows],
            "reason": [str(row.get("reason") or "") if bench.resolved is not None else "" for row in rows],
            "legal": [bool(row.get("legal", True)) for row in rows], "size": sizes,
            "sqnr": [_db(sqnr.get(x["name"])) for x in bench.layers], "stale": bench.report is None}


def _db(value: Any) -> float | None:
    return None if value is None else round(float(value), 2)


def illegal(bench: Bench) -> dict[str, dict[str, str]]:
    """For each layer the precisions that the target refuses, with the reason."""
    options = (bench.resolved or bench.resolved_before or {}).get("options", {})
    found = {name: {p: why for p, why in by.items() if why} for name, by in options.items()}
    return {name: by for name, by in found.items() if by}


def settings(bench: Bench) -> list[Data]:
    """The recipe's general choices, as small selects over the table."""
    doc = bench.doc
    weights, activations = doc.get("weights") or {}, doc.get("activations") or {}
    size = weights.get("granularity") or ""
    blocks = {f"block:{size['per_block']}": f"blocks of {size['per_block']}"} if isinstance(size, Mapping) else {}
    known = {f"block:{n}": f"blocks of {n}" for n in (32, 64, 128)}
    bases = dict.fromkeys([*recipes.candidates(doc), *choices.BASES, recipes.base(doc)])
    return [_select("precision", "Base", {b: b for b in bases}, recipes.base(doc)),
            _select("granularity", "Weights", choices.GRANULARITIES | known | blocks, next(iter(blocks), "") or size),
            _select("symmetric", "Activations", choices.SYMMETRIES, _flag(activations.get("symmetric"))),
            _select("bias", "Bias", choices.BIASES, str(doc.get("bias") or "float"))]


def _select(key: str, label: str, options: Mapping[str, str], value: str) -> Data:
    return {"key": key, "label": label, "options": [[k, v] for k, v in options.items()], "value": value}


def _flag(value: Any) -> str:
    return "" if value is None else str(value).lower()


def change_setting(doc: recipes.Doc, key: str, value: str, layers: Sequence[Mapping[str, Any]] = ()) -> tuple[recipes.Doc, str]:
    """The recipe with one general choice changed, and the line of history for it; another base is what the master fader does."""
    if key == "granularity":
        size: Any = {"per_block": int(value[6:])} if value.startswith("block:") else value or None
        return recipes.put(doc, ["weights", "granularity"], size), f"weights {value.replace('block:', 'blocks of ') or 'as the target'}"
    if key == "symmetric":
        flag = {"true": True, "false": False}.get(value)
        return recipes.put(doc, ["activations", "symmetric"], flag), f"activations {choices.SYMMETRIES.get(value, value)}"
    if key == "bias":
        return recipes.put(doc, ["bias"], value if value != "float" else None), f"bias {value}"
    return master.to_new_base(doc, value, layers), master.label(value)


def foot(bench: Bench) -> str:
    """The line under the table."""
    found = bench.resolved or {}
    if not found:
        return "Resolving the recipe for the target\u2026" if bench.active else ""
    cost, changes = found.get("cost", {}), found.get("boundaries")
    words = [f"{numbers.size_text(cost['size_bytes'])} of weights" if "size_bytes" in cost else "",
             f"{numbers.count_text(cost['macs'])} MACs" if "macs" in cost else "",
             f"{changes} changes of type along edges" if changes is not None else "",
             "click, Shift and Ctrl select; 1 to 7 set a precision, M keeps in float, Backspace goes back to base"]
    return " \u00b7 ".join(w for w in words if w)


def layers_data(bench: Bench, desk: Desk, theme: str) -> Data:
    """All that the layer table shows."""
    state = calibration_state(bench)
    columns = live(bench)
    biggest = max((x["p"] * 4 for x in static(bench)), default=1)
    return {**columns, "theme": theme, "graph_id": f"{bench.project.id}:{(bench.model or {}).get('model', {}).get('sha256', '')[:12]}",
            "layers": static(bench), "illegal": illegal(bench), "candidates": recipes.candidates(bench.doc),
            "base": recipes.base(bench.doc), "settings": settings(bench), "sel": desk.selected, "cur": desk.current,
            "ack": desk.ack, "rev": desk.rev, "maxSize": max(biggest, 1), "foot": foot(bench),
            "calibration": {"text": f"Calibration: {state}", "state": state, "open": desk.drawer}}
