"""Conversion of dataclasses, mappings, sequences, paths and numbers to and from plain JSON values."""

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from torch import Tensor, nn

from samereg.errors import InputError

Plain = None | bool | int | float | str | list[Any] | dict[str, Any]
"""A JSON value."""

Kind = TypeVar("Kind")


def to_plain(value: object) -> Plain:
    """Converts a value to JSON: dataclasses and mappings to objects, sequences to lists, everything else to text.

    NaN and infinity become null.

    Example:
        >>> to_plain({"folder": Path("out"), "size_mm": (2.0, float("nan"))})
        {'folder': 'out', 'size_mm': [2.0, None]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, Tensor | np.generic | np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, nn.Module):
        return type(value).__name__
    return _container_to_plain(value)


def from_plain(kind: type[Kind], value: Plain, *, name: str = "") -> Kind:
    """Converts a plain value from `to_plain` back to a dataclass.

    Missing fields take their defaults and unknown entries are ignored, so that records of other
    versions can be read.

    Args:
        kind: a dataclass of numbers, strings, paths, and nested dataclasses, tuples and mappings.
        value: as read from JSON.
        name: of the value in messages.

    Raises:
        InputError: a field is missing or has another type; the message names it.

    Example:
        >>> @dataclasses.dataclass
        ... class Size:
        ...     mm: tuple[float, ...]
        >>> from_plain(Size, {"mm": [2, 3]})
        Size(mm=(2.0, 3.0))
    """
    found: Kind = _parsed(kind, value, name)
    return found


def _container_to_plain(value: object) -> Plain:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: to_plain(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not each.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    return str(value)


def _parsed(kind: Any, value: Any, name: str) -> Any:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is Any or kind == Plain:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, name)
    parse = _PARSERS.get(get_origin(kind) or kind)
    return _scalar(kind, value, name) if parse is None else parse(get_args(kind), value, name)


def _named(names: Sequence[Any], value: Any, name: str) -> Any:
    return _require(value, value in names, name)


def _one_of(kinds: Sequence[Any], value: Any, name: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (each for each in kinds if each is not NoneType)
    return _parsed(kind, value, name)


def _tuple(kinds: Sequence[Any], value: Any, name: str) -> tuple[Any, ...]:
    items = _require(value, isinstance(value, list), name)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(items)
    _require(value, len(items) == len(kinds), name)
    return tuple(_parsed(kind, item, f"{name}[{n}]") for n, (kind, item) in enumerate(zip(kinds, items, strict=True)))


def _mapping(kinds: Sequence[Any], value: Any, name: str) -> dict[Any, Any]:
    items = _require(value, isinstance(value, dict), name)
    key_kind, item_kind = kinds or (str, Any)
    return {key_kind(key): _parsed(item_kind, item, f"{name}.{key}") for key, item in items.items()}


def _dataclass(kind: Any, value: Any, name: str) -> Any:
    items = _require(value, isinstance(value, dict), name)
    hints = get_type_hints(kind, include_extras=True)
    given = {}
    for each in dataclasses.fields(kind):
        place = f"{name}.{each.name}".lstrip(".")
        if each.name in items:
            given[each.name] = _parsed(hints[each.name], items[each.name], place)
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise InputError(f"lacks the entry '{place}'")
    return kind(**given)


def _scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is float:
        if value is None:  # NaN and infinity are null in JSON
            return math.nan
        return float(_require(value, isinstance(value, int | float) and not isinstance(value, bool), name))
    if kind is Path:
        return Path(_require(value, isinstance(value, str), name))
    return _require(value, isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), name)


def _require(value: Any, fits: bool, name: str) -> Any:
    if not fits:
        raise InputError(f"has {value!r} as '{name}', which is of the wrong type")
    return value


_PARSERS: Mapping[Any, Callable[[Sequence[Any], Any, str], Any]] = {
    Union: _one_of,
    UnionType: _one_of,
    Literal: _named,
    tuple: _tuple,
    dict: _mapping,
    Mapping: _mapping,
}
"""Parsers by kind of type hint; take its arguments, the value and its name in messages."""
