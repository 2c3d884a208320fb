"""A synthetic subject: chest CT in two phases, organ labels and landmarks, all from one seed."""

from dataclasses import dataclass

import numpy as np
import torch

from samereg.geometry.grid import Grid, axis_aligned_grid
from samereg.geometry.volume import LabelMap, Volume
from samereg.phantom.anatomy import build_anatomy
from samereg.phantom.canvas import blank_canvas
from samereg.phantom.drawing import draw
from samereg.phantom.intensity import add_texture, draw_palette, scanned, texture_fields
from samereg.phantom.landmarks import find_landmarks
from samereg.phantom.organs import ORGAN_NAMES, PHASES
from samereg.phantom.variation import draw_variation

_SHAPE = (192, 144, 208)
_SPACING_MM = 2.0
_STREAMS = ("variation", "vessels", "palette", "texture", *PHASES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One synthetic subject.

    Attributes:
        seed: what it was made from.
        volumes: HU of each phase, "NC" (no contrast agent) and "CE"; same anatomy, other noise.
        labels: organ values of ``organs.ORGANS``, the same for both phases.
        landmarks_mm: named points (x, y, z), world LPS+ mm; some may lie outside the grid.
        organ_names: name of each label value.
    """

    seed: int
    volumes: dict[str, Volume]
    labels: LabelMap
    landmarks_mm: dict[str, tuple[float, float, float]]
    organ_names: dict[int, str]


def default_grid() -> Grid:
    """208 x 144 x 192 voxels (x, y, z) of 2 mm, centred on the world's origin, as in SAME (section 3)."""
    z, y, x = (-0.5 * (n - 1) * _SPACING_MM for n in _SHAPE)
    return axis_aligned_grid(_SHAPE, (_SPACING_MM,) * 3, (x, y, z))


def make_subject(seed: int, *, grid: Grid) -> Subject:
    """Synthetic chest CT of one subject, in both phases, on any grid.

    The anatomy depends on the seed alone: the same seed on two grids gives the same body, sampled
    differently (only the scanner's noise is drawn per voxel). The body's middle lies near the world's
    origin and fills about 400 x 270 x 384 mm; what a larger grid holds beyond is continued, not anatomy.

    Args:
        seed: any non-negative number; the same seed and grid give the same bytes on one machine.
        grid: where to sample; any direction and spacing.

    Returns:
        Both phases, labels and landmarks.
    """
    streams = _generators(seed)
    variation = draw_variation(streams["variation"])
    anatomy = build_anatomy(variation, streams["vessels"])
    canvas = blank_canvas(grid, variation.warp, draw_palette(variation, streams["palette"]))
    texture = texture_fields(grid, streams["texture"])
    draw(canvas, anatomy, texture)
    add_texture(canvas.hu, texture)
    volumes = {}
    for phase, mean in zip(PHASES, canvas.hu, strict=True):
        data = scanned(mean, canvas.template_mm[2], grid, streams[phase])
        volumes[phase] = Volume(data=torch.from_numpy(data)[None], grid=grid)
    return Subject(
        seed=seed,
        volumes=volumes,
        labels=LabelMap(data=torch.from_numpy(canvas.labels), grid=grid),
        landmarks_mm=find_landmarks(anatomy),
        organ_names=dict(ORGAN_NAMES),
    )


def _generators(seed: int) -> dict[str, torch.Generator]:
    """One independent stream for each purpose, so that a draw added to one leaves the others alone."""
    children = np.random.SeedSequence(seed).generate_state(len(_STREAMS), dtype=np.uint64)
    return {
        name: torch.Generator().manual_seed(int(state) & (2**63 - 1))
        for name, state in zip(_STREAMS, children, strict=True)
    }
