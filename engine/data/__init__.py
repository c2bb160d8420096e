"""Calibration, training and evaluation data, metrics and the statistics of comparing two models."""
import engine.data.builtin_metrics  # noqa: F401  # registers the metrics
from engine.data.dataset import Dataset, InputInfo, Scaling
from engine.data.load import load_data
from engine.data.metrics import METRICS, Metric, metric, resolve_metric
from engine.data.statistics import Drop, Interval, interval, paired_drop

__all__ = [
    "METRICS",
    "Dataset",
    "Drop",
    "InputInfo",
    "Interval",
    "Metric",
    "Scaling",
    "interval",
    "load_data",
    "metric",
    "paired_drop",
    "resolve_metric",
]
