"""The whole of a sample's `train.py`: read the data, train, export, write the npz files, state the accuracy."""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sample_models.common import accuracy, samples, to_onnx
from sample_models.common.idx import load_split
from sample_models.common.training import Plan, train


def arguments(description: str, default: Path) -> argparse.Namespace:
    """The command line that both scripts share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four Fashion-MNIST idx .gz files")
    parser.add_argument("--out", type=Path, default=default, help="where the model and data are written")
    parser.add_argument("--epochs", type=int, help="only so many epochs of the first plan, for a trial")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def make(build: Callable[[], nn.Module], plans: Sequence[Plan], data: Path, out: Path) -> None:
    """Trains the model that `build` returns, one plan after the other, and fills the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    training, test = load_split(data, "train"), load_split(data, "t10k")
    sets = samples.draw(training, test)
    samples.write(sets, out)
    torch.manual_seed(plans[0].seed)
    model = train(build(), training, plans[0])
    for plan in plans[1:]:
        torch.manual_seed(plan.seed)
        train(model, training, plan)
    path = out / "model.onnx"
    to_onnx.export(model, path)
    print("full test split:", accuracy.describe(path, test))
    print("evaluation.npz:", accuracy.describe(path, sets["evaluation"]))


def main(description: str, build: Callable[[], nn.Module], plans: Sequence[Plan], folder: Path) -> None:
    """Runs a sample's `train.py` from its command line."""
    options = arguments(description, folder)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    if options.epochs:
        plans = [replace(plans[0], epochs=options.epochs)]
    make(build, plans, options.data, options.out)
