"""Tables of the page Compare: the runs side by side, and the layers of two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import numbers
from app.compare import words
from app.compare.html import Cell
from app.compare.sources import Run

Found = Mapping[str, Any]
COLUMNS = [
    ("run", "m", "the first one is what the others are measured against"),
    ("metric", "n", "mean over the evaluation samples; higher is better"),
    ("drop from the left", "n", "left minus right on the same samples: above zero is a loss; lower is better"),
    ("95 % interval", "n", "of the drop, paired; where it includes zero the difference is below resolution"),
    ("lost / won", "n", "samples answered right only on the left, and only on the right; or whose score fell, and rose"),
    ("chance", "n", "probability of such a difference if there were none; small means that it is real"),
    ("SQNR", "n", "signal to quantization noise at the output against the float model, in dB; higher is better"),
    ("size", "n", "weights of all layers with their scales; exact; lower is better"),
    ("BOPs", "n", "bit operations a sample as a share of FP32's: MACs times the bits of both factors; exact; lower is better"),
]


def columns(metric: str) -> list[tuple[str, str, str]]:
    """The heads, with the metric's name."""
    return [(metric or name, cls, tip) if name == "metric" else (name, cls, tip) for name, cls, tip in COLUMNS]


def left_row(run: Run, found: Found) -> list[Cell]:
    """The reference's row."""
    none: Cell = ("\u2013", "d", "against itself")
    return [(run.label, "", "the reference"), _score(found, "left"), none, none, none, none, *_costs(found, "left")]


def row(run: Run, found: Found) -> list[Cell]:
    """A run against the left."""
    drop, of = found["drop"], words.unit(found)
    sure = words.resolved(drop)
    tone = ("hot" if drop["value"] > 0 else "ok") if sure else "d"
    lost, won = drop.get("flips_lost"), drop.get("flips_won")
    shown = f"{numbers.figure(drop['value'], of)} {words.points(found)}".strip()
    return [
        (run.label, "", ""),
        _score(found, "right"),
        (shown, tone, "above zero: worse than the left; " + ("real" if sure else "below resolution")),
        (words.span(drop, of), "" if sure else "d", str(drop.get("method") or "")),
        ("\u2013" if lost is None else f"{lost:,} / {won:,}", "", _lost_words(drop)),
        (words.p_text(found["test"].get("p")), "", words.chance(found)),
        *_costs(found, "right"),
    ]


def _lost_words(drop: Found) -> str:
    right_or_wrong = str(drop.get("method") or "").startswith("Tango")
    return "of the metric's right and wrong answers" if right_or_wrong else "samples whose score fell, and whose score rose"


def waiting_row(run: Run, said: str) -> list[Cell]:
    """A run that is still being compared."""
    return [(run.label, "", ""), (said, "d", ""), *[("", "", "")] * (len(COLUMNS) - 2)]


def _score(found: Found, side: str) -> Cell:
    score, of = found[side]["score"], words.unit(found)
    half = numbers.half_width(score)
    text = f"{numbers.figure(score['value'], of)} {of}" + ("" if half is None else f" \u00b1 {numbers.figure(half, of)}")
    return text, "", f"95 % interval by itself ({score.get('method')}); compare by the paired drop, which is sharper"


def _costs(found: Found, side: str) -> list[Cell]:
    """SQNR, size and BOPs; the float model's size is what the other side's is compared with."""
    report = found[side].get("report")
    if report is None:
        other = found["right" if side == "left" else "left"].get("report") or {}
        size = (other.get("cost") or {}).get("fp32_size_bytes")
        shown: Cell = (numbers.size_text(float(size)), "", "32-bit floats") if size else ("\u2013", "d", "32-bit floats")
        return [("exact", "d", "the float model is the signal"), shown, ("100 %", "", "the reference")]
    cost = report.get("cost") or {}
    size, bops = float(cost.get("size_bytes") or 0), float(cost.get("bops") or 0)
    ratio, part = float(cost.get("fp32_size_bytes") or 0) / max(size, 1), bops / max(float(cost.get("fp32_bops") or 0), 1)
    return [
        (f"{numbers.figure(report.get('sqnr_db'), 'dB')} dB", "", f"agreement with float {numbers.share(report.get('agreement'))}"),
        (numbers.size_text(size), "", f"{ratio:.2f} times smaller than FP32"),
        (f"{part * 100:.2f} %", "", f"{numbers.count_text(bops)} BOPs a sample"),
    ]


