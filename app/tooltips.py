"""What each figure on the screen means, in one sentence with its unit and direction: the only place where that is written.

Names are those of results and of labels on screen, in small letters: `tip("SQNR")`, `tip("sqnr_db")`, `tip("drop")`.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tip:
    """`better` is `higher`, `lower`, or empty where neither is; `unit` is empty for plain words."""

    says: str
    unit: str = ""
    better: str = ""

    def sentence(self) -> str:
        """The tooltip."""
        unit = f", in {self.unit}" if self.unit else ""
        direction = f"; {self.better} is better" if self.better else ""
        return f"{self.says}{unit}{direction}."


_SHARE, _POINTS, _BYTES = "percent of samples", "percentage points (or the metric's own unit)", "bytes"
TIPS: dict[str, Tip] = {
    # metrics of the task
    "top1": Tip("Share of samples whose highest score is the label's class", _SHARE, "higher"),
    "top5": Tip("Share of samples with the label's class among the five highest scores", _SHARE, "higher"),
    "agreement": Tip("Share of samples for which the quantized model chooses the float model's class", _SHARE, "higher"),
    "cosine": Tip("Cosine between the quantized output and the float one, averaged over samples", "a number up to 1", "higher"),
    "sqnr": Tip("Signal power over the power of the quantization noise at the output, pooled over samples", "dB", "higher"),
    "miou": Tip("Overlap of predicted and labelled regions, averaged over classes", "percent", "higher"),
    "neg_kl": Tip("Minus the divergence of the output's probabilities from the float model's", "nats per sample", "higher"),
    "neg_mse": Tip("Minus the mean squared error of the output against the labels", "the output's unit squared", "higher"),
    # the bar
    "accuracy": Tip("The task's metric of the quantized model on the evaluation data, with its 95 % interval", "percent", "higher"),
    "float": Tip("The same metric of the float model: what there is to lose", "percent", "higher"),
    "drop": Tip("Float minus quantized on the same samples, with a paired 95 % interval", _POINTS, "lower"),
    "lost": Tip("Samples that the float model has right and the quantized one wrong", "samples", "lower"),
    "won": Tip("Samples that the quantized model has right and the float one wrong", "samples", "higher"),
    "size": Tip("Weights of all layers at the bits of this recipe", _BYTES, "lower"),
    "compute": Tip("Multiply-accumulates times the bits of both factors, against float", "percent of the float model's bit operations",
                   "lower"),
    # the predicted, the measured
    "predicted": Tip("What the sum of the layers' scores lets expect, not run; the interval says how far such predictions were off",
                     "the metric's unit"),
    "measured": Tip("The value found by running the whole recipe on the evaluation data", "the metric's unit"),
    # scores of layers
    "kl": Tip("How far one item's quantization moves the output's probabilities from the float model's; these add over layers",
              "nats per sample", "lower"),
    "sqnr_db": Tip("Signal over quantization noise, at the output for scores and at its own output for a layer", "dB", "higher"),
    "mse": Tip("Mean squared error of the output against the float model's", "the output's unit squared", "lower"),
    "metric_drop": Tip("Loss of the task's metric by this item alone; on few samples mostly below resolution", _POINTS, "lower"),
    "weight_sqnr_db": Tip("Signal over quantization noise of the weights themselves; needs no data", "dB", "higher"),
    "estimate": Tip("A score from gradients, second order: quick, and right about the order more than about the size", "the score's unit"),
    "exact": Tip("A score from running the item quantized, on the samples that it names", "the score's unit"),
    "rank": Tip("Place of a layer among all at this precision, with the places that its interval allows", "1 is the worst"),
    "fair share": Tip("The accuracy budget divided by the number of layers: what each may cost", "nats per sample"),
    "budget": Tip("The loss that the whole model may have", "nats per sample"),
    # a layer
    "precision": Tip("Bits of the layer's weights and of the activations it reads, as the target runs it", "w bits a bits"),
    "params": Tip("Weights and biases of the layer", "numbers"),
    "macs": Tip("Multiply-accumulates for one sample", "operations", "lower"),
    "share": Tip("Part of the model's size that lies in this layer", "percent"),
    # the model page
    "layers": Tip("Nodes with weights: what a recipe gives bits to", "nodes"),
    "parameters": Tip("Weights and biases of all layers", "numbers"),
    "weights, float": Tip("Weights of all layers as 32-bit floats: what quantization makes smaller", _BYTES),
    "activations, peak": Tip("The most that tensors between layers need at one time for one sample, as 32-bit floats", _BYTES, "lower"),
    "file": Tip("The ONNX file with its external data", _BYTES),
    "nodes": Tip("How often the operator occurs in the graph", "nodes"),
    "support": Tip("Whether the operator runs, and whether gradients pass through it, which estimates and training need"),
    "quantizer": Tip("The number type that the target stores the tensor in, or float where it stays as it is"),
    # calibration
    "data": Tip("The set from which ranges are gathered; labels are not needed"),
    "samples": Tip("How many samples were or will be looked at", "samples"),
    "low": Tip("Lower end of a tensor's range: smaller values are clipped to it", "the tensor's unit"),
    "high": Tip("Upper end of a tensor's range: larger values are clipped to it", "the tensor's unit"),
    "clip cal. %": Tip("Share of values outside the range on the calibration data", "percent", "lower"),
    "clip eval. %": Tip("Share of values outside the range on data that calibration has not seen", "percent", "lower"),
    # export
    "base": Tip("The precision of every layer that the recipe does not name", "w bits a bits"),
    "set by hand": Tip("Layers that the recipe names, with their own precision or kept in float", "lines"),
    "weights": Tip("Weights of all layers at the bits of this recipe", _BYTES, "lower"),
    "max_lsb": Tip("The largest difference between an exported output and the simulated one", "quantization steps of the output", "lower"),
    "mean_lsb": Tip("The mean difference between an exported output and the simulated one", "quantization steps of the output", "lower"),
    "same": Tip("Share of samples for which the exported file chooses the same class as the simulation", _SHARE, "higher"),
    # comparing
    "p": Tip("How probable flips as unequal as these are if both runs were equally good (McNemar)", "probability", "lower"),
    "margin": Tip("How far the right class's score leads over the best other one", "the output's unit", "higher"),
    # repair
    "gain": Tip("The metric after this step minus before it, on the same samples; the interval is paired", _POINTS, "higher"),
    "boundaries": Tip("Places where the number type changes along an edge, each a conversion at run time", "edges", "lower"),
    "bops": Tip("Multiply-accumulates times the bits of both factors", "bit operations", "lower"),
}
_ALSO = {"output kl": "kl", "metric drop": "metric_drop", "drop, paired": "drop", "sqnr, db": "sqnr_db", "top-1": "top1", "top-5": "top5",
         "mean iou": "miou", "mean error": "mean_lsb", "max error": "max_lsb", "samples that agree": "same", "acc": "accuracy",
         "flips_lost": "lost", "flips_won": "won"}


def find(name: str) -> Tip | None:
    """The tip of a metric, score or label; None where nothing is written about it."""
    key = " ".join(name.lower().split())
    key = _ALSO.get(key, key)
    if key.startswith("float ") and key not in TIPS:
        key = "float"
    return TIPS.get(key)


def tip(name: str) -> str:
    """The sentence; empty for a name that is not known, so that a table's plain columns stay without."""
    found = find(name)
    return "" if found is None else found.sentence()
