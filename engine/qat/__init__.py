"""Quantization-aware training: a trainer that works from a recipe's step; for a loop of one's own see `engine.sim.trainable`."""
from engine.qat.config import Qat
from engine.qat.figures import Epoch, Training
from engine.qat.trainer import train

__all__ = ["Epoch", "Qat", "Training", "train"]