@dataclass(frozen=True)
class Layer:
    """One layer on both sides; SQNR in dB (higher is better), KL in nats a sample (lower is better)."""

    name: str
    left: str
    right: str
    left_db: float | None
    right_db: float | None
    left_kl: float | None
    right_kl: float | None
    left_bytes: float
    right_bytes: float
    reason: str = ""

    @property
    def changed(self) -> bool:
        """Whether the effective precision differs."""
        return self.left != self.right


def layers(found: Found, model: Sequence[Found], scores: Found | None) -> list[Layer]:
    """The layers of both sides in network order; the float model's are FP32."""
    sides = [{str(x["name"]): x for x in (found[side].get("report") or {}).get("layers") or []} for side in ("left", "right")]
    kl = {(s["layer"], s["precision"]): float(s["value"]) for s in (scores or {}).get("scores") or [] if s.get("metric") == "kl"}
    out = []
    for layer in model:
        name, size = str(layer["name"]), float(layer.get("fp32_size_bytes") or 0)
        a, b = (side.get(name) or {"precision": "fp32", "size_bytes": size} for side in sides)
        out.append(
            Layer(
                name,
                _precision(a),
                _precision(b),
                a.get("sqnr_db"),
                b.get("sqnr_db"),
                _kl(kl, name, a),
                _kl(kl, name, b),
                float(a.get("size_bytes") or 0),
                float(b.get("size_bytes") or 0),
                str(b.get("reason") or a.get("reason") or ""),
            )
        )
    return out


def _precision(layer: Found) -> str:
    return str(layer.get("precision") or "fp32")


def _kl(known: Mapping[tuple[str, str], float], name: str, layer: Found) -> float | None:
    return 0.0 if _precision(layer) == "fp32" and known else known.get((name, _precision(layer)))


LAYER_COLUMNS = [
    ("layer", "m", "in network order"),
    ("left", "n", "effective precision on the left"),
    ("right", "n", "effective precision on the right"),
    ("SQNR left", "n", "signal to noise at the layer's output with the whole recipe on, in dB; higher is better"),
    ("SQNR right", "n", "signal to noise at the layer's output with the whole recipe on, in dB; higher is better"),
    ("score left", "n", "output KL of this layer quantized by itself at that precision, in nats a sample; lower is better"),
    ("score right", "n", "output KL of this layer quantized by itself at that precision, in nats a sample; lower is better"),
    ("size", "n", "bytes on the right minus the left; below zero is smaller"),
]


def layer_cells(layer: Layer) -> list[Cell]:
    """One row of the layers' table."""
    kl = [
        ("\u2013" if v is None else f"{v:.2g}", "" if v is not None else "d", "" if v is not None else "not scored at this precision")
        for v in (layer.left_kl, layer.right_kl)
    ]
    db = [(numbers.figure(v, "dB"), "", "dB" if v is not None else "float: no noise") for v in (layer.left_db, layer.right_db)]
    more = layer.right_bytes - layer.left_bytes
    size = "=" if not more else numbers.minus(f"{'+' if more > 0 else '-'}{numbers.size_text(abs(more))}")
    return [
        (layer.name, "", layer.reason),
        (layer.left.upper(), "", ""),
        (layer.right.upper(), "" if not layer.changed else "b", layer.reason),
        *db,
        *kl,
        (size, "ok" if more < 0 else "", ""),
    ]
