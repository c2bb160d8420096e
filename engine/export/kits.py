"""Commands to paste for the toolchains that take an export, with its file names."""
from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from engine.export.bundle import ENCODINGS, MODEL, QDQ


def _qairt(folder: str) -> str:
    return (f"qairt-converter --input_network {folder}/{MODEL} "
            f"--quantization_overrides {folder}/{ENCODINGS['1.0.0']} --output_path model.dlc")


def _qnn(folder: str) -> str:
    """Older SDKs, and `--custom_io`, want the older dialect."""
    return (f"qnn-onnx-converter --input_network {folder}/{MODEL} --quantization_overrides {folder}/{ENCODINGS['0.6.1']} "
            "--output_path model.cpp")


def _ai_hub(folder: str) -> str:
    """AI Hub takes a folder NAME.aimet that holds one .onnx and one .encodings."""
    return (f"mkdir -p model.aimet && cp {folder}/{MODEL} {folder}/{ENCODINGS['1.0.0']} model.aimet/\n"
            "python -c 'import qai_hub as hub; hub.submit_compile_job(\"model.aimet\", hub.Device(\"Samsung Galaxy S24 (Family)\"), "
            "options=\"--target_runtime qnn_dlc\")'")


def _onnxruntime(folder: str) -> str:
    return (f"python -c 'import onnxruntime as ort; s = ort.InferenceSession(\"{folder}/{QDQ}\", "
            "providers=[(\"QNNExecutionProvider\", {\"backend_type\": \"htp\"}), \"CPUExecutionProvider\"]); print(s.get_providers())'")


KITS: dict[str, Callable[[str], str]] = {"qairt": _qairt, "qnn": _qnn, "ai_hub": _ai_hub, "onnxruntime": _onnxruntime}


def commands(folder: Path | str) -> dict[str, str]:
    """Toolchain → what to paste into a shell."""
    return {name: make(shlex.quote(str(folder))) for name, make in KITS.items()}
