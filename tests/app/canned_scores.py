"""The canned session with scores: every layer has its own damage, exact figures come row by row."""

from __future__ import annotations

import math
import time
from typing import Any

from tests.app.canned import CannedSession

DAMAGE = {"fp16": 1e-6, "w8a16": 2e-4, "w8a8": 1e-3, "w4a8": 3e-2, "w4a16": 2.5e-2}
KINDS = {"kl": ("nats per sample", False), "sqnr_db": ("dB", True), "metric_drop": ("top1, float minus quantized", False)}


class ScoredSession(CannedSession):
    """Adds `sensitivity` and `diagnose`."""

    def sensitivity(
        self, question: Any, recipe: Any = None, on: str = "calibration", racing: bool = False, progress: Any = None, partial: Any = None
    ) -> dict[str, Any]:
        """Estimates at once; exact answers in four parts."""
        estimate = question.mode == "estimate"
        for step in range(1, 1 if estimate else 4):
            time.sleep(self.pause * 4)
            progress(step / 4, f"Sample {step * question.samples // 4}")
            partial(self._answer(question, step * question.samples // 4, len(self.layers) * step // 3))
        time.sleep(self.pause)
        return self._answer(question, question.samples, len(self.layers)) | {"seconds": 0.5}

    def diagnose(self, recipe: Any, layers: Any = None, progress: Any = None) -> dict[str, Any]:
        """One cause with a remedy for each layer that was asked for."""
        remedy = {
            "title": "Percentile range",
            "words": "Cuts the outliers off. Tried on 32 samples: 4.0 dB.",
            "gain_db": 4.0,
            "costs_bits": False,
        }
        return {
            "layers": layers,
            "diagnoses": [
                {
                    "layer": name,
                    "tensor": f"{name}.weight",
                    "cause": "outlier_channels",
                    "words": "<b>Two</b> channels are wide.",
                    "severity": 0.62,
                    "evidence": {},
                    "remedies": [remedy | {"change": {"layers": {name: {"weights": {"method": "percentile"}}}}}],
                }
                for name in layers or []
            ],
        }

    def _answer(self, question: Any, samples: int, count: int) -> dict[str, Any]:
        estimate, precisions = question.mode == "estimate", [str(p) for p in question.precisions]
        names = [x["name"] for x in self.layers]
        kinds = (
            {"sqnr_db": KINDS["sqnr_db"]} if question.mode in ("data-free", "cumulative") else {"kl": KINDS["kl"]} if estimate else KINDS
        )
        rows = [
            _row(question, i, name, p, kind, samples, estimate)
            for kind in kinds
            for i, name in enumerate(names[:count])
            for p in precisions
        ]
        main = next(iter(kinds))
        return {
            "mode": question.mode,
            "what": question.what,
            "items": question.items,
            "precisions": precisions,
            "samples": samples,
            "asked_samples": question.samples,
            "estimate": estimate,
            "score": main,
            "kinds": {k: {"unit": u, "higher_is_better": h, "doc": f"about {k}"} for k, (u, h) in kinds.items()},
            "members": [{"name": n, "layers": [n], "tensors": []} for n in names],
            "scores": rows,
            "rankings": [_ranking(rows, p, main, samples) for p in precisions],
        }


def value(kind: str, i: int, precision: str) -> float:
    """A layer's damage; the first, and every seventh, is much worse than the others."""
    damage = DAMAGE[precision] * (0.3 + math.sin(i * 1.7) ** 2) * (14 if i % 7 == 0 else 1) / 10
    return {"kl": damage, "sqnr_db": 14 - 10 * math.log10(damage), "metric_drop": damage / 20}[kind]


def _row(question: Any, i: int, name: str, precision: str, kind: str, samples: int, estimate: bool) -> dict[str, Any]:
    found = value(kind, i, precision) * (0.8 if estimate and kind == "kl" else 1)
    half = abs(found) * 3 / math.sqrt(samples) if kind != "metric_drop" else 0.0008
    row = {
        "layer": name,
        "precision": precision,
        "mode": question.mode,
        "what": question.what,
        "metric": kind,
        "unit": KINDS[kind][0],
        "higher_is_better": KINDS[kind][1],
        "value": found,
        "samples": samples,
        "estimate": estimate,
        "ci95": None if question.mode == "data-free" else [found - half, found + half],
    }
    return row | ({"below_resolution": found < half} if kind == "metric_drop" else {})


def _ranking(rows: list[dict[str, Any]], precision: str, main: str, samples: int) -> dict[str, Any]:
    own = [r for r in rows if r["precision"] == precision and r["metric"] == main]
    order = sorted(own, key=lambda r: r["value"], reverse=main == "kl")
    noise = precision == "fp16"
    said = (
        f"At {precision} the order of the items is noise at {samples} samples: no rank is settled."
        if noise
        else f"At {precision} all is settled."
    )
    return {
        "precision": precision,
        "score": main,
        "samples": samples,
        "settled_top": 1,
        "noise": noise,
        "words": said,
        "ties": [],
        "ranks": [{"layer": r["layer"], "rank": k + 1, "low": max(1, k), "high": k + 2} for k, r in enumerate(order)],
    }


def for_project(project: Any, store: Any) -> ScoredSession:
    """The factory that a worker is given; the model's file name may say how many layers and how slow."""
    words = project.model.stem.split("_")
    return ScoredSession(next((int(w) for w in words if w.isdigit()), 53), 0.25 if "slow" in words else 0.0)
