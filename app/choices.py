"""What can be chosen: targets, precisions, methods, metrics, in the words of the screen."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

TARGETS = Path(__file__).resolve().parent.parent / "engine" / "targets" / "data"
FIRST = "htp_v73"
BASES = ("fp32", "fp16", "bf16", "w16a16", "w8a16", "w8a8", "w4a16", "w4a8", "w4a4", "w3a8")
METHODS = {"min_max": "min / max", "percentile": "percentile", "sqnr": "SQNR", "mse": "MSE", "entropy": "entropy"}
METRICS = {"": "by the data (top-1 with labels)", "top1": "top-1", "top5": "top-5", "agreement": "agreement with float",
           "cosine": "cosine", "sqnr": "SQNR", "miou": "mean IoU"}
GRANULARITIES = {"": "as the target", "per_channel": "per channel", "per_tensor": "per tensor"}
SYMMETRIES = {"": "as the target", "true": "symmetric", "false": "asymmetric"}
BIASES = {"float": "float", "int32": "int32"}


@lru_cache(maxsize=1)
def targets() -> tuple[str, ...]:
    """The names of the targets that come with Mixdown, the usual one first."""
    names = sorted(p.stem for p in TARGETS.glob("*.json") if "schema" not in p.stem)
    return tuple([n for n in names if n == FIRST] + [n for n in names if n != FIRST]) or (FIRST,)


def method_name(method: str) -> str:
    """A range method on screen; an empty one follows its class."""
    return METHODS.get(method, "as its class")


def metric_name(metric: str) -> str:
    """A metric on screen."""
    return METRICS.get(metric, metric)
