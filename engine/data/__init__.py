"""Calibration, training and evaluation data, metrics and the statistics of comparing two models."""
from engine.data.dataset import Dataset, InputInfo, Scaling
from engine.data.load import load_data

__all__ = ["Dataset", "InputInfo", "Scaling", "load_data"]
