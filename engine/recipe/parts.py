"""The parts of a recipe, as frozen types. `None` means: the target decides."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import BadInput
from engine.quant.methods import MinMax, RangeMethod
from engine.quant.precision import DataType, Precision

VERSION = 1
_MIN_MAX = MinMax()
MAX_CANDIDATES = 7
STEP_NAMES = ("fold_batch_norm", "cle", "absorb_bias", "bias_correction", "smooth_quant", "seq_mse", "adaround",
              "gptq", "bn_reestimation", "qat", "auto")
# Where a step belongs among others: what rescales weights, what chooses their grids and rounds them, what mends the rest.
STEP_ORDER = ("fold_batch_norm", "smooth_quant", "cle", "absorb_bias", "auto", "seq_mse", "gptq", "adaround", "bias_correction",
              "bn_reestimation", "qat")


class FrozenMap(Mapping[str, Any]):
    """A mapping that cannot change, can be hashed and travels between processes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        self._items = {str(k): freeze(v) for k, v in (items or {}).items()}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(FrozenMap(other))

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


_NO_OPTIONS = FrozenMap()


def freeze(value: Any) -> Any:
    """Lists as tuples and mappings as `FrozenMap`, all the way down."""
    if isinstance(value, Mapping):
        return FrozenMap(value)
    return tuple(freeze(v) for v in value) if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class BlockSize:
    """`{per_block: 64}`: one scale for each run of `size` values along the input axis of a weight."""

    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 65536:
            raise BadInput(f"a block of {self.size} values: expected 1 to 65536")


GranularityChoice = Literal["per_tensor", "per_channel"] | BlockSize


@dataclass(frozen=True)
class ModelRef:
    """The model that the recipe was made for; `path` is relative to the recipe's file."""

    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class WeightOptions:
    """How weights are quantized, over the target's own choice."""

    granularity: GranularityChoice | None = None
    symmetric: Literal[True, False, "strict"] | None = None
    method: RangeMethod | None = None


@dataclass(frozen=True)
class ActivationOptions:
    """How activations are quantized, over the target's own choice."""

    symmetric: bool | None = None


@dataclass(frozen=True)
class LayerRequest:
    """What one layer asks for; weight options that are `None` are the recipe's."""

    precision: Precision
    weights: WeightOptions | None = None

    def __post_init__(self) -> None:
        if isinstance(self.precision, str):
            object.__setattr__(self, "precision", Precision.parse(self.precision))


@dataclass(frozen=True)
class TensorRequest:
    """What one tensor is given, whatever its readers ask for."""

    dtype: DataType | None = None
    symmetric: bool | None = None
    minimum: float | None = None
    maximum: float | None = None
    method: RangeMethod | None = None

    def __post_init__(self) -> None:
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise BadInput(f"min is {self.minimum} and max is {self.maximum}: expected min below max")


@dataclass(frozen=True)
class EncodingsFile:
    """Encodings read from a file (path relative to the recipe's); those that match `frozen` stay as they are."""

    file: str
    frozen: str = "*"


@dataclass(frozen=True)
class CalibrationOptions:
    """Where ranges come from; a method for a class of tensors beats the general one."""

    method: RangeMethod = _MIN_MAX
    samples: int = 256
    seed: int = 0
    weights: RangeMethod | None = None
    activations: RangeMethod | None = None
    inputs: RangeMethod | None = None
    outputs: RangeMethod | None = None


@dataclass(frozen=True)
class Step:
    """A post-training technique or training, with its options; steps run in the recipe's order."""

    name: str
    options: Mapping[str, Any] = _NO_OPTIONS

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", FrozenMap(self.options))


DEFAULT_STEPS = (Step("fold_batch_norm"),)
"""What a recipe without a `steps:` key means."""
