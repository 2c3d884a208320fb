"""Still images of a registration: slices of both scans, of their difference, and of measured maps."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid, axis_aligned_grid, bounding_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.image.resample import resample_labels, resample_volume
from samereg.report.colours import BALANCE, FOLDED, Scale, checkerboard, gray, overlaid, rgb, with_outlines
from samereg.report.measures import Maps

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
"""In the order of the axes (d, h, w) to which they are perpendicular."""

FINER = 2
"""Pixels per voxel and axis of still images, for thin outlines."""

SQUARE_PX = 24
"""Edge of the checkerboard squares: 24 mm on a 2 mm grid."""

DIFFERENCE_HU = 400.0
"""Range of the difference colours, plus and minus, HU."""

MARGIN_MM = 12.0
"""Margin around the body in mm."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Displayed images on an axis-aligned grid: d superior, h posterior, w left.

    Attributes:
        fixed: fixed scan in HU.
        moved: moving scan in HU, resampled.
        labels: of the fixed scan, and resampled of the moving scan; None without labels.
        middle: voxel (d, h, w) of the still slices.
    """

    fixed: Volume
    moved: Volume
    labels: tuple[LabelMap, LabelMap] | None
    middle: tuple[int, int, int]

    @property
    def grid(self) -> Grid:
        """The common grid."""
        return self.fixed.grid


def shown_grid(maps: Maps, fixed: Grid, *, spacing_mm: float) -> Grid:
    """Axis-aligned grid around the body, within the fixed scan."""
    whole = bounding_grid(fixed, spacing_mm=spacing_mm)
    inside = torch.nonzero(maps.body).double()
    ends = torch.stack([inside.amin(dim=0), inside.amax(dim=0)])
    wanted = whole.to_index(maps.grid.to_world(ends))
    margin = MARGIN_MM / spacing_mm
    first = [max(0, int(v - margin)) for v in wanted[0].tolist()]
    last = [min(n - 1, int(v + margin)) for v, n in zip(wanted[1].tolist(), whole.shape, strict=True)]
    d, h, w = (b - a + 1 for a, b in zip(first, last, strict=True))
    x, y, z = whole.to_world(torch.tensor(first, dtype=torch.float64)).tolist()
    return axis_aligned_grid((d, h, w), whole.spacing_mm, (x, y, z))


def make_scene(
    fixed: Volume,
    moved: Volume,
    labels: tuple[LabelMap, LabelMap] | None,
    *,
    grid: Grid,
    centre_mm: Float64[Tensor, "3"],
) -> Scene:
    """Resamples scans and labels onto the display grid.

    Args:
        fixed: fixed scan.
        moved: the moving scan on the fixed grid.
        labels: of the fixed scan, and resampled of the moving scan.
        grid: see `shown_grid`.
        centre_mm: point that the still pictures cut.
    """
    identity = Affine.identity()
    shown = None
    if labels is not None:
        shown = resample_labels(labels[0], identity, grid), resample_labels(labels[1], identity, grid)
    d, h, w = (min(n - 1, max(0, round(v))) for v, n in zip(grid.to_index(centre_mm).tolist(), grid.shape, strict=True))
    return Scene(
        fixed=resample_volume(fixed, identity, grid),
        moved=resample_volume(moved, identity, grid),
        labels=shown,
        middle=(d, h, w),
    )


def still_pictures(scene: Scene, plane: Plane) -> dict[str, UInt8[ndarray, "h w 3"]]:
    """Slices of one plane by name: fixed, moved, checkerboard, difference; with outlines of the fixed labels."""
    fixed, moved = (finer(cut(v.data[0].float(), scene.middle, plane)) for v in (scene.fixed, scene.moved))
    shades = gray(fixed), gray(moved)
    difference = difference_scale().colour(fixed - moved)
    pictures = {
        "Fixed": rgb(shades[0]),
        "Moved": rgb(shades[1]),
        "Checkerboard": rgb(checkerboard(*shades, square_px=SQUARE_PX)),
        "Difference": np.round(difference).astype(np.uint8),
    }
    if scene.labels is None:
        return pictures
    outlines = finer_labels(cut(scene.labels[0].data, scene.middle, plane))
    return {name: with_outlines(each, outlines) for name, each in pictures.items()}


def difference_scale() -> Scale:
    """Colours of fixed minus moved, HU."""
    return Scale(anchors=BALANCE, low=-DIFFERENCE_HU, high=DIFFERENCE_HU)


def map_picture(
    scene: Scene, values: Float[Tensor, "h w"], body: Bool[Tensor, "h w"], scale: Scale, plane: Plane
) -> UInt8[ndarray, "h2 w2 3"]:
    """Overlay of a map on a slice of the fixed scan, inside the body.

    Args:
        scene: displayed images.
        values: slice of the map.
        body: slice of the body mask.
        scale: its colours.
        plane: of the slice.
    """
    under = gray(finer(cut(scene.fixed.data[0].float(), scene.middle, plane)))
    return overlaid(under, scale.colour(finer(values)), finer_labels(body.int()) > 0)


def mark_folded(picture: UInt8[ndarray, "h w 3"], jacobian: Float[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """The image with folding marked by a separate colour."""
    return np.where(jacobian[..., None] <= 0, np.array(FOLDED, dtype=np.uint8), picture)


def slice_of(values: Float[Tensor, "d h w"], source: Grid, scene: Scene, plane: Plane) -> Float[Tensor, "rows columns"]:
    """Slice of a map on any grid, interpolated; 0 more than half a voxel outside the map."""
    axis = PLANES.index(plane)
    shape = list(scene.grid.shape)
    start = torch.zeros(3, dtype=torch.float64)
    shape[axis], start[axis] = 1, float(scene.middle[axis])
    affine = scene.grid.affine.clone()
    affine[:3, 3] = scene.grid.to_world(start)
    target = Grid(shape=(shape[0], shape[1], shape[2]), affine=affine)
    volume = Volume(data=values[None], grid=source, background=0.0, stored_dtype="float32")
    return cut(resample_volume(volume, Affine.identity(), target).data[0], (0, 0, 0), plane)


def cut(volume: Tensor, voxel: tuple[int, int, int], plane: Plane) -> Tensor:
    """Slice through a voxel in radiological orientation: anterior or superior up, patient's left on the right."""
    d, h, w = voxel
    if plane == "axial":
        return volume[d]
    return volume[:, h].flip(0) if plane == "coronal" else volume[:, :, w].flip(0)


def finer(values: Float[Tensor, "h w"]) -> Float[ndarray, "h2 w2"]:
    """A slice upsampled by interpolation."""
    upsampled: Float[ndarray, "h2 w2"] = functional.interpolate(
        values[None, None].float(), scale_factor=FINER, mode="bilinear"
    )[0, 0].numpy()
    return upsampled


def finer_labels(values: Int[Tensor, "h w"]) -> Int[ndarray, "h2 w2"]:
    """A slice of labels upsampled by repetition."""
    found: Int[ndarray, "h2 w2"] = values.repeat_interleave(FINER, 0).repeat_interleave(FINER, 1).numpy()
    return found
