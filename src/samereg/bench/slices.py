"""Coronal slices of one pair as resampled by each method, for the paper's figure 3."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from samereg.bench.dataset import Case
from samereg.bench.pictures import Image, Labels, Panel
from samereg.bench.record import CaseRecord, transform_path
from samereg.errors import InputError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, bounding_grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_labels, resample_volume
from samereg.io.images import read_labels_of, read_volume
from samereg.io.transforms import read_transform

SPACING_MM = 1.5
"""Of the pictures."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Slices:
    """Figure 3 of one pair.

    Attributes:
        panels: the moving scan, every method's result, the fixed scan.
        contours: structures of the fixed scan on the slice.
    """

    panels: tuple[Panel, ...]
    contours: Labels


def slices_of(case: Case, records: list[CaseRecord], run: Path, *, ours: str) -> Slices:
    """The slice with the most structures of the fixed scan, as resampled by each method.

    An arrow points to the structure in the slice whose Dice differs most from that of our method.

    Args:
        case: pair to show; both scans have labels.
        records: of the methods to show, in order, all done on this pair.
        run: folder of the run.
        ours: name of the reference method.

    Raises:
        InputError: a scan without labels.
    """
    if case.fixed.labels is None or case.moving.labels is None:
        raise InputError(f"{case.name}: has no labels, which the figure needs for outlines.")
    fixed, moving = read_volume(case.fixed.image), read_volume(case.moving.image)
    labels = read_labels_of(case.fixed.labels, case.fixed.image)
    grid = _slice_grid(labels)
    contours = _picture(resample_labels(labels, Affine.identity(), grid).data[:, 0].numpy())
    reference = next((_dice(record) for record in records if record.method == ours), {})
    panels = [Panel(title="moving", image=_image(moving, _centred(moving, fixed), grid))]
    for record in records:
        path = transform_path(run, record.method, record.task, case.name)
        arrow = None if record.method == ours else _arrow(contours, _dice(record), reference)
        panels.append(Panel(title=record.title, image=_image(moving, read_transform(path), grid), arrow=arrow))
    panels.append(Panel(title="fixed", image=_image(fixed, Affine.identity(), grid)))
    return Slices(panels=tuple(panels), contours=contours)


def _slice_grid(labels: LabelMap) -> Grid:
    """Grid of the coronal slice with the most structures, and then the most voxels."""
    whole = bounding_grid(labels.grid, spacing_mm=SPACING_MM)
    coarse = bounding_grid(labels.grid, spacing_mm=4 * SPACING_MM)
    data = resample_labels(labels, Affine.identity(), coarse).data
    counts = [(len(data[:, row].unique()), int((data[:, row] != 0).sum())) for row in range(coarse.shape[1])]
    best = max(range(len(counts)), key=counts.__getitem__)
    x, _, z = whole.origin_mm.tolist()
    y = float(coarse.to_world(torch.tensor([0.0, float(best), 0.0], dtype=torch.float64))[1])
    return axis_aligned_grid((whole.shape[0], 1, whole.shape[2]), (SPACING_MM,) * 3, (x, y, z))


def _image(volume: Volume, transform: Transform, grid: Grid) -> Image:
    return _picture(resample_volume(volume, transform, grid).data[0, :, 0].numpy())


def _picture(plane: NDArray[Any]) -> NDArray[Any]:
    """A plane (d, w) with the head at the top; the patient's left is on the right."""
    return plane[::-1].copy()


def _centred(moving: Volume, fixed: Volume) -> Affine:
    """Translation that centres the moving scan on the fixed one."""
    shift_mm = moving.grid.centre_mm - fixed.grid.centre_mm
    return Affine.from_parts(torch.eye(3, dtype=torch.float64), shift_mm)


def _dice(record: CaseRecord) -> dict[int, float]:
    labels = record.scores.labels if record.scores else ()
    return {label.value: label.dice for label in labels if label.dice is not None}


def _arrow(contours: Labels, dice: dict[int, float], reference: dict[int, float]) -> tuple[int, int] | None:
    """Position of the structure whose Dice differs most from the reference."""
    shown = [value for value in dice if value in reference and bool((contours == value).any())]
    if not shown:
        return None
    value = max(shown, key=lambda each: abs(dice[each] - reference[each]))
    rows, columns = np.nonzero(contours == value)
    middle = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return int(rows[middle]), int(columns[middle])
