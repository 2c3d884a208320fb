"""Measured maps as the page shows them: which, in what colours, and what the colours mean."""

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

MOST_DEFORMATION_MM = 40.0
"""Where the colours of the deformation end."""

MOST_DOUBLINGS = 1.0
"""Where the colours of the local change of volume end: half, and twice."""

SMALLEST_CHANGE = 2.0**-8
"""Changes of volume below this, folds included, have the logarithm of this."""


LARGEST_ERROR_MM = 15.0
"""Where the colours of the expected error end: the same in every report, so that reports can be compared."""

LEAST_KNOWN = 0.5
"""Share of its neighbours that a voxel of the lattice needs to know for a value of its own."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownMap:
    """One measured map.

    Attributes:
        key: name of its file and its button.
        title: in words.
        values: numbers on `grid`; beyond `body` the nearest of them goes on, so that pictures interpolate nothing else.
        body: where they count.
        grid: lattice of the numbers.
        scale: their colours.
        ends: what the first and the last colour mean.
        note: what the numbers are.
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
    """The maps of a registration, with its expected error if it has one.

    Args:
        maps: what was measured.
        expected_error_mm: on any grid; below 0 where nothing is said.

    Raises:
        InputError: an expected error that says nothing of the body.
    """
    deformation = ShownMap(
        key="deformation",
        title="Deformation",
        values=continued(maps.deformation_mm, maps.body),
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=HEAT, low=0.0, high=MOST_DEFORMATION_MM),
        ends=("0 mm", f"{MOST_DEFORMATION_MM:.0f} mm and more"),
        note="displacement beyond the best affine map",
    )
    change = ShownMap(
        key="volume",
        title="Volume change",
        values=continued(maps.jacobian.clamp(min=SMALLEST_CHANGE).log2(), maps.body),
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=BALANCE, low=-MOST_DOUBLINGS, high=MOST_DOUBLINGS),
        ends=("half", "twice"),
        note="volume in the moving scan over volume in the fixed scan (Jacobian determinant); folds are magenta",
    )
    if expected_error_mm is None:
        return deformation, change
    return deformation, change, _expected_error(maps, expected_error_mm)


def map_pictures(shown: ShownMap, scene: Scene, maps: Maps, plane: Plane) -> UInt8[ndarray, "h w 3"]:
    """A map over a slice of the fixed scan, inside the body; folds stand out from the change of volume."""
    body = slice_of(shown.body.float(), shown.grid, scene, plane) > 0.5
    picture = map_picture(scene, slice_of(shown.values, shown.grid, scene, plane), body, shown.scale, plane)
    if shown.key != "volume":
        return picture
    jacobian = slice_of(maps.jacobian, maps.grid, scene, plane)
    return mark_folded(picture, finer(torch.where(body, jacobian, torch.ones_like(jacobian))))


def continued(values: Float[Tensor, "d h w"], known: Bool[Tensor, "d h w"]) -> Float[Tensor, "d h w"]:
    """The map with the nearest known value wherever it is unknown; at least one voxel is known."""
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
        scale=Scale(anchors=ERROR, low=0.0, high=LARGEST_ERROR_MM),
        ends=("0 mm", f"{LARGEST_ERROR_MM:.0f} mm and more"),
        note="distance that each place is expected to be off by (confidence.nii.gz); no colour where nothing is said",
    )


def _known_values(error_mm: Volume, grid: Grid) -> tuple[Float[Tensor, "d h w"], Bool[Tensor, "d h w"]]:
    """Values on a lattice, interpolated between those that are 0 or more alone, and where there are enough of them."""
    data = error_mm.data.float()
    known = torch.isfinite(data) & (data >= 0.0)
    parts = [
        resample_volume(Volume(data=each, grid=error_mm.grid, background=0.0), Affine.identity(), grid).data[0].float()
        for each in (torch.where(known, data, 0.0), known.float())
    ]
    return parts[0] / parts[1].clamp(min=LEAST_KNOWN), parts[1] >= LEAST_KNOWN
