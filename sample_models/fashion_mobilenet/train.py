"""Makes this folder's model and data from Fashion-MNIST.

    python -m sample_models.fashion_mobilenet.train --data FOLDER

How to get the data without a browser is in `sample_models/README.md`.
"""
from __future__ import annotations

from pathlib import Path

from sample_models.common.make import main
from sample_models.common.training import Plan
from sample_models.fashion_mobilenet.model import FashionMobileNet

PLANS = (
    Plan(epochs=9, learning_rate=2e-2, weight_decay=0.0, shift=0),
    Plan(epochs=3, learning_rate=3e-2, weight_decay=0.0, shift=0, seed=3),
    Plan(epochs=2, learning_rate=2.5e-2, weight_decay=0.0, shift=0, seed=4),
)

if __name__ == "__main__":
    main(__doc__ or "", FashionMobileNet, PLANS, Path(__file__).parent)
