"""Displayed maps: values, colours and legends."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from samereg.errors import InputError
from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.report.colours import BALANCE, ERROR, HEAT, Scale
from samereg.report.measures import Maps
from samereg.report.pictures import Plane, Scene, finer, map_picture, mark_folded, slice_of

MAX_DEFORMATION_MM = 40.0
"""Upper end of the colours of the deformation, mm."""

MAX_DOUBLINGS = 1.0
"""Ends of the colours of the Jacobian determinant: one half and two."""

MIN_CHANGE = 2.0**-8
"""Minimum determinant in logarithms; smaller ones, including folding, are clamped."""


MAX_ERROR_MM = 15.0
"""Upper end of the colours of the expected error, mm; the same in all reports, for comparison."""

MIN_KNOWN = 0.5
"""Minimum fraction of known neighbours for a voxel to have a value."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownMap:
    """A displayed map.

    Attributes:
        key: name of its file and button.
        title: for users.
        values: on `grid`; outside `body` the nearest value inside, for interpolation.
        body: where they count.
        grid: of the values.
        scale: colour scale.
        ends: labels of the first and the last colour.
        note: description of the values.
    """

    key: str
    title: str
    values: Float[Tensor, "d h w"]
    body: Bool[Tensor, "d h w"]
    grid: Grid
    scale: Scale
    ends: tuple[str, str]
    note: str


def shown_maps(maps: Maps, expected_error_mm: Volume | None) -> tuple[ShownMap, ...]:
    """The displayed maps of a registration, including its expected error if available.

    Args:
        maps: measured maps.
        expected_error_mm: on any grid; negative where unknown.

    Raises:
        InputError: an expected error without values in the body.
    """
    deformation = ShownMap(
        key="deformation",
        title="Deformation",
        values=continued(maps.deformation_mm, maps.body),
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=HEAT, low=0.0, high=MAX_DEFORMATION_MM),
        ends=("0 mm", f"{MAX_DEFORMATION_MM:.0f} mm and more"),
        note="displacement without its affine part",
    )
    change = ShownMap(
        key="volume",
        title="Volume change",
        values=continued(maps.jacobian.clamp(min=MIN_CHANGE).log2(), maps.body),
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=BALANCE, low=-MAX_DOUBLINGS, high=MAX_DOUBLINGS),
        ends=("half", "twice"),
        note="Jacobian determinant: volume in the moving scan divided by volume in the fixed scan; folding is magenta",
    )
    if expected_error_mm is None:
        return deformation, change
    return deformation, change, _expected_error(maps, expected_error_mm)


def map_pictures(shown: ShownMap, scene: Scene, maps: Maps, plane: Plane) -> UInt8[ndarray, "h w 3"]:
    """Overlay of a map on a slice of the fixed scan; folding is marked in the Jacobian determinant."""
    body = slice_of(shown.body.float(), shown.grid, scene, plane) > 0.5
    picture = map_picture(scene, slice_of(shown.values, shown.grid, scene, plane), body, shown.scale, plane)
    if shown.key != "volume":
        return picture
    jacobian = slice_of(maps.jacobian, maps.grid, scene, plane)
    return mark_folded(picture, finer(torch.where(body, jacobian, torch.ones_like(jacobian))))


def continued(values: Float[Tensor, "d h w"], known: Bool[Tensor, "d h w"]) -> Float[Tensor, "d h w"]:
    """The map with unknown values replaced by the nearest known ones; at least one voxel is known."""
    nearest: NDArray[np.int32] = ndimage.distance_transform_edt(
        ~known.numpy(), return_distances=False, return_indices=True
    )
    d, h, w = torch.from_numpy(nearest).long()
    return values[d, h, w]


def _expected_error(maps: Maps, error_mm: Volume) -> ShownMap:
    values, known = _known_values(error_mm, maps.grid)
    body = maps.body & known
    if not bool(body.any()):
        raise InputError(
            "confidence.nii.gz: holds no expected error of the fixed body; need mm of 0 or more there, as "
            "samereg register --confidence writes."
        )
    return ShownMap(
        key="error",
        title="Expected error",
        values=continued(values, body),
        body=body,
        grid=maps.grid,
        scale=Scale(anchors=ERROR, low=0.0, high=MAX_ERROR_MM),
        ends=("0 mm", f"{MAX_ERROR_MM:.0f} mm and more"),
        note="expected registration error (confidence.nii.gz); no colour where unknown",
    )


def _known_values(error_mm: Volume, grid: Grid) -> tuple[Float[Tensor, "d h w"], Bool[Tensor, "d h w"]]:
    """Values on a grid, interpolated only from non-negative ones, and where there are enough of them."""
    data = error_mm.data.float()
    known = torch.isfinite(data) & (data >= 0.0)
    parts = [
        resample_volume(Volume(data=each, grid=error_mm.grid, background=0.0), Affine.identity(), grid).data[0].float()
        for each in (torch.where(known, data, 0.0), known.float())
    ]
    return parts[0] / parts[1].clamp(min=MIN_KNOWN), parts[1] >= MIN_KNOWN
