"""Lesions of one scan as they were drawn: masks or points by path."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from samereg.errors import InputError
from samereg.geometry.grid import Grid
from samereg.geometry.volume import LabelMap
from samereg.io.dicom_files import is_dicom
from samereg.io.images import image_format, read_labels
from samereg.io.point_files import POINT_FORMATS, recognise_points
from samereg.metrics.lesions import Lesion, measure_lesions, separated


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawn:
    """Lesions of one scan.

    Attributes:
        lesions: measured, in rising order of their numbers.
        labels: a value for each lesion; None where points were given.
    """

    lesions: tuple[Lesion, ...]
    labels: LabelMap | None


def read_drawn(path: Path, grid: Grid, *, may_be_empty: bool) -> Drawn:
    """Lesions of a label map, or of a file of points.

    A map of several values has a lesion for each; of a mask of one value, every connected part is a lesion.

    Args:
        path: label map in the world of the scan, or points in any format of `io.point_files`.
        grid: of the scan.
        may_be_empty: whether a scan without lesions is an answer.

    Raises:
        InputError: a file that cannot be used, without lesions, or with negative labels.
    """
    if image_format(path) is None and not is_dicom(path):
        points = POINT_FORMATS[recognise_points(path)].read(path, grid).points_mm
        return Drawn(lesions=tuple(Lesion(number=n, centre_mm=each) for n, each in enumerate(points, 1)), labels=None)
    labels = read_labels(path)
    if int(labels.data.min()) < 0:
        raise InputError(f"{path}: holds negative labels; need 0 for none and a positive number for each lesion.")
    parts = separated(labels)
    lesions = measure_lesions(parts)
    if not lesions and not may_be_empty:
        raise InputError(f"{path}: holds no lesions; need a mask with at least one voxel that is not 0.")
    return Drawn(lesions=lesions, labels=parts)


def common_voxels(
    carried: Int[Tensor, "d h w"], later: Int[Tensor, "d h w"], numbers: tuple[list[int], list[int]]
) -> Int[Tensor, "n m"]:
    """Voxels that lesions of two maps on one grid have in common; the last row and column hold their sizes.

    Args:
        carried: earlier lesions.
        later: later ones.
        numbers: which of both, in the order of rows and of columns.
    """
    rows = torch.stack([(carried == number).flatten() for number in numbers[0]]).long()
    columns = [(later == number).flatten() for number in numbers[1]]
    table = torch.zeros(len(numbers[0]) + 1, len(numbers[1]) + 1, dtype=torch.int64)
    for place, column in enumerate(columns):
        table[:-1, place] = rows[:, column].sum(dim=1)
        table[-1, place] = column.sum()
    table[:-1, -1] = rows.sum(dim=1)
    return table
