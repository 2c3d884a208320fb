"""Reader of ITK's HDF5 transform files (`.h5`) by h5py, because ITK's reader crashes on some damaged files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from samereg.errors import FileError, TransformError
from samereg.io.itk_files import refuse_short_memory
from samereg.io.itk_numbers import require_counts, require_one

_GROUP = "TransformGroup"
_TYPE = "TransformType"
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")
"""Names of datasets; the second of each is that of ITK before version 5."""
_NAME = re.compile(r"(?P<kind>\w+?)_(double|float)_(?P<into>\d+)_(?P<out_of>\d+)(_(?P<order>\d+))?", re.ASCII)
"""Class, precision, dimensions, and the order of splines that are not cubic."""
_COMPOSITE = "CompositeTransform"
_MAX_FIXED = 64
"""Maximum number of fixed parameters of any class."""
_BEST_COMPRESSION = 1100
"""Maximum compression ratio of deflate, about 1,030."""
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
"""Exceptions that h5py raises for damaged files."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredPart:
    """One transform in a file.

    Attributes:
        kind: ITK's class name, without precision and dimensions.
        parameters: (n,).
        fixed: (m,): the center of a linear map, or the grid of a field.
    """

    kind: str
    parameters: NDArray[np.float64] | NDArray[np.float32]
    fixed: NDArray[np.float64]


def read_hdf5_parts(path: Path) -> list[StoredPart]:
    """Transforms of an HDF5 file of ITK, in the order in which they are applied to a point.

    Raises:
        FileError: damaged, truncated, or no transform file of ITK; or short memory.
        TransformError: not of 3-D space, or several transforms that are not one composite.
    """
    try:
        with h5py.File(path, locking=False) as file:
            return _parts(file)
    except MemoryError as error:
        refuse_short_memory(path, error)
        raise _damaged() from error
    except _DAMAGE as error:
        raise _damaged() from error


def _damaged() -> FileError:
    return FileError("cannot be read: damaged, truncated, or not a transform file of ITK.")


def _parts(file: h5py.File) -> list[StoredPart]:
    group = file[_GROUP]
    names = [str(number) for number in range(len(group))]
    if not names or set(group) != set(names):
        raise FileError(f"is damaged: its transforms are named {', '.join(group) or 'not at all'}; need 0, 1, 2, ...")
    kinds = [_kind(group[name]) for name in names]
    require_one(kinds)
    if kinds[0] == _COMPOSITE:
        # ITK applies the part that was added last first.
        if len(names) == 1:
            raise FileError("holds a composite of no transforms; need one at least.")
        return [_part(group[name], kind) for name, kind in zip(names[:0:-1], kinds[:0:-1], strict=True)]
    return [_part(group[names[0]], kinds[0])]


def _kind(entry: h5py.Group) -> str:
    words = np.ravel(entry[_TYPE].asstr()[()])
    if words.size != 1:
        raise FileError(f"is damaged: a transform has {words.size} types.")
    named = _NAME.fullmatch(str(words[0]))
    if named is None:
        raise FileError(f"is damaged: it holds a {str(words[0])[:60]!r}, which is no transform of ITK.")
    if (named["into"], named["out_of"]) != ("3", "3"):
        raise TransformError(f"is {named['into']}-dimensional; need a transform of 3-D space.")
    if named["order"] is not None:
        raise TransformError(f"holds a {named['kind']} of order {named['order']}; need cubic splines, order 3.")
    return named["kind"]


def _part(entry: h5py.Group, kind: str) -> StoredPart:
    fixed_set, parameter_set = _named(entry, _FIXED), _named(entry, _PARAMETERS)
    if fixed_set.size > _MAX_FIXED:
        raise FileError(f"gives {fixed_set.size} fixed parameters for a {kind}, which has no so many.")
    fixed = _numbers(fixed_set).astype(np.float64)
    require_counts(kind, parameter_set.size, fixed.tolist())
    return StoredPart(kind=kind, parameters=_numbers(parameter_set), fixed=fixed)


def _named(entry: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset:
    return next(entry[name] for name in names if name in entry or name == names[-1])


def _numbers(stored: h5py.Dataset) -> NDArray[Any]:
    if stored.dtype.kind != "f":
        raise FileError(f"is damaged: it holds numbers of type {stored.dtype}; need real numbers.")
    if stored.nbytes > stored.id.get_storage_size() * _BEST_COMPRESSION:
        raise FileError(f"is damaged: it says that it holds {stored.size} numbers, which its bytes cannot be.")
    numbers: NDArray[Any] = np.ravel(stored[()])
    return numbers.astype(np.float64 if stored.dtype.itemsize > np.dtype(np.float32).itemsize else np.float32)
