"""Mixdown's engine: simulate, measure, export and prove the quantization of ONNX models.

The names below load on first use, so that importing the package costs nothing.
"""
from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"load_model": "engine.graph", "Model": "engine.graph", "load_data": "engine.data", "Dataset": "engine.data",
          "Recipe": "engine.recipe", "load_recipe": "engine.recipe", "Session": "engine.session", "QuantSim": "engine.sim.quantsim",
          "MixdownError": "engine.errors", "BadInput": "engine.errors"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
