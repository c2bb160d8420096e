"""Range methods in a recipe: `mse`, `{percentile: {value: 99.9}}`, or `{percentile: 99.9}` where there is one option."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args, get_origin, get_type_hints

from engine.errors import BadInput
from engine.quant.methods import METHODS, RangeMethod
from engine.recipe.reader import At


def read_method(at: At, value: object) -> RangeMethod:
    """The range method that a name, or a mapping from name to options, stands for."""
    options: object = {}
    if isinstance(value, Mapping) and len(value) == 1:
        value, options = next(iter(value.items()))
    if not isinstance(value, str):
        at.fail(value, f"a method ({', '.join(METHODS)}) or {{method: {{option: value}}}}")
    if value not in METHODS:
        at.unknown("method", value, METHODS)
    kind = METHODS[value]
    names = [f.name for f in fields(kind)]
    if not isinstance(options, Mapping) and options is not None and len(names) == 1:
        options = {names[0]: options}
    method: RangeMethod = read_config(at.key(value), kind, {} if options is None else options)
    return method


def read_config(at: At, kind: type[Any], options: object) -> Any:
    """A frozen config from a mapping of its fields, each checked against its type."""
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    values = {name: _field(at.key(name), hints[name], v) for name, v in at.mapping(options, known).items()}
    for f in fields(kind):
        if f.name not in values and f.default is MISSING and f.default_factory is MISSING:
            at.fail(options, f"{f.name} to be given")
    try:
        return kind(**values)
    except BadInput as error:
        at.problem(error)


def _field(at: At, hint: Any, value: object) -> Any:
    """A value of the field's type: bool, int, float, str, a choice of words, or a union of these."""
    kinds = get_args(hint) if get_origin(hint) is not None else (hint,)
    if bool in kinds and isinstance(value, bool):
        return value
    if int in kinds and isinstance(value, int) and not isinstance(value, bool):
        return value
    if float in kinds:
        return at.number(value)
    if str in kinds and isinstance(value, str):
        return value
    if value in kinds and isinstance(value, str):
        return value
    if value is None and type(None) in kinds:
        return None
    at.fail(value, " or ".join(getattr(k, "__name__", str(k)) for k in kinds))


def write_method(method: RangeMethod) -> str | dict[str, dict[str, Any]]:
    """The method as the recipe writes it: its name, and the options that are not the defaults."""
    name = next(n for n, kind in METHODS.items() if kind is type(method))
    options = {f.name: getattr(method, f.name) for f in fields(method) if getattr(method, f.name) != f.default}
    return {name: options} if options else name
