"""What a run folder of many pairs gets besides the registration: two small pictures and, asked for, a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from samereg.app.pairs.pair import ScanPair
from samereg.app.session import Registered
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, bounding_grid, voxel_centres_mm
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.report.colours import gray
from samereg.report.page import write_report
from samereg.report.pictures import cut
from samereg.report.png import png_bytes
from samereg.report.sources import ReportPaths

BEFORE, AFTER = "before.png", "after.png"

MAX_PX = 150
"""Longest side of a slice in a small picture."""

_AXES: dict[Literal["axial", "coronal"], int] = {"coronal": 1, "axial": 0}


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishPair:
    """Adds pictures and a report to a run folder.

    Attributes:
        report: write the report.
    """

    report: bool = False

    def __call__(self, found: Registered, pair: ScanPair, folder: Path) -> None:
        """Write `before.png`, `after.png` and, if asked for, `report.html`."""
        for name, transform in ((BEFORE, Affine.identity()), (AFTER, found.transform)):
            (folder / name).write_bytes(png_bytes(overlay(found, transform)))
        if self.report:
            both = pair.fixed_labels is not None and bool(pair.labels)
            paths = ReportPaths(
                fixed_labels=pair.fixed_labels if both else None, moving_labels=pair.labels[0] if both else None
            )
            write_report(folder, found=found, paths=paths)


def overlay(found: Registered, transform: Transform) -> UInt8[ndarray, "h w 3"]:
    """Coronal and axial slices of both scans through the body's middle, laid over each other.

    Gray where they agree, the fixed one alone blue, the moving one alone orange.

    Args:
        found: both scans.
        transform: what carries the moving scan: the result, or the identity for the scans as they lie in the world.
    """
    fixed, moving = found.fixed.volume, found.moving.volume
    whole = bounding_grid(fixed.grid, spacing_mm=max(fixed.grid.extent_mm) / MAX_PX)
    middle_mm = voxel_centres_mm(found.fixed.model.grid)[found.fixed.body].mean(dim=0)
    slices = []
    for plane, axis in _AXES.items():
        grid = _one_slice(whole, axis, round(float(whole.to_index(middle_mm)[axis])))
        pair = [_shades(fixed, Affine.identity(), grid, plane), _shades(moving, transform, grid, plane)]
        slices.append(np.stack([pair[1], (pair[0].astype(np.uint16) + pair[1]) // 2, pair[0]], axis=-1))
    height = max(each.shape[0] for each in slices)
    padded = [np.pad(each, ((0, height - each.shape[0]), (0, 0), (0, 0))) for each in slices]
    return np.concatenate(padded, axis=1).astype(np.uint8)


def _shades(
    volume: Volume, transform: Transform, grid: Grid, plane: Literal["axial", "coronal"]
) -> UInt8[ndarray, "h w"]:
    return gray(cut(resample_volume(volume, transform, grid).data[0], (0, 0, 0), plane).numpy())


def _one_slice(grid: Grid, axis: int, index: int) -> Grid:
    """The slice of a grid with one index along an axis."""
    start = torch.zeros(3, dtype=torch.float64)
    start[axis] = float(min(max(index, 0), grid.shape[axis] - 1))
    shape = list(grid.shape)
    shape[axis] = 1
    affine = grid.affine.clone()
    affine[:3, 3] = grid.to_world(start)
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)
