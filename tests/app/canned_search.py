"""What the canned session says of budgets and searches, in the shapes of the engine's results."""
from __future__ import annotations

import time
from typing import Any

from engine.errors import BadInput

BITS = {"fp16": (16, 16), "w8a16": (8, 16), "w8a8": (8, 8), "w4a8": (4, 8)}
WHOLE = 2000


def _score(i: int, precision: str) -> float:
    return 0.02 / (1 + i % 7) if precision == "w4a8" else 1e-4


def _cost(layer: dict[str, Any], precision: str) -> tuple[int, int]:
    weight, activation = BITS[precision]
    return layer["params"] * weight // 8, layer["macs"] * weight * activation


def _totals(layers: list[dict[str, Any]], held: list[str]) -> dict[str, Any]:
    pairs = [_cost(x, p) for x, p in zip(layers, held, strict=True)]
    bits = sum(x["params"] * BITS[p][0] for x, p in zip(layers, held, strict=True)) / sum(x["params"] for x in layers)
    return {"score": sum(_score(i, p) for i, p in enumerate(held)), "size_bytes": sum(s for s, _ in pairs),
            "bops": sum(b for _, b in pairs), "average_bits": bits, "latency_us": None}


def _timed(found: dict[str, Any], layers: list[dict[str, Any]], table: Any, held: list[str]) -> dict[str, Any]:
    """With the sum of a table's microseconds, where there is one."""
    spent = 0.0 if table is None else sum(table.rows.get((x["op_type"], p, ""), 0.0) for x, p in zip(layers, held, strict=True))
    return found | {"latency_us": spent or None}


def frontier(layers: list[dict[str, Any]], precisions: list[str], column: str, table: Any = None) -> dict[str, Any]:
    """From four bits to eight, layer by layer, the most harmful first."""
    low, high = precisions[-1], precisions[0]
    held, moves = [low] * len(layers), []
    start = {"layers": {x["name"]: low for x in layers}, **_timed(_totals(layers, held), layers, table, held)}
    for i in sorted(range(len(layers)), key=lambda i: -_score(i, low) / layers[i]["params"]):
        held[i] = high
        moves.append({"layers": {layers[i]["name"]: high}, **_timed(_totals(layers, held), layers, table, held)})
    rows = [{"name": x["name"], "precision": low, "fixed": "", "group": "", "options": [
        {"precision": p, "score": _score(i, p), "corrected": None, "size_bytes": _cost(x, p)[0], "bops": _cost(x, p)[1],
         "latency_us": _timed({}, [x], table, [p])["latency_us"]} for p in precisions]} for i, x in enumerate(layers)]
    total = sum(x["params"] for x in layers)
    return {"frontiers": [{"base": "w8a8", "column": column, "kind": "predicted", "unit": "nats per sample", "direction": "lower is better",
                           "start": start, "moves": moves}], "scores": "estimate", "notes": [], "layers": rows, "asked": {},
            "fp32": {"size_bytes": total * 4, "bops": sum(x["macs"] for x in layers) * 1024}, "spent": {}}


def solve(layers: list[dict[str, Any]], recipe: Any, precisions: list[str], limits: dict[str, Any]) -> dict[str, Any]:
    """The cheapest half at eight bits; a size below what four bits take is refused."""
    held = [precisions[0] if i % 2 else precisions[-1] for i in range(len(layers))]
    if limits.get("max_size") is not None and limits["max_size"] < 0.12:
        raise BadInput("no choice keeps to the limit: the least possible is 12.5 %")
    return _point(layers, recipe, held, 0.01, "") | {"proven": True, "gap": 0.0, "kind": "predicted"}


def _point(layers: list[dict[str, Any]], recipe: Any, held: list[str], drop: float, why: str) -> dict[str, Any]:
    names = {x["name"]: p for x, p in zip(layers, held, strict=True)}
    plain = recipe.to_dict() | {"precision": "w8a8", "layers": {n: p for n, p in names.items() if p != "w8a8"}}
    return {"kl": drop * 3, "value": 0.924 - drop, "samples": WHOLE // 2, "sqnr_db": 20.0, "agreement": 0.96,
            "drop": {"value": drop, "ci95": [drop - 0.006, drop + 0.006], "flips_lost": 20, "flips_won": 9}, **_totals(layers, held),
            "boundaries": 0, "base": "w8a8", "layers": names, "measured": True, "why": why, "recipe": plain}


