"""Measured maps as the page shows them: which, in what colours, and what the colours mean."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor

from samereg.geometry.affine import Affine
from samereg.geometry.grid import Grid
from samereg.geometry.volume import Volume
from samereg.image.resample import resample_volume
from samereg.report.colours import BALANCE, HEAT, TRUST, Scale
from samereg.report.measures import Maps
from samereg.report.pictures import Plane, Scene, finer, map_picture, mark_folded, slice_of

MOST_DEFORMATION_MM = 40.0
"""Where the colours of the deformation end."""

MOST_DOUBLINGS = 1.0
"""Where the colours of the local change of volume end: half, and twice."""

SMALLEST_CHANGE = 2.0**-8
"""Changes of volume below this, folds included, have the logarithm of this."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShownMap:
    """One measured map.

    Attributes:
        key: name of its file and its button.
        title: in words.
        values: numbers on `grid`.
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


def shown_maps(maps: Maps, confidence: Volume | None) -> tuple[ShownMap, ...]:
    """The maps of a registration, with its confidence if it has one.

    Args:
        maps: what was measured.
        confidence: on any grid; shown from its lowest to its highest value in the body.
    """
    deformation = ShownMap(
        key="deformation",
        title="Deformation",
        values=maps.deformation_mm,
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=HEAT, low=0.0, high=MOST_DEFORMATION_MM),
        ends=("0 mm", f"{MOST_DEFORMATION_MM:.0f} mm and more"),
        note="displacement beyond the best affine map",
    )
    change = ShownMap(
        key="volume",
        title="Volume change",
        values=maps.jacobian.clamp(min=SMALLEST_CHANGE).log2(),
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=BALANCE, low=-MOST_DOUBLINGS, high=MOST_DOUBLINGS),
        ends=("half", "twice"),
        note="volume in the moving scan over volume in the fixed scan (Jacobian determinant); folds are magenta",
    )
    return (deformation, change) if confidence is None else (deformation, change, _confidence(maps, confidence))


def map_pictures(shown: ShownMap, scene: Scene, maps: Maps, plane: Plane) -> UInt8[ndarray, "h w 3"]:
    """A map over a slice of the fixed scan, inside the body; folds stand out from the change of volume."""
    body = slice_of(shown.body.float(), shown.grid, scene, plane) > 0.5
    picture = map_picture(scene, slice_of(shown.values, shown.grid, scene, plane), body, shown.scale, plane)
    if shown.key != "volume":
        return picture
    jacobian = slice_of(maps.jacobian, maps.grid, scene, plane)
    return mark_folded(picture, finer(torch.where(body, jacobian, torch.ones_like(jacobian))))


def _confidence(maps: Maps, confidence: Volume) -> ShownMap:
    values = resample_volume(confidence, Affine.identity(), maps.grid).data[0].float()
    inside = values[maps.body]
    low, high = float(inside.min()), float(inside.max())
    return ShownMap(
        key="confidence",
        title="Confidence",
        values=values,
        body=maps.body,
        grid=maps.grid,
        scale=Scale(anchors=TRUST, low=low, high=max(high, low + 1e-6)),
        ends=(f"{low:.2g}", f"{high:.2g}"),
        note="what the registration says of itself, in confidence.nii.gz",
    )
