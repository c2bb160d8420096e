"""What one window looks at on the page Sensitivity, typed; kept for each project while the window is open."""

from __future__ import annotations

from dataclasses import dataclass, field

from app import views

MODES = {"estimate": "Estimate", "one-on": "One-on", "one-off": "One-off", "cumulative": "Cumulative", "data-free": "Data-free"}
EXACT = ("one-on", "one-off")
MEANING = {
    "estimate": "one forward and one backward pass score every item and precision; second-order, so an estimate",
    "one-on": "only this item is quantized, everything else stays float: what it costs by itself",
    "one-off": "everything is quantized but this item: what leaving it in float would win",
    "cumulative": "everything is quantized, read at every item's output: where the error builds up",
    "data-free": "the error of the weights alone; needs no data",
}
WHATS = {"both": "Both", "weights": "Weights", "activations": "Activations"}
ITEMS = {"layers": "Layers", "ops": "Ops", "groups": "Groups", "blocks": "Blocks"}
SCORES = {"kl": "Output KL", "sqnr_db": "SQNR", "mse": "MSE", "cosine": "Cosine", "agreement": "Agreement", "metric_drop": "Metric drop"}
ORDERS = {"network": "Network order", "score": "By score"}
SIDES = ("Scores", "Causes", "Layer", "Adding up")
SAMPLES = (16, 32, 64, 128, 256, 512)
ESTIMATE_SAMPLES = 32
EXACT_SAMPLES = 128


@dataclass
class View:
    """The question, and how its answer is shown."""

    mode: str = "estimate"
    what: str = "both"
    items: str = "layers"
    score: str = "kl"
    racing: bool = False
    precision: str = ""
    order: str = "network"
    side: str = "Scores"
    item: str = ""
    rev: int = 0
    fresh: bool = True
    samples: dict[str, int] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def samples_of(self, mode: str) -> int:
        """How many samples a mode looks at."""
        return self.samples.get(mode, ESTIMATE_SAMPLES if mode == "estimate" else EXACT_SAMPLES)

    def with_data(self, there: bool) -> None:
        """Without data only the weights can be judged."""
        if not there:
            self.mode, self.what = "data-free", "weights"


def of(project: str) -> View:
    """The view of a project in this window."""
    return views.of("sensitivity", project, View)
