"""The Recipe: what a person asks for. Reading, writing, editing, and matching its names to a model."""
from engine.recipe.match import check_names, match_bypass, match_layers, match_tensors
from engine.recipe.parts import (
    ActivationOptions,
    BlockSize,
    CalibrationOptions,
    EncodingsFile,
    LayerRequest,
    ModelRef,
    Step,
    TensorRequest,
    WeightOptions,
)
from engine.recipe.recipe import Recipe, load_recipe

__all__ = [
    "ActivationOptions",
    "BlockSize",
    "CalibrationOptions",
    "EncodingsFile",
    "LayerRequest",
    "ModelRef",
    "Recipe",
    "Step",
    "TensorRequest",
    "WeightOptions",
    "check_names",
    "load_recipe",
    "match_bypass",
    "match_layers",
    "match_tensors",
]
