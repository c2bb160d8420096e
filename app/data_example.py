"""Python lines that write data in the layout that a model needs, ready to paste: they run as they are, on zeros."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
OPEN = 16  # stands for a size that the model leaves open
NAMES = {"bool": "bool_", "string": "str_"}


def snippet(model: Facts, name: str = "evaluation.npz") -> str:
    """Lines for the arrays of the model's inputs and, where its output may be classes, labels."""
    inputs = list(model.get("inputs") or [])
    lines = ["import numpy as np", "", "samples = 1000", "# put your own arrays in the place of the zeros", "arrays = {"]
    for tensor in inputs:
        lines += [f"    # {_note(tensor)}", f"    {str(tensor['name'])!r}: {_zeros(tensor)},"]
    label, note = _labels(list(model.get("outputs") or []))
    lines += [f"    # {note}", f"    'labels': {label},", "}", f"np.savez({name!r}, **arrays)"]
    return "\n".join(lines)


def _zeros(tensor: Facts) -> str:
    shape = [s if isinstance(s, int) and s > 0 else OPEN for s in list(tensor.get("shape") or [])[1:]]
    dtype = str(tensor.get("dtype") or "float32")
    sizes = ", ".join(["samples", *map(str, shape)]) + ("," if not shape else "")
    return f"np.zeros(({sizes}), np.{NAMES.get(dtype, dtype)})"


def _note(tensor: Facts) -> str:
    loose = [str(s) for s in list(tensor.get("shape") or [])[1:] if not (isinstance(s, int) and s > 0)]
    return "prepared as for training" + (f"; {', '.join(loose)}: any size, the same for all" if loose else "")


def _labels(outputs: Sequence[Facts]) -> tuple[str, str]:
    shape = list(outputs[0].get("shape") or []) if outputs else []
    if len(shape) == 3:
        size = shape[1] if isinstance(shape[1], int) and shape[1] > 0 else OPEN
        return f"np.zeros((samples, {size}), np.int64)", "optional: the class at each position"
    return "np.zeros(samples, np.int64)", "optional: the class of each sample, for top-1"
