"""ANTs SyN, by the Python package antspyx."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from samereg.baselines.method import needed_package, package_version
from samereg.geometry.chain import chain_all
from samereg.geometry.transform import Transform
from samereg.geometry.volume import Volume
from samereg.io.transforms import read_transform

DISTRIBUTION = "antspyx"


@dataclass(frozen=True, kw_only=True, slots=True)
class AntsSyN:
    """ANTs' affine and SyN stages with mutual information (Avants et al., 2008), as `ants.registration` sets them.

    Attributes:
        iterations: of SyN at each resolution, coarse to fine.
        seed: of the voxels sampled by the affine stage.
    """

    iterations: tuple[int, ...] = (40, 20, 0)
    seed: int = 1

    @property
    def name(self) -> str:
        """Name in tables."""
        return "ants-syn"

    def version(self) -> str:
        """Release of antspyx; errors as in `register`."""
        return package_version("ants", DISTRIBUTION, self.name)

    def register(self, fixed: Volume, moving: Volume) -> Transform:
        """A displacement, then an affine map; fixed world to moving world.

        Raises:
            MissingPackageError: antspyx is not installed.
        """
        ants = needed_package("ants", self.name)
        found = ants.registration(
            _image(ants, fixed),
            _image(ants, moving),
            type_of_transform="SyN",
            reg_iterations=self.iterations,
            random_seed=self.seed,
        )
        files = {Path(name) for key in ("fwdtransforms", "invtransforms") for name in found[key]}
        # ANTs lists transforms in order of application to fixed points.
        transform = chain_all([read_transform(Path(name)) for name in found["fwdtransforms"]])
        for path in files:
            path.unlink()
        return transform


def _image(ants: ModuleType, volume: Volume) -> Any:
    array = np.ascontiguousarray(volume.data[0].numpy().T, dtype=np.float32)
    grid = volume.grid
    return ants.from_numpy(
        array,
        origin=grid.origin_mm.tolist(),
        spacing=list(grid.spacing_mm[::-1]),
        direction=np.ascontiguousarray(grid.direction.flip(1).numpy()),
    )