LAST = 120  # pauses before the last point of a slow search: time enough to stop it, on a busy machine too


def search(layers: list[dict[str, Any]], recipe: Any, precisions: list[str], given: dict[str, Any], pause: float, progress: Any,
           partial: Any) -> dict[str, Any]:
    """Four measured points, the third of them chosen; what is there is told after each."""
    found: list[dict[str, Any]] = []
    spent = {"measurements": 0, "known": 0, "network_runs": 0.0, "score_seconds": 0.1, "seconds": 1.0}
    for k in range(4):
        for _ in range(LAST if pause and k == 3 else 1):
            time.sleep(pause)
            progress(k / 4, f"Measuring recipe {k + 1}")
        wide = len(layers) * k // 3
        held = [precisions[0] if i < wide else precisions[-1] for i in range(len(layers))]
        found.append(_point(layers, recipe, held, 0.03 - 0.009 * k, f"Frontier {k + 1} of 4"))
        held = [precisions[0]] + [precisions[-1]] * (len(layers) - 1)
        beaten = _point(layers, recipe, held, 0.05, "Repair: one layer wider")
        mix = {"layers": [x["name"] for x in layers], "precisions": precisions}
        letters = "abcdefg"
        bare = [{key: v for key, v in p.items() if key not in ("layers", "recipe")}
                | {"mix": "".join(letters[precisions.index(q)] for q in p["layers"].values())} for p in (*found, beaten)]
        partial({"pareto": list(found), "tried": bare, "mix": mix, "cost": "bops", "chosen": found[-1] if k > 1 else None, "spent": spent})
    promise = {**found[2], "drop": {"value": 0.011, "ci95": [0.004, 0.018], "flips_lost": 18, "flips_won": 7}}
    return {"pareto": found, "tried": bare, "mix": mix, "cost": "bops", "chosen": found[2], "nearest": None, "kept": True,
            "promise": promise,
            "certifies": {"samples": 1000, "half": 0.011, "smallest": 0.0094, "observed_at_most": 0.009, "needed": 1514},
            "asked": {"max_drop": given.get("max_drop"), "judge": "estimate"}, "scores": "estimate", "notes": [], "words": "It keeps.",
            "layers": [], "changed": [], "spent": spent | {"measurements": 4, "network_runs": 4.0}}


def takes(layers: list[dict[str, Any]], recipe: Any, max_drop: float) -> dict[str, Any]:
    """A move of bits, one of ranges, a step and one that was not tried."""
    bits = recipe.to_dict() | {"layers": {layers[0]["name"]: "w8a16"}}
    method = recipe.to_dict() | {"calibration": {"method": "mse", "samples": 256, "seed": 0}}
    train = recipe.to_dict() | {"steps": ["fold_batch_norm", "qat"]}
    step = recipe.to_dict() | {"steps": ["fold_batch_norm", "bias_correction"]}
    change = [{"key": f"layers.{layers[0]['name']}", "before": "w8a8", "after": "w8a16"}]

    def move(kind: str, title: str, plain: Any, kl: float | None, size: float, known: str, reaches: bool) -> dict[str, Any]:
        return {"kind": kind, "title": title, "recipe": plain, "changes": change, "kl": kl, "gain": None if kl is None else 0.01 - kl,
                "size_bytes": size, "bops": 0.0, "seconds": 2.0 if known == "measured" else None, "known": known, "reaches": reaches}

    return {"now": {"kl": 0.01, "drop": 0.03, "ci95": [0.02, 0.04], "samples": 128}, "max_drop": max_drop, "missed": True, "cap": 0.004,
            "moves": [move("bits", "more bits for the first layer", bits, 0.003, 640.0, "predicted", True),
                      move("method", "ranges by mse", method, 0.006, 0.0, "measured", False),
                      move("step", "the step bias_correction", step, 0.009, 0.0, "measured", False),
                      move("step", "training", train, 0.002, 0.0, "estimate", True)], "complete": True}
