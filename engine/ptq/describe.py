"""The techniques as plain data: what a form, a menu and `--help` are made from."""
from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal

from engine.ptq.technique import available, registered

Cost = Literal["instant", "seconds", "minutes"]


@dataclass(frozen=True)
class About:
    """A technique in words.

    Attributes:
        title: a few words that need no paper.
        sentence: what it does.
        cost: what it takes on a model like MobileNetV2 on one core: no noticeable time, seconds, or minutes.
        promise: what holds afterwards; nothing more is promised.
        source: where it was published.
    """

    title: str
    sentence: str
    cost: Cost
    promise: str
    source: str = ""


_DATA_FREE = "Nagel et al. 2019, Data-Free Quantization"
ABOUT: dict[str, About] = {
    "fold_batch_norm": About(
        "Fold batch norms", "Multiplies each BatchNormalization into the layer beside it, as devices do.",
        "instant", "the same float function", "Jacob et al. 2018"),
    "cle": About(
        "Equalize channels", "Rescales neighbouring layers so that their channels have like ranges: one grid then fits them all.",
        "instant", "the same float function", _DATA_FREE),
    "absorb_bias": About(
        "Absorb high biases", "Moves the constant part of wide activations into the next layer's bias, so that their range shrinks.",
        "instant", "the same float function where nothing was clipped", _DATA_FREE),
    "smooth_quant": About(
        "Smooth activations", "Moves outliers of activations into the weights that read them, whose grid is finer.",
        "seconds", "the same float function", "Xiao et al. 2023, SmoothQuant"),
    "seq_mse": About(
        "Search weight ranges", "Tries narrower ranges for each weight, layer by layer, and keeps what disturbs its output least.",
        "seconds", "the same bits; weights stay, only their grids move", "Gluska and Grobman 2020; AIMET's SeqMSE"),
    "gptq": About(
        "Round weights in one pass", "Rounds a weight column by column and lets the columns still to come make up for the error.",
        "seconds", "the same bits and size; weights change", "Frantar et al. 2023, GPTQ"),
    "adaround": About(
        "Learn the rounding", "Learns for every weight whether to round up or down, by gradient steps on the layer's output.",
        "minutes", "the same bits; weights move one step at most", "Nagel et al. 2020, AdaRound"),
    "bias_correction": About(
        "Correct biases", "Shifts each bias by the mean error that quantization leaves at the layer's output.",
        "seconds", "no mean error left on calibration data; weights stay", _DATA_FREE),
    "bn_reestimation": About(
        "Gather batch statistics anew", "Takes mean and variance of each layer's output again, with quantized weights in place.",
        "seconds", "means and variances as in float; weights stay", "Nagel et al. 2021, White Paper"),
    "qat": About(
        "Train with quantizers", "Fine-tunes weights and ranges with the recipe's rounding in the loop, the float model as teacher.",
        "minutes", "the same bits and size; the best epoch on held-out samples, or nothing", "Esser et al. 2020, LSQ"),
}
LADDER = "auto"  # tries the others in turn: it is no line of a chain but makes one


def describe() -> dict[str, Any]:
    """`steps`: the techniques that exist, in the order in which they make sense; `ladder`: the one that tries them, or None.

    Each has a name, words, what it looks at, and fields: name, type (`bool`, `int`, `float`, `text`), default, doc, minimum,
    maximum, choices; the last three may be None.
    """
    names = [*(n for n in ABOUT if n in available()), *(n for n in available() if n not in ABOUT and n != LADDER)]
    return {"steps": [_technique(name) for name in names], "ladder": _technique(LADDER) if LADDER in available() else None}


def _technique(name: str) -> dict[str, Any]:
    found = registered(name)
    about = ABOUT.get(name) or About(name.replace("_", " ").capitalize(), _first_line(found.run.__doc__), "minutes", "")
    return {"name": name, "title": about.title, "sentence": about.sentence, "cost": about.cost, "promise": about.promise,
            "source": about.source, "looks_at": found.looks_at, "fields": [_field(f) for f in fields(found.config)]}


def _field(field: Field[Any]) -> dict[str, Any]:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    choices = field.metadata.get("choices")
    return {"name": field.name, "type": _kind(default), "default": default, "doc": str(field.metadata.get("doc") or ""),
            "minimum": field.metadata.get("min"), "maximum": field.metadata.get("max"),
            "choices": None if choices is None else list(choices)}


def _kind(default: Any) -> str:
    """The type that the form offers; `bool` is asked first, because a bool is an int too."""
    return next((name for kind, name in ((bool, "bool"), (int, "int"), (float, "float")) if isinstance(default, kind)), "text")


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
