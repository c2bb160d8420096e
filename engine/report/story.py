"""What was done, in plain words."""
from __future__ import annotations

from collections import Counter

from engine.report import precision, words
from engine.report.facts import Facts
from engine.report.values import number_in, rows, text, text_in, texts, value_in

STEPS = {
    "fold_batch_norm": "BatchNormalization was folded into the layers before it",
    "cle": "ranges of neighbouring channels were equalized",
    "absorb_bias": "large biases were moved into the next layer",
    "bias_correction": "the mean error of each layer was put into its bias",
    "smooth_quant": "outliers of activations were moved into the weights",
    "seq_mse": "weight ranges were searched layer by layer",
    "adaround": "the rounding of the weights was learned",
    "gptq": "weights were rounded one after the other, and the rest made good the error",
    "bn_reestimation": "BatchNormalization statistics were estimated again",
    "qat": "the network was trained with quantization in place",
    "auto": "repairs were tried one after the other, and kept where they helped",
}
METHODS = {
    "min_max": "smallest and greatest value",
    "percentile": "percentiles",
    "sqnr": "least noise",
    "mse": "least squared error",
    "entropy": "entropy",
}


def sentences(facts: Facts) -> list[str]:
    """One sentence each: precision, exceptions, float layers, steps, calibration, where it is to run."""
    return [line for line in (_base(facts), _exceptions(facts), _changed(facts), *_steps(facts), _calibration(facts), _target(facts),
                              *_notes(facts)) if line]


def used(facts: Facts) -> Counter[str]:
    """How many layers have each effective precision."""
    return Counter(effective(layer) for layer in facts.layers)


def effective(layer: object) -> str:
    """The precision that a layer has; float where it is bypassed without one."""
    found = text_in(layer, "precision")
    return found or "fp32"


def _base(facts: Facts) -> str:
    base, layers = text_in(facts.report, "recipe", "precision"), len(facts.layers)
    if not base:
        return f"{words.plural(layers, 'layer')} were quantized." if layers else ""
    return f"The base is {base.upper()}: {precision.words(base)}, for {words.plural(layers, 'layer')} with weights."


def _exceptions(facts: Facts) -> str:
    base = text_in(facts.report, "recipe", "precision")
    other = [(name, count) for name, count in used(facts).most_common() if name != base]
    if not base or not other:
        return "Every layer has it." if base and facts.layers else ""
    said = words.listed([f"{words.plural(count, 'layer')} at {name.upper()}" for name, count in other], 6)
    return f"Apart from the base there {'is' if other[0][1] == 1 and len(other) == 1 else 'are'} {said}."


def _changed(facts: Facts) -> str:
    raised = [layer for layer in facts.layers if text_in(layer, "requested") != text_in(layer, "precision") and text_in(layer, "reason")]
    if not raised:
        return ""
    first = raised[0]
    return (f"{words.plural(len(raised), 'layer')} got another precision than was asked for, because of the target or of a shared tensor: "
            f"{text_in(first, 'name')} {text_in(first, 'requested')} → {text_in(first, 'precision')} ({text_in(first, 'reason')})"
            f"{f', and {len(raised) - 1} more' if len(raised) > 1 else ''}.")


def _steps(facts: Facts) -> list[str]:
    out = []
    for step in rows(value_in(facts.report, "steps"))[:12]:
        name, changes = text_in(step, "name"), value_in(step, "changes")
        places = len(changes) if isinstance(changes, list) else number_in(step, "changes")
        said = STEPS.get(name, f"the step {name} was run")
        out.append(f"{said[:1].upper()}{said[1:]}{f' ({places:.0f} places)' if places else ''}.")
    return out


def _calibration(facts: Facts) -> str:
    found = value_in(facts.report, "recipe", "calibration")
    samples, method = number_in(found, "samples"), text(value_in(found, "method"))
    if samples is None or not (facts.measured or facts.files):
        return ""
    how = METHODS.get(method, method)
    return f"Ranges of activations come from {samples:,.0f} calibration samples{f' ({how})' if how else ''}."


def _target(facts: Facts) -> str:
    name = text_in(facts.report, "target") or text_in(facts.report, "recipe", "target")
    illegal = [layer for layer in facts.layers if value_in(layer, "legal") is False]
    said = f"It is made for the target {name}" if name else ""
    if not said:
        return ""
    if illegal:
        return f"{said}, which does not run {words.plural(len(illegal), 'layer')} as they are."
    return f"{said}; every layer runs on it as it is."


def _notes(facts: Facts) -> list[str]:
    return texts(value_in(facts.report, "notes"))[:4]
