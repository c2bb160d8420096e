"""Range methods by name: their settings as frozen configs, read from a recipe. Nothing heavy is imported.

Recipes are read in processes that never load torch; how a method finds a range is in `engine.quant.ranges`.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engine.errors import BadInput, nearest


@dataclass(frozen=True)
class MinMax:
    """The least and the greatest value seen; nothing is clipped. The default, and enough from 8 bits on."""


@dataclass(frozen=True)
class Percentile:
    """The range that holds a share of the values on each side (never less than that share)."""

    value: float = field(default=99.99, metadata={
        "doc": "Share of all values, in percent, at or below the high end and at or above the low end."})

    def __post_init__(self) -> None:
        if not 50.0 < self.value <= 100.0:
            raise BadInput(f"percentile {self.value}: expected more than 50 and at most 100 percent")


@dataclass(frozen=True)
class Sqnr:
    """The range of least squared error, clipped values counted more (AIMET's `tf_enhanced`)."""

    clip_weight: float = field(default=3.0, metadata={
        "doc": "How many times the squared error of a clipped value counts."})

    def __post_init__(self) -> None:
        if not 0.0 < self.clip_weight < float("inf"):
            raise BadInput(f"clip_weight {self.clip_weight}: expected a positive number")


@dataclass(frozen=True)
class Mse:
    """The range of least squared error."""


@dataclass(frozen=True)
class Entropy:
    """The range that keeps most of the distribution's shape (least KL divergence, after TensorRT).

    For up to 8 bits, as TensorRT defines it; wider grids resolve the shape anyway and get min-max.
    """


RangeMethod = MinMax | Percentile | Sqnr | Mse | Entropy
METHODS: dict[str, type[RangeMethod]] = {
    "min_max": MinMax, "percentile": Percentile, "sqnr": Sqnr, "mse": Mse, "entropy": Entropy}


def parse_method(spec: str | Mapping[str, Any]) -> RangeMethod:
    """A method from a recipe: its name, `{method: NAME, field: value}` or `{NAME: {field: value}}`.

    `{percentile: 99.9}` works for a method with one field. Raises `BadInput` that names the known ones.
    """
    if isinstance(spec, str):
        return _build(spec, {})
    if not isinstance(spec, Mapping) or not spec:
        raise BadInput(f"{spec!r} is no range method: expected a name. {nearest(str(spec), METHODS)}")
    settings = dict(spec)
    if "method" in settings:
        return _build(settings.pop("method"), settings)
    if len(settings) > 1:
        raise BadInput(f"range method {settings!r}: expected one name, or a key 'method' beside its settings")
    name, value = next(iter(settings.items()))
    return _build(name, value)


def _build(name: Any, settings: Any) -> RangeMethod:
    kind = METHODS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadInput(f"{name!r} is no range method. {nearest(str(name), METHODS)}")
    known = [f.name for f in fields(kind)]
    values = {known[0]: settings} if len(known) == 1 and isinstance(settings, int | float) else settings or {}
    if not isinstance(values, Mapping):
        raise BadInput(f"settings of range method {name!r}: expected key: value, got {settings!r}")
    for key, value in values.items():
        if key not in known:
            raise BadInput(f"range method {name!r} has no setting {key!r}. {nearest(str(key), known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"setting {key!r} of range method {name!r}: expected a number, got {value!r}")
    return kind(**{key: float(value) for key, value in values.items()})


def method_name(method: RangeMethod) -> str:
    """The registered name of a method's config."""
    return next(name for name, kind in METHODS.items() if kind is type(method))


def needs_histogram(method: RangeMethod) -> bool:
    """Whether the method needs a `Histogram`; otherwise the extremes of a `MinMax` observer do."""
    return not isinstance(method, MinMax)
