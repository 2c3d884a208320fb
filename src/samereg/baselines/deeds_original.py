"""The original DEEDS, by its external programs and files."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from samereg.baselines.common_grid import on_common_grid
from samereg.baselines.method import AffineMethod, run_program
from samereg.baselines.simple import CentreOfMass
from samereg.errors import MissingPackageError
from samereg.geometry.grid import Grid
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.images import read_volume, write_volume
from samereg.ops.sample import identity_grid

PROGRAMS = ("linearBCV", "deedsBCV", "applyBCVfloat")

OFFSET = 1.0
"""Offset of coordinates, so that 0 means outside the moving scan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeedsOriginal:
    """linearBCV, then deedsBCV (Heinrich), with default settings, on a common grid.

    The result is determined by resampling three coordinate images with applyBCVfloat, so that
    no file convention has to be known.

    Attributes:
        start: initial affine method, because the programs ignore world coordinates.
        spacing_mm: of the common grid.
    """

    start: AffineMethod = field(default_factory=CentreOfMass)
    spacing_mm: float = 2.0

    @property
    def name(self) -> str:
        """Name in tables."""
        return "deeds-original"

    def version(self) -> str:
        """Paths of the programs, which have no version; errors as in `register`."""
        return ", ".join(_program(name) for name in PROGRAMS)

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement at every voxel, then the start; fixed world to moving world.

        Raises:
            MissingPackageError: a program is not on the path.
            InputError: a scan shows no body.
            FileError: a program failed.
        """
        programs = [_program(name) for name in PROGRAMS]
        pair = on_common_grid(fixed, moving, self.start.register(fixed, moving), spacing_mm=self.spacing_mm)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_volume(pair.fixed, folder / "fixed.nii.gz")
            write_volume(pair.moved, folder / "moving.nii.gz")
            for command in search_commands(programs, folder):
                run_program(command)
            landed = torch.stack([_moved_coordinate(programs[2], axis, pair.fixed.grid, folder) for axis in range(3)])
        return pair.transform_of(_displacements(landed))


def search_commands(programs: list[str], folder: Path) -> list[list[str]]:
    """Command lines that leave an affine matrix and displacements in a folder with both scans.

    Args:
        programs: paths of `PROGRAMS`.
        folder: holds `fixed.nii.gz` and `moving.nii.gz`.
    """
    images = ["-F", str(folder / "fixed.nii.gz"), "-M", str(folder / "moving.nii.gz")]
    linear = [programs[0], *images, "-O", str(folder / "affine")]
    deformable = [programs[1], *images, "-O", str(folder / "found"), "-A", str(folder / "affine_matrix.txt")]
    return [linear, deformable]


def move_command(program: str, image: Path, moved: Path) -> list[str]:
    """Command line that moves an image as found by `search_commands` in its folder."""
    folder = image.parent
    found = ["-O", str(folder / "found"), "-A", str(folder / "affine_matrix.txt")]
    return [program, "-M", str(image), *found, "-D", str(moved)]


def _moved_coordinate(program: str, axis: int, grid: Grid, folder: Path) -> Float[Tensor, "d h w"]:
    """Coordinate plus `OFFSET` along an axis of each transformed voxel; 0 outside."""
    image, moved = folder / f"coordinate{axis}.nii.gz", folder / f"landed{axis}.nii.gz"
    coordinate = identity_grid(grid.shape)[..., axis] + OFFSET
    write_volume(Volume(data=coordinate[None], grid=grid, stored_dtype="float32"), image)
    run_program(move_command(program, image, moved))
    return read_volume(moved).data[0]


def _displacements(landed: Float[Tensor, "3 d h w"]) -> Float[Tensor, "3 d h w"]:
    """Displacements in voxels; zero for voxels mapped outside."""
    own = identity_grid((landed.shape[1], landed.shape[2], landed.shape[3])).movedim(-1, 0)
    inside = (landed >= OFFSET).all(0, keepdim=True)
    return (landed - OFFSET - own) * inside


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise MissingPackageError(
            f"the method deeds-original needs the program {name} on the path; build it from the sources of deedsBCV"
        )
    return path
