"""What a training run is told. Every field has a default that is safe for fine-tuning a trained network."""
from __future__ import annotations

from dataclasses import dataclass

from engine.setting import check_settings, setting


@dataclass(frozen=True)
class Qat:
    """Settings of a training run; the form on the screen and `--help` are made from them."""

    epochs: int = setting(4, "Passes over the training data.", 1, 1000)
    stop_after: int = setting(0, "End after this many epochs although the schedule is made for all of them; 0 runs all.", 0, 1000)
    batch: int = setting(128, "Samples per step of the optimizer's gradient.", 1, 65536)
    learning_rate: float = setting(1e-3, "Step size for weights at the schedule's top.", 0.0, 10.0)
    range_rate: float = setting(1e-3, "Step size for ranges, relative to their first value.", 0.0, 10.0)
    optimizer: str = setting("adamw", "PyTorch's optimizer.", choices=("adamw", "adam", "sgd"))
    schedule: str = setting("cosine", "How the step size falls after the warm-up.", choices=("cosine", "linear", "constant"))
    warmup: float = setting(0.1, "Share of all steps in which the step size rises from near zero.", 0.0, 0.9)
    weight_decay: float = setting(0.0, "Decay of weight matrices per step, times the step size; nothing else decays.", 0.0, 1.0)
    distillation: float = setting(1.0, "Share of the loss that follows the float model's outputs; the rest follows the labels.", 0.0, 1.0)
    temperature: float = setting(1.0, "Softening of class scores in the distillation: 1 compares probabilities as they are.", 0.1, 100.0)
    match: str = setting("", "Layers, as a glob, whose outputs are pulled to the float model's as well; empty for none.")
    match_weight: float = setting(1.0, "Weight of that pull; each layer counts its squared error over its power.", 0.0, 1e6)
    ranges: str = setting("lsq", "How ranges learn: lsq (scale and zero point), pact (activations by what they clip), fixed.",
                          choices=("lsq", "pact", "fixed"))
    clip_norm: float = setting(1.0, "Largest norm of the whole gradient; 0 does not clip.", 0.0, 1e6)
    accumulate: int = setting(1, "Batches whose gradients are added before a step: memory of one batch, steps of many.", 1, 1024)
    ema: float = setting(0.0, "Decay of the running average of the weights that is evaluated and kept; 0 keeps the weights themselves.",
                         0.0, 0.9999)
    validation: float = setting(0.1, "Share of the training data that is held out to choose the best epoch.", 0.01, 0.5)
    patience: int = setting(0, "Epochs without a better validation loss before training stops; 0 runs all.", 0, 1000)
    augment: str = setting("none", "What happens to pictures before each step.", choices=("none", "shift", "flip", "flip_shift"))
    shift: int = setting(2, "Largest shift of a picture, in pixels, where `augment` shifts.", 0, 256)
    workers: int = setting(0, "Processes that read and decode data ahead; 0 reads in the training process.", 0, 32)
    autocast: str = setting("auto", "Half precision for matrix products: auto uses bf16 where the hardware has it.",
                            choices=("auto", "off", "bf16"))
    seed: int = setting(0, "Decides the held-out samples, the order and the augmentation.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
