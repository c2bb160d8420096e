"""What counts as right when two runs are compared: the labels, or without labels what the float model answers."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.analysis.answers import Answers
from engine.data.dataset import Array


@dataclass(frozen=True, eq=False)
class Truth:
    """What counts as right.

    Attributes:
        classes: [N] class numbers, or [N, P] for P positions of each sample; below 0 what does not count. None where
            neither labels nor the float model say classes.
        source: `labels`, `float` or empty.
        names: of the classes, by number; may be empty.
    """

    classes: Array | None
    source: str
    names: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """A class in words."""
        return self.names[number] if 0 <= number < len(self.names) else f"class {number}"


def truth_of(labels: Array | None, names: tuple[str, ...], reference: Answers, mask: Array | None = None) -> Truth:
    """The labels where they are classes, else what the float model answers; `mask` [N, T] is 0 where there is padding."""
    if labels is not None and labels.dtype.kind in "biu":
        if labels.ndim == 1 and not reference.positions:
            return Truth(labels.astype(np.int64), "labels", names)
        if reference.positions and labels.shape[1:] == reference.positions:
            return Truth(_counted(_kept(labels, reference).astype(np.int64), reference, mask), "labels", names)
    if labels is None and reference.predicted is not None:
        return Truth(_counted(reference.predicted.astype(np.int64), reference, mask), "float", names)
    return Truth(None, "", names)


def _kept(values: Array, reference: Answers) -> Array:
    """Of values [N, *positions] those at the positions that are kept, [N, P]."""
    return values.reshape(len(values), -1)[:, :: reference.step]


def _counted(classes: Array, reference: Answers, mask: Array | None) -> Array:
    if mask is None or mask.shape[1:] != reference.positions:
        return classes
    return np.where(_kept(mask, reference).astype(bool), classes, -1)
