"""Makes this folder's model and data from Fashion-MNIST.

    python -m sample_models.fashion_vit.train --data FOLDER

How to get the data without a browser is in `sample_models/README.md`.
"""
from __future__ import annotations

from pathlib import Path

from sample_models.common.make import main
from sample_models.common.training import Plan
from sample_models.fashion_vit.model import FashionViT

PLANS = (
    Plan(epochs=7, learning_rate=3e-3, weight_decay=0.02, warmup=0.05, shift=0),
    Plan(epochs=5, learning_rate=2e-3, weight_decay=0.02, shift=0, seed=1),
    Plan(epochs=9, learning_rate=3e-3, weight_decay=0.0, shift=0, seed=2),
)

if __name__ == "__main__":
    main(__doc__ or "", FashionViT, PLANS, Path(__file__).parent)
