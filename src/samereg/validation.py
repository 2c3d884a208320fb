"""Validation of settings dataclasses against their declarations: types, choices, bounds with units.

Imports the standard library alone, so that `--help` answers before torch is loaded.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from numbers import Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from samereg.errors import UsageError

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Bounds and unit of a number.

    Attributes:
        low: inclusive minimum, or None.
        above: exclusive minimum, or None.
        high: inclusive maximum, or None.
        unit: for messages and documentation; empty for a count.
    """

    low: float | None = None
    above: float | None = None
    high: float | int | None = None
    unit: str = ""

    def __contains__(self, value: float | int) -> bool:
        """Whether a number lies within the bounds; NaN does not."""
        return (
            not math.isnan(value)
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
        )

    def __str__(self) -> str:
        """The bounds as text."""
        words = [
            *([f"{self.low:g} or more"] if self.low is not None else []),
            *([f"more than {self.above:g}"] if self.above is not None else []),
            *([f"{self.high:g} or less"] if self.high is not None else []),
        ]
        return " and ".join(words) + (f" ({self.unit})" if self.unit else "")


Count = Annotated[int, Range(low=1.0)]
CountOrZero = Annotated[int, Range(low=0.0)]
Seed = Annotated[int, Range(low=0.0, high=2**63 - 1)]
Weight = Annotated[float, Range(low=0.0)]
Positive = Annotated[float, Range(above=0.0)]
PositiveMm = Annotated[float, Range(above=0.0, unit="mm")]
NonNegativeMm = Annotated[float, Range(low=0.0, unit="mm")]
Fraction = Annotated[float, Range(low=0.0, high=1.0)]
Cosine = Annotated[float, Range(low=-1.0, high=1.0)]


def check_ranges(settings: object) -> None:
    """Raises if a field with a declared `Range` is out of bounds; call it from ``__post_init__``.

    Fields without a `Range` are ignored, since settings of stages also hold networks, matchers and functions.

    Raises:
        UsageError: a number is out of bounds; the message names the class and the field.
    """
    for name, hint in get_type_hints(type(settings), include_extras=True).items():
        notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        value = getattr(settings, name)
        for bounds in notes:
            if isinstance(bounds, Range) and value not in bounds:
                raise UsageError(f"Got {name}={value!r} for {type(settings).__name__}; need {bounds}.")


def accept(settings: object) -> None:
    """Validates every field of a settings object against its declaration, and converts equivalent values.

    NumPy scalars become Python numbers, strings become paths where a path is declared, lists become tuples. Call it
    from ``__post_init__``.

    Raises:
        UsageError: a value has the wrong type, is not one of the choices, or is out of bounds.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for each in fields(settings):  # type: ignore[arg-type]
        value = _accepted(getattr(settings, each.name), hints[each.name], each.name)
        object.__setattr__(settings, each.name, value)


def changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """Copy of settings with fields replaced by name, fields of nested settings included.

    Raises:
        UsageError: an unknown name, or an invalid value.
    """
    inner = [each.name for each in fields(settings) if is_dataclass(getattr(settings, each.name))]  # type: ignore[arg-type]
    own = {each.name for each in fields(settings)}  # type: ignore[arg-type]
    taken = {name: value for name, value in changes.items() if name in own}
    rest = {name: value for name, value in changes.items() if name not in own}
    for name in inner:
        part = getattr(settings, name)
        known = {each.name for each in fields(part)}
        if name not in taken:
            taken[name] = changed(part, {key: rest.pop(key) for key in list(rest) if key in known})
    if rest:
        raise UsageError(f"Unknown setting '{next(iter(rest))}'; need one of {', '.join(names_of(settings))}.")
    return replace(settings, **taken)  # type: ignore[type-var]


def names_of(settings: object) -> tuple[str, ...]:
    """Names that `changed` accepts."""
    names: list[str] = []
    for each in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, each.name)
        names += names_of(value) if is_dataclass(value) else [each.name]
    return tuple(names)


def _accepted(value: Any, hint: Any, name: str) -> Any:
    """The value, converted to its declared type."""
    if get_origin(hint) is Annotated:
        base, *notes = get_args(hint)
        found = _accepted(value, base, name)
        for bounds in notes:
            if isinstance(bounds, Range) and found not in bounds:
                raise UsageError(f"Got {name}={value!r}; need {bounds}.")
        return found
    if get_origin(hint) in (Union, UnionType):
        return _one_of_types(value, get_args(hint), name)
    if get_origin(hint) is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise UsageError(f"Got {name}={value!r}; need one of {', '.join(map(repr, get_args(hint)))}.")
        return str(value)
    if get_origin(hint) is tuple:
        return _tuple(value, get_args(hint), name)
    return _plain(value, hint, name)


def _one_of_types(value: Any, choices: tuple[Any, ...], name: str) -> Any:
    if value is None and NoneType in choices:
        return None
    (kind,) = (choice for choice in choices if choice is not NoneType)
    return _accepted(value, kind, name)


def _tuple(value: Any, kinds: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise UsageError(f"Got {name}={value!r}; need a sequence of values.")
    items = tuple(value)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(items)
    if len(items) != len(kinds):
        raise UsageError(f"Got {len(items)} values as {name}; need {len(kinds)}.")
    return tuple(_accepted(item, kind, name) for item, kind in zip(items, kinds, strict=True))


def _plain(value: Any, kind: type, name: str) -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and not isinstance(value, bool | float | str) and hasattr(value, "__index__"):
        return operator.index(value)
    if kind is float and not isinstance(value, bool) and isinstance(value, Real):
        return float(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind not in (bool, int, float, Path) and isinstance(value, kind):
        return value
    needed = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    raise UsageError(f"Got {name}={value!r}; need {needed.get(kind, kind.__name__)}.")
